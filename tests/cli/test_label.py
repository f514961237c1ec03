"""`assay label`: outcomes beside a log, from tables and judges; matched, counted, resumed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.records import Grade, Trajectory, write
from assay.records.labels import labels
from tests.cli.conftest import CHAT, Assay

FIXTURES = Path(__file__).parents[1] / "fixtures"
LABELS = "log.jsonl.labels.jsonl"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Six trajectories of a, b and c, none of them scored."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({**each, "reward": None}) + "\n" for each in CHAT))
    return path


def table(tmp_path: Path, text: str, name: str = "outcomes.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def grades(path: Path) -> dict[str, tuple[Grade, ...]]:
    found: dict[str, tuple[Grade, ...]] = {}
    for label in labels(path).values():
        found[label.id] = (*found.get(label.id, ()), label.grade)
    return found


def audited(assay: Assay, log: Path, **options: str) -> dict[str, Any]:
    extra = [part for name, value in options.items() for part in (f"--{name}", value)]
    ended = assay("audit", log, "--labels", LABELS, "--json", "-", *extra)
    assert (ended.code, ended.err) == (0, "")
    return ended.json


def test_a_table_by_id_or_by_task_and_trial(assay: Assay, bare: Path, tmp_path: Path):
    before = bare.read_bytes()
    text = "id,task,trial,outcome,reason\na/0,,,1,ran the tests\n,a,1.0,false,\n,b,0,,\n,z,9,1,\n"
    ended = assay("label", bare, "--csv", table(tmp_path, text))
    assert (ended.code, ended.err) == (0, "")
    assert ended.text.splitlines() == [
        f"{tmp_path / LABELS}  2 trajectories labelled, E3 by csv:outcomes.csv",
        "1 row of no trajectory in the log, the first of 'z trial 9'",
        "1 row without an outcome",
        "3 trajectories without a row",
        f"assay audit {bare} --labels {tmp_path / LABELS}",
    ]
    assert bare.read_bytes() == before
    (grade,) = grades(tmp_path / LABELS)["a/0"]
    assert (grade.level, grade.value, grade.source, grade.reason) == (
        *("E3", 1.0, "csv:outcomes.csv", "ran the tests"),
    )
    found = audited(assay, bare)
    assert found["trajectories"]["by_category"]["true_success"] == 1
    assert found["groups"]["mixed"] == 1
    assert found["trajectories"]["unscored"] == 4
    again = assay("label", bare, "--csv", tmp_path / "outcomes.csv")
    assert again.out == ended.out
    # beside the log, and no part of a folder of logs
    assert assay("audit", tmp_path, "--format", "chat", "--json", "-").json["losses"] == {
        "not_a_log": 1,  # the table
    }


def test_a_second_table_replaces_what_the_first_said(assay: Assay, bare: Path, tmp_path: Path):
    for outcome in ("1", "0"):
        path = table(tmp_path, f"id\toutcome\na/0\t{outcome}\n", "outcomes.tsv")
        assert assay("label", bare, "--csv", path).code == 0
    assert [each.grade.value for each in labels(tmp_path / LABELS).values()] == [0.0]
    # another source of the same level that says otherwise: nobody knows
    path = table(tmp_path, "id,outcome\na/0,1\n")
    ended = assay("label", bare, "--csv", path)
    assert ended.code == 0
    assert (
        "1 trajectory has another outcome by csv:outcomes.tsv, also E3, so neither counts; with "
        "--source 'csv:outcomes.tsv' yours replace it"
    ) in ended.text.splitlines()
    assert audited(assay, bare)["trajectories"]["scored"] == 0


def test_sources_that_disagree_are_said_to(assay: Assay, bare: Path, tmp_path: Path):
    for name, outcomes in (("one", "111"), ("two", "100")):
        rows = zip(("a/0", "a/1", "b/0"), outcomes, strict=True)
        text = "id,outcome\n" + "".join(f"{id},{value}\n" for id, value in rows)
        ended = assay("label", bare, "--csv", table(tmp_path, text, f"{name}.csv"))
    assert "2 trajectories have another outcome by csv:one.csv, also E3, so neither" in ended.text
    found = audited(assay, bare)
    assert found["trajectories"]["by_category"]["disputed"] == 2
    assert found["trajectories"]["scored"] == 1
    warnings = found["trust"]["warnings"]
    assert warnings[0] == (
        "sources of outcomes disagree on 2 of 6 trajectories, at one level of evidence: none of "
        "them is used, and they are unscored; assay label --level E4 overrules them, its --source "
        "NAME replaces one"
    )
    assert "3 more of 6 trajectories have no outcome at all" in warnings
    # the way out that it names
    ended = assay("label", bare, "--csv", tmp_path / "two.csv", "--source", "csv:one.csv")
    assert "another outcome" not in ended.text
    assert audited(assay, bare)["trajectories"]["scored"] == 3


def test_labels_of_a_run_directory_outlive_its_next_audit(assay: Assay, bare: Path, tmp_path: Path):
    assert assay("audit", bare, "--no-report").code == 0
    text = "id,outcome\na/0,1\na/1,0\n"
    ended = assay("label", "runs/log", "--csv", table(tmp_path, text))
    labels_file = Path("runs") / "log.labels.jsonl"
    said = ended.text.splitlines()
    assert said[0] == f"{labels_file}  2 trajectories labelled, E3 by csv:outcomes.csv"
    assert said[-1] == f"assay audit runs/log --labels {labels_file} -o runs/log-labelled"
    assert assay("audit", bare, "--no-report", "--no-cache").code == 0
    assert len(labels(labels_file)) == 2
    assert assay(*said[-1].split()[1:], "--no-report").code == 0
    again = json.loads((tmp_path / "runs/log-labelled/audit.json").read_bytes())
    assert again["trajectories"]["scored"] == 2
    inside = assay("label", "runs/log", "--csv", "outcomes.csv", "-o", "runs/log/mine.jsonl")
    assert inside.code == 2
    assert inside.error == (
        "runs/log/mine.jsonl: is in an audit's directory, which the next audit replaces; choose "
        "another --out"
    )
    assert not (tmp_path / "runs/log/mine.jsonl").exists()


def test_verdicts_to_look_at_are_drawn(assay: Assay, bare: Path):
    none = assay("label", bare, "--template", "look.csv", "--audit", "2")
    assert (none.code, "no judge (E1, E2) decided an outcome of it" in none.err) == (2, True)
    alone = assay("label", bare, "--csv", "x.csv", "--audit", "2")
    assert (alone.code, "--audit draws the rows of a table" in alone.err) == (2, True)
    assert not Path("look.csv").exists()
    grades = [(Grade(level="E1", value=float(k < 8), source="j"),) for k in range(12)]
    write(
        "judged.jsonl",
        (Trajectory(id=f"{k}", task="t", group="t", grades=g) for k, g in enumerate(grades)),
    )
    ended = assay("label", "judged.jsonl", "--template", "look.csv", "--audit", "4")
    assert (ended.code, ended.err) == (0, "")
    assert ended.text.splitlines() == [
        "look.csv  4 trajectories; fill in outcome, as 1 or 0",
        "assay label judged.jsonl --csv look.csv --level E4",
    ]
    rows = Path("look.csv").read_text().splitlines()[1:]
    accepted = [int(row.split(",")[0]) < 8 for row in rows]
    assert (len(rows), sum(accepted)) == (4, 2)
    again = assay("label", "judged.jsonl", "--template", "-", "--audit", "4", "--seed", "1")
    assert again.text.splitlines()[1:] != rows


def test_a_template_is_filled_in_and_handed_back(assay: Assay, bare: Path, tmp_path: Path):
    ended = assay("label", bare, "--template", "fill.csv")
    assert (ended.code, ended.err) == (0, "")
    assert ended.text.splitlines() == [
        "fill.csv  6 trajectories; fill in outcome, as 1 or 0",
        f"assay label {bare} --csv fill.csv",
    ]
    rows = Path("fill.csv").read_text().splitlines()
    assert rows[0] == "id,group,task,outcome,reason,content"
    assert [row.rpartition(",")[0] for row in rows[1:3]] == ["a/0,a,a,,", "a/1,a,a,,"]
    assert len({row.rpartition(",")[2] for row in rows}) == 7
    assert len(rows) == 7
    assert assay("label", bare, "--template", "-").out == Path("fill.csv").read_bytes()
    rows[1] = rows[1].replace(",,,", ",1,looked,")
    Path("fill.csv").write_text("\n".join(rows))
    again = assay("label", bare, "--template", "fill.csv")  # never over what was filled in
    assert again.code == 2
    assert again.error == (
        "fill.csv: exists and may be filled in; choose another name, or remove it"
    )
    said = assay("label", bare, "--csv", "fill.csv").text.splitlines()
    assert said[0].endswith("1 trajectory labelled, E3 by csv:fill.csv")
    assert said[1] == "5 rows without an outcome"  # and so no trajectory without a row
    assert said[2].startswith("assay audit")
    assert audited(assay, bare)["trajectories"]["passed"] == 1


def test_only_a_person_overrules_the_log(assay: Assay, log: Path, tmp_path: Path):
    path = table(tmp_path, "id,outcome\na/1,1\n")
    ended = assay("label", log, "--csv", path)
    stands = "1 trajectory has an outcome in the log, which stands: only --level E4, a person, "
    assert f"{stands}overrules it" in ended.text.splitlines()
    assert audited(assay, log)["trajectories"]["passed"] == 2
    ended = assay("label", log, "--csv", path, "--level", "E4", "--source", "Ann")
    assert "stands" not in ended.text
    assert audited(assay, log)["trajectories"]["passed"] == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "name,outcome\na,1\n",
            "got columns name, outcome; expected outcome, and id, content or task",
        ),
        ("id,reward\na,1\n", "got columns id, reward"),
        ("", "got columns none"),
        ("id,outcome\na/0,1\na/0,0\n", "line 3: 'a/0' occurs twice"),
        ("id,outcome\na/0,good\n", "line 2: outcome: got 'good'; expected a number"),
        ("id,outcome\na/0,nan\n", "line 2: outcome: got 'nan'"),
        ("id,outcome\na/0,1_0\n", "line 2: outcome: got '1_0'; expected a number"),
        ("id,outcome\na/0,\u0661\n", "line 2: outcome: got '\u0661'"),
        ("id,outcome\na/0,1\na/1,0,1\n", "line 3: got 3 cells; expected 2, one for each column"),
        ('id,outcome\na/0,1\na/1,"0\n', "line 3: unexpected end of data"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(
    assay: Assay, bare: Path, tmp_path: Path, text: str, says: str
):
    ended = assay("label", bare, "--csv", table(tmp_path, text))
    assert ended.code == 3
    assert says in ended.error
    assert not (tmp_path / LABELS).exists()


def test_a_table_that_is_not_there_is_a_plain_sentence(assay: Assay, bare: Path):
    ended = assay("label", bare, "--csv", "nowhere.csv")
    assert ended.code == 3
    assert ended.error == "nowhere.csv: No such file or directory; expected a table"


# --- judges

JUDGE = """
import json, sys
record = json.loads(sys.stdin.read())
with open("seen.txt", "a") as seen:
    seen.write(record["id"] + "\\n")
answers = {"a/0": "1", "a/1": "0.0", "b/0": "null"}
if record["id"] == "c/0" and not __import__("pathlib").Path("mended").exists():
    sys.exit(7)
print(answers.get(record["id"], "0.5"))
"""


def judge(tmp_path: Path, code: str = JUDGE) -> str:
    (tmp_path / "judge.py").write_text(code)
    return f"{sys.executable} judge.py"


def test_a_judge_that_stops_is_gone_on_with(assay: Assay, bare: Path, tmp_path: Path):
    command = judge(tmp_path)
    ended = assay("label", bare, "--judge", command, "--source", "mine")
    assert ended.code == 3
    assert "trajectory 'c/0': ended with code 7; run again to go on" in ended.error
    path = tmp_path / LABELS
    assert {name: grade.value for name, (grade,) in grades(path).items()} == {
        **{"a/0": 1.0, "a/1": 0.0},
        **{"b/0": None, "b/1": 0.5},
    }
    path.write_bytes(path.read_bytes() + b'{"schema":"assay.label/1","id":"c/')  # killed there
    (tmp_path / "mended").touch()
    ended = assay("label", bare, "--judge", command, "--source", "mine")
    assert ended.text.splitlines()[:2] == [
        f"{path}  2 trajectories judged, E1 by mine",
        "4 trajectories had been judged before, E1 by mine; another --source judges again",
    ]
    seen = (tmp_path / "seen.txt").read_text().split()
    assert seen == ["a/0", "a/1", "b/0", "b/1", "c/0", "c/0", "c/1"]
    found = audited(assay, bare, **{"pass-at": "0.5"})
    assert found["trajectories"]["scored"] == 5
    assert found["trajectories"]["by_category"]["weak_failure"] == 1
    assert found["trajectories"]["by_category"]["unverified_claim"] == 4


def test_another_command_is_another_judge(assay: Assay, bare: Path, tmp_path: Path):
    command = judge(tmp_path, "import sys; sys.stdin.read(); print(sys.argv[1])")
    for verdict in ("1", "0", "0"):
        ended = assay("label", bare, "--judge", f"{command} {verdict}")
    source = f"judge:{command} 0"
    assert ended.text.splitlines()[:2] == [
        f"{tmp_path / LABELS}  0 trajectories judged, E1 by {source}",
        f"6 trajectories had been judged before, E1 by {source}; another --source judges again",
    ]
    values = {(grade.source, grade.value) for grade in grades(tmp_path / LABELS)["a/0"]}
    assert values == {(f"judge:{command} 1", 1.0), (source, 0.0)}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print('yes')", "printed 'yes'; expected a number or null"),
        ("print('true')", "printed 'true'"),
        ("print('NaN')", "printed 'NaN'"),
        ("print('[1]')", "printed '[1]'"),
        ("pass", "printed ''"),
        ("import time; time.sleep(60)", "no verdict in 0.5 s; run again to go on"),
    ],
)
def test_what_is_no_verdict_is_one_line(
    assay: Assay, bare: Path, tmp_path: Path, code: str, says: str
):
    ended = assay("label", bare, "--judge", judge(tmp_path, code), "--timeout", "0.5")
    assert ended.code == 3
    assert says in ended.error
    assert "trajectory 'a/0'" in ended.error


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "give one of --csv FILE, --judge COMMAND and --template FILE"),
        (("--csv", "x", "--judge", "y"), "give one of --csv FILE, --judge COMMAND"),
        (("--template", "x", "--judge", "y"), "give one of --csv FILE, --judge COMMAND"),
        (("--judge", "true", "--level", "E0"), "--level E0: expected E1, E2, E3 or E4"),
        (("--judge", "no-such-command-anywhere"), "--judge no-such-command-anywhere: No such file"),
        (("--judge", "'"), "No closing quotation"),
        (("--judge", " "), "--judge: empty"),
        (("--judge", "true", "-o", "log.jsonl"), "is the log, or a folder"),
    ],
)
def test_wrong_options_are_one_line(
    assay: Assay, bare: Path, tmp_path: Path, options: tuple[str, ...], says: str
):
    ended = assay("label", bare, *options)
    assert ended.code == 2
    assert says in ended.error


@pytest.mark.parametrize("by", [("--csv", "outcomes.csv"), ("--judge", "echo 1")])
@pytest.mark.parametrize("content", ["dear diary", "a line\n", '{"schema":"assay.trajectory/1"'])
def test_a_file_that_holds_no_labels_is_left_alone(
    assay: Assay, bare: Path, tmp_path: Path, by: tuple[str, str], content: str
):
    table(tmp_path, "id,outcome\na/0,1\n")
    other = table(tmp_path, content, "other.txt")
    ended = assay("label", bare, *by, "-o", other)
    assert ended.code == 3
    assert f"{other} line 1:" in ended.error
    assert other.read_text() == content


def test_labels_of_another_log_and_files_that_are_none_are_said(
    assay: Assay, bare: Path, tmp_path: Path
):
    path = tmp_path / LABELS
    line = '{"schema":"assay.label/1","id":"%s","grade":{"level":"E1","value":1.0}}\n'
    path.write_text(line % "a/0" + line % "elsewhere")
    found = audited(assay, bare)
    assert found["losses"]["label_of_no_trajectory"] == 1
    assert "1 label is of no trajectory of this log" in found["trust"]["warnings"]
    path.write_text("{}\n")
    ended = assay("audit", bare, "--labels", path, "--json", "-")
    assert ended.code == 3
    assert "line 1:" in ended.error
    assert "expected an assay.label/1" in ended.error
    ended = assay("audit", bare, "--labels", "nowhere", "--json", "-")
    assert (ended.code, "expected a file of labels" in ended.error) == (3, True)


def test_what_labels_leave_without_an_outcome_is_one_count(assay: Assay, tmp_path: Path):
    """Of five trials two are scored, infrastructure stopped one, and two wait for a label."""
    log, given = FIXTURES / "harbor", tmp_path / "given"
    for ids, left in ((("parse__0000004",), 2), (("parse__0000004", "parse__0000005"), 1)):
        rows = table(tmp_path, "".join(["id,outcome\n", *(f"{id},1\n" for id in ids)]))
        assert assay("label", log, "--csv", rows, "-o", given).code == 0
        found = assay("audit", log, "--labels", given, "--json", "-").json
        assert found["trajectories"]["unscored"] == found["losses"]["no_outcome"] == left
        said = [text for text in found["trust"]["warnings"] if "no outcome at all" in text]
        assert said == ["1 more of 5 trajectories has no outcome at all"] * (left - 1)

"""`assay label` of logs without ids: a label stays with what it was said of, or is said to be
lost."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CHAT, Assay

MAP = ("--map", "task=task,messages=messages")


def rows_of(path: Path, words: str, **extra: str) -> Path:
    """Writes a table of a row a word, without ids, trials and outcomes."""
    said = [
        {**extra, "task": "t", "messages": [{"role": "assistant", "content": word}]}
        for word in words.split()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in said))
    return path


def outcomes(assay: Assay, log: Path) -> dict[str, float | None]:
    """What each word counts as, in an audit with the labels; and how many labels are of none."""
    labelled = f"{log}.labels.jsonl"
    made = assay("import", log, "--labels", labelled, "-o", "read.jsonl", *MAP)
    assert made.code == 0
    audited = assay("audit", log, "--labels", labelled, "--json", "-", *MAP)
    found: dict[str, float | None] = {
        "lost": audited.json["losses"].get("label_of_no_trajectory", 0)
    }
    for line in Path("read.jsonl").read_text().splitlines():
        record = json.loads(line)
        values = [grade.get("value") for grade in record.get("grades", [])]
        found[record["steps"][0]["text"]] = values[0] if values else None
    return found


def filled(assay: Assay, log: Path, *values: str) -> Path:
    """The template of a log, its outcomes filled in."""
    assert assay("label", log, "--template", "fill.csv", *MAP).code == 0
    first, *rows = Path("fill.csv").read_text().splitlines()
    rows = [row.replace(",,,", f",{v},,") for row, v in zip(rows, values, strict=True)]
    Path("fill.csv").write_text("\n".join((first, *rows)) + "\n")
    return Path("fill.csv")


def test_labels_follow_their_rows(assay: Assay, tmp_path: Path):
    log = rows_of(tmp_path / "rows.jsonl", "good bad")
    assert assay("label", log, "--csv", filled(assay, log, "1", "0"), *MAP).code == 0
    assert outcomes(assay, log) == {"lost": 0, "good": 1.0, "bad": 0.0}
    rows_of(log, "new bad good")
    assert outcomes(assay, log) == {"lost": 0, "new": None, "bad": 0.0, "good": 1.0}
    rows_of(log, "new good changed")
    assert outcomes(assay, log) == {"lost": 1, "new": None, "good": 1.0, "changed": None}


def test_a_template_is_handed_back_after_rows_moved(assay: Assay, tmp_path: Path):
    log = rows_of(tmp_path / "rows.jsonl", "good bad gone")
    table = filled(assay, log, "1", "0", "1")
    rows_of(log, "new bad good")
    ended = assay("label", log, "--csv", table, *MAP)
    assert ended.code == 0
    assert "1 row of no trajectory in the log" in ended.text
    assert "1 trajectory without a row" in ended.text
    assert outcomes(assay, log) == {"lost": 0, "new": None, "bad": 0.0, "good": 1.0}


def test_rows_that_are_alike_keep_their_number_of_labels(assay: Assay, tmp_path: Path):
    log = rows_of(tmp_path / "rows.jsonl", "same same")
    assert assay("label", log, "--csv", filled(assay, log, "1", "0"), *MAP).code == 0
    rows_of(log, "new same same")
    made = assay("audit", log, "--labels", f"{log}.labels.jsonl", "--json", "-", *MAP).json
    assert (made["trajectories"]["passed"], made["trajectories"]["scored"]) == (1, 2)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("id,outcome\nrows.jsonl/1,1\n", "'rows.jsonl/1'"),
        ("task,trial,outcome\nt,0,1\n", "'t trial 0'"),
    ],
)
def test_a_place_in_the_log_names_nothing(assay: Assay, tmp_path: Path, text: str, named: str):
    log = rows_of(tmp_path / "rows.jsonl", "good bad")
    (tmp_path / "by_place.csv").write_text(text)
    ended = assay("label", log, "--csv", "by_place.csv", *MAP)
    assert ended.code == 3
    assert ended.error == (
        f"by_place.csv: {named} is a place in the log, where another trajectory may stand by now; "
        "name it by content, as --template does"
    )
    assert not Path(f"{log}.labels.jsonl").exists()


def test_an_id_that_occurs_twice_is_a_place_too(assay: Assay, tmp_path: Path):
    log = rows_of(tmp_path / "rows.jsonl", "good bad", name="x")
    (tmp_path / "table.csv").write_text("id,outcome\nx,1\n")
    by_name = ("--map", "task=task,messages=messages,id=name")
    ended = assay("label", log, "--csv", "table.csv", *by_name)
    assert (ended.code, "'x' is a place in the log" in ended.error) == (3, True)


def test_a_judge_judges_what_is_new(assay: Assay, tmp_path: Path):
    log = rows_of(tmp_path / "rows.jsonl", "good bad")
    (tmp_path / "judge.py").write_text(
        "import sys\nprint(1 if 'good' in sys.stdin.read() else 0)\n"
    )
    by = ("--judge", f"{sys.executable} judge.py", "--source", "mine", *MAP)
    assert "2 trajectories judged" in assay("label", log, *by).text
    rows_of(log, "good2 bad")
    said = assay("label", log, *by).text.splitlines()
    assert said[0].endswith("1 trajectory judged, E1 by mine")
    assert said[1].startswith("1 trajectory had been judged before, E1 by mine;")
    assert said[2] == "1 label of the file is of no trajectory of the log as it is now"
    # a judge that is trusted more says it anew
    again = assay("label", log, *by, "--level", "E2").text.splitlines()
    assert again[0].endswith("2 trajectories judged, E2 by mine")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Six trajectories of a, b and c, none of them scored."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({**each, "reward": None}) + "\n" for each in CHAT))
    return path


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("id,outcome,outcome\na/0,1,0\n", 3, "column outcome occurs twice; expected it once"),
        ("id,id,outcome\na/0,a/1,0\n", 3, "column id occurs twice"),
        ("id,outcome\n a/0 ,1\n", 0, "1 row with spaces around a name, which are left off"),
        ("id,outcome\n a/0 ,1\na/0,0\n", 3, "'a/0' occurs twice"),
    ],
)
def test_what_a_table_may_hold(
    assay: Assay, bare: Path, tmp_path: Path, text: str, code: int, says: str
):
    (tmp_path / "table.csv").write_text(text)
    ended = assay("label", bare, "--csv", "table.csv")
    assert ended.code == code
    assert says in (ended.error if code else ended.text)


def test_a_task_and_trial_of_two_models_are_asked_for_by_id(assay: Assay, tmp_path: Path):
    said: list[dict[str, Any]] = [
        {"task": "t", "trial": 0, "id": model, "messages": [{"role": "user", "content": model}]}
        for model in ("sonnet", "opus")
    ]
    log = tmp_path / "two.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in said))
    (tmp_path / "table.csv").write_text("task,trial,outcome\nt,0,1\n")
    ended = assay("label", log, "--csv", "table.csv")
    assert ended.code == 3
    assert ended.error == ("table.csv: task 't' trial 0 fits 'sonnet' and 'opus'; name them by id")


def test_a_judge_of_many_digits_is_one_line(assay: Assay, bare: Path, tmp_path: Path):
    (tmp_path / "judge.py").write_text("print('1' * 401)\n")
    ended = assay("label", bare, "--judge", f"{sys.executable} judge.py")
    assert ended.code == 3
    assert f"printed {'1' * 80!r}; expected a number or null" in ended.error


def test_which_of_two_levels_counts_is_said(assay: Assay, bare: Path, tmp_path: Path):
    (tmp_path / "table.csv").write_text("id,outcome\na/0,1\na/1,0\n")
    (tmp_path / "judge.py").write_text("print(0)\n")
    assert assay("label", bare, "--csv", "table.csv").code == 0
    by = ("--judge", f"{sys.executable} judge.py", "--source", "mine")
    ended = assay("label", bare, *by)
    assert (
        "1 trajectory has another outcome by csv:table.csv, E3, which counts: yours are E1"
    ) in ended.text.splitlines()
    ended = assay("label", bare, "--csv", "table.csv")
    assert (
        "1 trajectory has another outcome by mine, E1; yours count: they are E3"
    ) in ended.text.splitlines()

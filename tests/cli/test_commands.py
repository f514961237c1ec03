"""Every verb as a user meets it: what it prints, writes and exits with."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tools.record import PLANTED

from assay.credit import METHODS
from assay.records import read
from tests.cli.conftest import CHAT, Assay


def written(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# --- audit


def test_audit_prints_tables_and_leaves_a_run(assay: Assay, log: Path, tmp_path: Path):
    ended = assay("audit", log)
    assert (ended.code, ended.err) == (0, "")
    first, second, *_ = ended.text.splitlines()
    assert first.endswith("log.jsonl: 6 trajectories in 3 groups, format chat")
    assert second == "outcome: the log's own · pass at 1 · groups: the log's own"
    rows = {re.sub(r" {2,}", "|", line.strip()) for line in ended.text.splitlines()}
    # 3 groups: one mixed, one all-fail, one with a single score
    assert {
        "mixed: some pass, some fail|1|1 of 3",
        "all fail|1|1 of 3",
        "one scored member|1|1 of 3",
    } <= rows
    assert "teach GRPO nothing|2|2 of 3" in rows
    # 6 calls, one of them in a2's failure: its sibling a1 made it and passed
    assert {"all|6", "punished by GRPO|1|1 of 6"} <= rows
    assert "of these made by a successful sibling|1|1 of 1" in rows
    assert "says it is done|2|3" in rows
    assert "! 1 of 6 trajectories has no outcome at all" in ended.text
    assert "! 3 of 5 trajectories that say they are done failed" in ended.text
    assert Path("runs/log/report.html").is_file()
    assert f"run directory  {Path('runs/log')}" in ended.text
    assert f"report         {Path('runs/log/report.html')}" in ended.text
    assert written(tmp_path / "runs" / "log")[0] == "audit.json"


def test_audit_json_is_one_object_and_nothing_else(assay: Assay, log: Path, tmp_path: Path):
    ended = assay("audit", log, "--json", "-")
    assert (ended.code, ended.err) == (0, "")
    assert ended.json["schema"] == "assay.audit/2"
    assert ended.json["groups"]["mixed"] == 1
    assert written(tmp_path) == ["log.jsonl"]  # nothing is written unless asked for
    again = assay("audit", log, "--json", "-")
    assert again.out == ended.out


def test_audit_json_to_a_file_and_a_run_beside_it(assay: Assay, log: Path, tmp_path: Path):
    ended = assay("audit", log, "--json", "deep/result.json", "-o", "run", "--no-report")
    assert ended.code == 0
    assert "Groups" in ended.text
    assert not (tmp_path / "run" / "report.html").exists()
    stored = json.loads(Path("deep/result.json").read_bytes())
    assert stored == json.loads(Path("run/audit.json").read_bytes())
    both = assay("audit", log, "--json", "-", "-o", "run")
    assert both.json == stored
    assert (tmp_path / "run" / "report.html").exists()


def test_the_names_of_the_audit_are_a_contract(assay: Assay, log: Path):
    """Other programs read these; add freely, rename nothing."""
    result = assay("audit", log, "--json", "-").json
    promised: dict[str, Any] = {
        "groups": "total all_fail all_pass mixed constant_partial single unscored",
        "trajectories": "total scored unscored passed pass_rate by_end",
        "pass_at_k": "1 2",
        "pass_hat_k": "1 2",
        "calls": "total error in_failed_of_mixed punished punished_expert punished_sibling "
        "punished_correct punished_variance punished_systematic expert_in_all_fail",
        "steps": "total",
        "claims": "claimed_verified claimed_failed silent_verified silent_failed unscored",
        "fate": "trained_up trained_down punished_correct dead infrastructure truncated masked "
        "drifted",
        "recovered": "grpo nsr psr",
    }
    for key, names in promised.items():
        assert set(names.split()) <= set(result[key]), key
    assert set(result["fate"]["dead"]) == {"trajectories", "characters"}
    assert set(result["recovered"]["nsr"]) == {"groups", "steps", "share_of_dead"}
    assert result["losses"] == {}
    assert isinstance(result["trust"], dict)


@pytest.mark.parametrize(
    ("rule", "code"),
    [  # 2 of 3 groups are dead; 1 of 6 is unscored; 3 of 5 fail; nothing erred
        ("dead>0.4", 1),
        ("dead > 0.9", 0),
        ("dead>=0.66", 1),
        ("dead<0.7", 1),
        ("dead<=0.6", 0),
        ("unscored>0.16", 1),
        ("unscored>0.17", 0),
        ("fail>=0.6", 1),
        ("errors>0", 0),
        ("errors>=0", 1),
        ("infra>0", 0),
        ("punished>=1", 1),
        ("false_claims>0.5", 1),
        ("wasted>0", 1),
    ],
)
def test_fail_on(assay: Assay, log: Path, rule: str, code: int):
    ended = assay("audit", log, "--json", "-", "--fail-on", rule)
    assert ended.code == code
    assert ended.json["schema"] == "assay.audit/2"  # the result is there either way
    assert (f"--fail-on {rule} holds" in ended.err) == bool(code)


def test_fail_on_is_repeatable_and_each_is_named(assay: Assay, log: Path):
    rules = ("--fail-on", "dead>0.4", "--fail-on", "infra>0", "--fail-on", "fail>0.1")
    ended = assay("audit", log, "-o", "run", "--no-report", *rules)
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "assay: --fail-on dead>0.4 holds",
        "assay: --fail-on fail>0.1 holds",
    ]
    assert Path("run/audit.json").is_file()  # a finding is no reason to lose the run


def test_pass_at(assay: Assay, log: Path):
    assert assay("audit", log, "--json", "-", "--pass-at", "0").json["trajectories"]["passed"] == 5
    assert assay("audit", log, "--json", "-", "--pass-at", "2").json["trajectories"]["passed"] == 0


def test_brackets_in_a_name_are_no_markup(assay: Assay, log: Path, tmp_path: Path):
    odd = tmp_path / "[red]x[/nope].jsonl"
    odd.parent.mkdir(exist_ok=True, parents=True)
    odd.write_text(log.read_text())
    ended = assay("audit", odd, "-o", "[bold]run", "--no-report")
    assert ended.code == 0
    assert "[red]x[/nope].jsonl: 6 trajectories" in ended.text
    assert "run directory  [bold]run" in ended.text


def test_another_log_of_the_same_name_has_its_audit_elsewhere(
    assay: Assay, log: Path, tmp_path: Path
):
    folders = [tmp_path / "one" / "log.jsonl", tmp_path / ".two" / "log.jsonl"]
    for path, rows in zip(folders, (CHAT, CHAT[:2]), strict=True):
        path.parent.mkdir()
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for _ in range(2):  # whichever is audited again goes where it was
        for path, where in zip(folders, ("runs/log", "runs/two-log"), strict=True):
            ended = assay("audit", path, "--no-report", "--no-cache")
            assert ended.text.splitlines()[-1] == f"run directory  {where}"
    assert json.loads(Path("runs/log/audit.json").read_bytes())["trajectories"]["total"] == 6
    assert json.loads(Path("runs/two-log/audit.json").read_bytes())["trajectories"]["total"] == 2
    # who names the folder is told what was there
    ended = assay("audit", folders[1], "--no-report", "-o", "runs/log")
    assert ended.text.splitlines()[-1] == f"replaced       the audit of {folders[0]}"
    again = assay("audit", folders[1], "--no-report", "-o", "runs/log")
    assert "replaced" not in again.text


def test_a_second_audit_says_what_it_read_again(
    assay: Assay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("assay.cli.audit.time.time_ns", lambda: 2**62)  # all was written long ago
    folder = tmp_path / "logs"
    folder.mkdir()
    for row in CHAT[::2]:
        (folder / f"{row['task']}.jsonl").write_text(json.dumps(row) + "\n")
    said = [assay("audit", folder, "--no-report").text.splitlines()[2] for _ in range(2)]
    assert "read" not in said[0]
    unchanged = "read again: nothing, the log has not changed since the last audit"
    assert said[1] == unchanged
    # other options count again what was read then
    other = assay("audit", folder, "--no-report", "--pass-at", "0.5").text.splitlines()
    assert other[2] == unchanged
    (folder / "b.jsonl").write_text(json.dumps(CHAT[3]) + "\n")
    said = assay("audit", folder, "--no-report").text.splitlines()
    assert said[2] == "read again: 1 of 3 files"
    said = assay("audit", folder, "--no-report", "--no-cache").text.splitlines()
    assert not said[2].startswith("read again")


def test_losses_are_sentences_and_keys_of_the_log_their_names(assay: Assay, log: Path):
    rows = [{**CHAT[0], **{f"k{n:02}": 1 for n in range(22)}}, {**CHAT[1], "reward": None}]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"task": "a", "tri')
    text = " ".join(assay("audit", log, "--no-report").text.split())
    assert "! 1 record is cut short or damaged and not read" in text
    said = text.partition("Not carried over ")[2]
    assert said.startswith("- by name: key:k00 x 1, key:k01 x 1, ")
    assert "key:k19 x 1 and 2 more, in audit.json" in said
    assert "torn_record" not in text  # a sentence has said it
    from_us = Path(__file__).parents[1] / "fixtures" / "tau_bench"
    text = assay("audit", from_us, "--no-report").text
    assert "- 1 trajectory that infrastructure stopped has a score: unscored" in text


def test_tables_of_nothing_are_left_out(assay: Assay, log: Path):
    """No call; and a group that is dead only because nobody scored it, so no signal is in it."""
    scored = [{**row, "task": "b", "reward": float(n)} for n, row in enumerate(CHAT[:2])]
    bare = [{**row, "task": "z", "reward": None} for row in CHAT[:2]]
    log.write_text("".join(json.dumps(row) + "\n" for row in [*scored, *bare]))
    text = assay("audit", log, "--no-report").text
    assert "Tool calls" in text
    assert "Signal in dead groups: none, by any method" in text
    assert "Signal in dead groups, by method" not in text
    for row in scored:
        row["messages"] = [row["messages"][0], row["messages"][-1]]
    log.write_text("".join(json.dumps(row) + "\n" for row in scored))
    assert "Tool calls" not in assay("audit", log, "--no-report").text
    rows = [
        {"task": "a", "trial": n, "reward": 1.0, "messages": [{"role": "user", "content": "x"}]}
        for n in range(2)
    ]
    for n, row in enumerate(rows):
        row["messages"].append({"role": "assistant", "content": f"{n}"})
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = assay("audit", log, "--no-report").text
    assert "Tool calls" not in text
    assert "Groups" in text


# --- credit


def test_credit_prints_a_line_for_each_trajectory(assay: Assay, log: Path):
    ended = assay("credit", log, "--method", "dr_grpo", "--json", "-")
    assert (ended.code, ended.err) == (0, "")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["id"] for line in lines] == ["a/0", "a/1", "b/0", "b/1", "c/0", "c/1"]
    for line, row in zip(lines, CHAT, strict=True):
        assert list(line) == [
            *("schema", "id", "group", "method", "keep", "reason"),
            *("step_advantage", "carried", "terms"),
        ]
        assert line["schema"] == "assay.credit/1"
        assert line["method"] == "dr_grpo"
        assert line["group"] == row["task"]
        said = [m for m in row["messages"] if m["role"] == "assistant"]
        assert len(line["step_advantage"]) == len(line["carried"]) == len(said) == 2
        assert all(len(values) == 2 for values in line["terms"].values())
    # "I look. a0" and look({"at": "it"}) are 10 + 16 characters, "Done." 5
    assert [line["carried"] for line in lines] == [[26, 5]] * 5 + [[0, 0]]
    advantages = [line["step_advantage"] for line in lines]
    assert advantages == [[0.5] * 2, [-0.5] * 2, *[[0.0] * 2] * 3, [None] * 2]
    assert [line["reason"] for line in lines] == ["ok"] * 5 + ["unscored"]
    assert [line["keep"] for line in lines] == [True] * 5 + [False]


def test_credit_writes_one_file_a_method(assay: Assay, log: Path, tmp_path: Path):
    ended = assay("credit", log, "-m", "nsr", "-m", "toolpo", "-m", "nsr", "-o", "credit")
    assert ended.code == 0
    assert ended.text.splitlines() == [
        f"{Path('credit/nsr.jsonl')}  6 trajectories",
        f"{Path('credit/toolpo.jsonl')}  6 trajectories",
    ]
    assert written(tmp_path / "credit") == ["nsr.jsonl", "toolpo.jsonl"]
    for name in ("nsr", "toolpo"):
        stored = Path(f"credit/{name}.jsonl").read_bytes()
        assert stored == assay("credit", log, "-m", name, "--json", "-").out
    terms = json.loads(Path("credit/toolpo.jsonl").read_bytes().splitlines()[0])["terms"]
    assert len(terms) == 2  # outcome and tools, apart


def test_a_method_that_refuses_leaves_nothing_of_those_before_it(assay: Assay, log: Path):
    log.write_text(log.read_text().replace('"reward": 0.0', '"reward": -4.0'))
    for to in (("-o", "credit"), ("--json", "-"), ("--json", "made.jsonl")):
        ended = assay("credit", log, "-m", "grpo", "-m", "max_rl", *to)
        assert (ended.code, ended.out) == (3, b"")
        assert "max_rl needs mean outcomes above 0" in ended.err
    assert not Path("credit").exists()
    assert not Path("made.jsonl").exists()


def test_credit_and_its_controls(assay: Assay, log: Path, tmp_path: Path):
    ended = assay("credit", log, "-m", "toolpo", "--control", "random", "--dose", "0.5", "-o", "c")
    assert ended.code == 0
    assert written(tmp_path / "c") == ["toolpo-random.jsonl"]
    lines = [json.loads(line) for line in Path("c/toolpo-random.jsonl").read_bytes().splitlines()]
    assert {line["method"] for line in lines} == {"toolpo-random"}
    # the mean of |A| over the characters that may be trained, those without an outcome aside
    steps = [
        pair for line in lines for pair in zip(line["step_advantage"], line["carried"], strict=True)
    ]
    mass = sum(abs(value or 0.0) * carried for value, carried in steps)
    assert mass == pytest.approx(0.5 * 5 * 31)
    again = assay("credit", log, "-m", "toolpo", "--control", "random", "--dose", "0.5", "-o", "d")
    assert again.code == 0
    same = Path("d/toolpo-random.jsonl").read_bytes() == Path("c/toolpo-random.jsonl").read_bytes()
    assert same
    wrong = assay("credit", log, "-m", "toolpo", "--control", "shufled", "--json", "-")
    assert wrong.code != 0
    assert "recipe.control: no control 'shufled'. Did you mean" in " ".join(wrong.err.split())


def test_credit_of_several_methods_on_standard_output(assay: Assay, log: Path):
    ended = assay("credit", log, "-m", "grpo", "-m", "nsr", "--json", "-")
    methods = [json.loads(line)["method"] for line in ended.out.splitlines()]
    assert methods == ["grpo"] * 6 + ["nsr"] * 6


def first_advantage(ended: Any) -> float:
    assert ended.code == 0, ended.err
    return json.loads(ended.out.splitlines()[0])["step_advantage"][0]


def test_options_of_a_method(assay: Assay, log: Path):
    # outcomes 1, 0: deviation 1/2 by n, sqrt(1/2) by n - 1; eps as given
    def grpo(*options: str) -> float:
        return first_advantage(assay("credit", log, "-m", "grpo", "--json", "-", *options))

    assert grpo() == pytest.approx(0.5 / (0.5**0.5 + 1e-6))
    assert grpo("--set", "ddof=0", "--set", "eps=0") == 1.0
    assert grpo("--set", "scale=none") == 0.5
    assert grpo("--set", "sign=negative") == 0.0
    assert grpo("--like", "trl") == pytest.approx(0.5 / (0.5**0.5 + 1e-4))
    assert grpo("--like", "trl", "--set", "eps=0") == pytest.approx(0.5**0.5)


def test_pass_at_reaches_methods_that_know_only_passes(assay: Assay, log: Path):
    def psr(*options: str) -> float:
        return first_advantage(assay("credit", log, "-m", "psr", "--json", "-", *options))

    assert psr() == 1.0
    assert psr("--pass-at", "2") == 0.0
    assert psr("--pass-at", "2", "--set", "pass_at=1") == 1.0


def test_credit_of_a_log_that_nobody_scored_says_so(assay: Assay, log: Path):
    log.write_text("".join(json.dumps({**row, "reward": None}) + "\n" for row in CHAT))
    ended = assay("credit", log, "-m", "grpo", "--json", "-")
    assert ended.code == 0
    assert ended.error == (
        f"{log}: no trajectory has an outcome, so every advantage by outcome is null; give "
        "outcomes with --outcome, or with assay label"
    )
    assert all(json.loads(line)["step_advantage"] == [None] * 2 for line in ended.out.splitlines())


def test_export_says_what_it_wrote_instead(assay: Assay, log: Path):
    """A log without token ids: verifiers takes one advantage of each trace; c1 is unscored."""
    ended = assay("export", log, "-m", "dr_grpo", "--to", "verifiers", "-o", "out")
    assert ended.code == 0
    assert ended.text == "out  5 rows, one advantage each\n"
    assert ended.err.splitlines() == [
        "5 trajectories have no token ids: the one advantage of the whole trace is written, and "
        "none of a token; the first: a/0",
        "1 trajectory was dropped by the gates (unscored) and left out; the first: c/1",
    ]
    ended = assay("export", log, "-m", "grpo", "--to", "trl", "-o", "two")
    assert ended.code == 3
    assert "the log has no token ids; --to verifiers takes one of a whole trace" in ended.error


# --- import


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.zst"])
def test_import_keeps_what_the_audit_counts(assay: Assay, log: Path, tmp_path: Path, name: str):
    ended = assay("import", log, "-o", name)
    assert (ended.code, ended.err) == (0, "")
    assert ended.text == f"{name}  6 trajectories from chat\n"
    assert [record.id for record in read(tmp_path / name)][:2] == ["a/0", "a/1"]
    of_log, of_import = (assay("audit", path, "--json", "-").json for path in (log, name))
    assert of_log == of_import


def test_import_says_what_was_lost(assay: Assay, log: Path):
    row = CHAT[0] | {"colour": "red", "id": "x"}
    log.write_text(f"{json.dumps(row)}\n{json.dumps(row)}\n")
    ended = assay("import", log, "-o", "out.jsonl")
    assert ended.code == 0
    lost = ended.err.splitlines()
    assert len(lost) == 2
    assert lost[0].startswith("not carried over: key:colour x 2, first at ")
    assert lost[1].startswith("not carried over: repeated_id x 1, first at ")
    assert "(1 trajectory id occurs more than once and was told apart: " in lost[1]


@pytest.mark.shared_data
def test_import_of_real_logs(assay: Assay, tmp_path: Path):
    data = Path(__file__).parents[3] / "shared" / "data"
    if not data.is_dir():
        pytest.skip("needs shared/data beside the repository")
    for source in ("tau-bench/gpt-4o-airline.json", "who-and-when"):
        assert assay("import", data / source, "-o", "out.jsonl.zst").code == 0
        ours = assay("audit", "out.jsonl.zst", "--json", "-").json
        theirs = assay("audit", data / source, "--json", "-").json
        assert theirs.pop("losses") is not None
        assert ours.pop("losses") == {}
        more = theirs["trust"].pop("warnings")  # what was lost is said too
        assert set(ours["trust"].pop("warnings")) <= set(more)
        assert ours == theirs


# --- methods, doctor, demo, view


def test_methods_lists_every_row_of_the_code(assay: Assay):
    ended = assay("methods", "--json", "-")
    assert ended.code == 0
    assert ended.json["schema"] == "assay.methods/1"
    rows = {row["name"]: row for row in ended.json["methods"]}
    assert list(rows) == METHODS.names()
    for row in rows.values():
        assert set(row) == {
            *("name", "value", "unit", "peers", "carried", "scaling", "source"),
            *("needs", "options"),
        }
        assert all(row[key] for key in ("value", "unit", "peers", "carried", "scaling", "source"))
    assert rows["grpo"]["options"]["ddof"] == 1
    assert rows["grpo"]["options"]["cap"] is None  # JSON has no infinity
    assert rows["toolpo"]["needs"] == ["calls"]
    table = assay("methods")
    assert table.code == 0
    for name, row in rows.items():
        assert re.search(rf"^ ?{re.escape(name)} ", table.text, re.MULTILINE)
        if ", arXiv:" in row["source"]:
            assert row["source"].rpartition("arXiv:")[2] in table.text


def test_methods_breaks_no_word_at_80_columns(assay: Assay, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = assay("methods").text.splitlines()
    assert max(map(len, lines)) <= 80
    shown = {word for line in lines for word in line.split()}
    names = "".join(line[:14].strip() for line in lines)  # a long one goes on behind an underscore
    for row in assay("methods", "--json", "-").json["methods"]:
        paper = row["source"].rpartition("arXiv:")[2]
        assert row["name"] in names
        cells = [row[key] for key in ("value", "unit", "peers", "carried", "scaling")]
        cells += [paper] if "," not in paper else []
        assert not {word for cell in cells for word in cell.split()} - shown


def test_doctor(assay: Assay):
    ended = assay("doctor", "--json", "-")
    assert ended.code == 0
    assert ended.json["schema"] == "assay.doctor/1"
    assert ended.json["packages"]["core"]["numpy"]
    assert set(ended.json["packages"]["embeddings"]) == {"wordllama"}
    said = assay("doctor").text
    assert said.startswith("python 3.")
    number = ended.json["packages"]["embeddings"]["wordllama"]
    assert f"\nembeddings wordllama {number or '-'}\n" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [(["vrel"], "doctor vrel: expected verl"), (["--ray", "auto"], "doctor --ray: expected verl")],
)
def test_doctor_of_what_it_does_not_know(assay: Assay, words: list[str], said: str):
    ended = assay("doctor", *words)
    assert ended.code == 2
    assert said in ended.text + ended.error


def test_demo_finds_what_was_planted(assay: Assay, tmp_path: Path):
    ended = assay("demo", "--audit-only")
    assert ended.code == 0
    assert "report.html" in ended.text
    result = json.loads((tmp_path / "runs/demo/recorded/audit.json").read_bytes())
    for fault in json.loads(PLANTED.read_bytes())["faults"]:
        found = result
        for key in fault["audit"].split("."):
            found = found.get(key, 0)
        assert found == fault["count"], fault["where"]


def test_view_names_the_page(assay: Assay, log: Path, tmp_path: Path):
    assay("audit", log, "-o", "run")
    page = (tmp_path / "run" / "report.html").resolve().as_uri()
    for run in ("run", "run/report.html"):
        ended = assay("view", run, "--no-open")
        assert (ended.code, ended.text) == (0, f"{page}\n")


@pytest.mark.parametrize("verbs", [(), ("world",), ("claims",)])
def test_no_verb_s_help_is_cut_at_80_columns(
    assay: Assay, monkeypatch: pytest.MonkeyPatch, verbs: tuple[str, ...]
):
    monkeypatch.setenv("COLUMNS", "80")
    listed = assay(*verbs, "--help").text.partition("Commands:")[2]
    assert listed
    assert "..." not in listed
    assert max(map(len, listed.splitlines())) <= 80


def test_version_and_help(assay: Assay):
    from assay import __version__

    assert assay("--version").text == f"assay {__version__}\n"
    for verb in ("audit", "credit", "methods", "import", "view", "doctor", "demo"):
        assert verb in assay("--help").text
        ended = assay(verb, "--help")
        assert ended.code == 0
        assert ended.text.startswith(f"Usage: assay {verb}")
    bare = assay()
    assert bare.code == 2
    assert bare.text.startswith("Usage: assay")


def test_whoever_says_what_passes_is_not_asked_to(assay: Assay, tmp_path: Path):
    log = tmp_path / "log.jsonl"
    rewards = (0.0, 2.0, 5.0)
    log.write_text(
        "".join(
            json.dumps({**CHAT[0], "trial": n, "reward": r}) + "\n" for n, r in enumerate(rewards)
        )
    )
    for options, asked in (((), True), (("--pass-at", "1"), False), (("--pass-at", "0.5"), False)):
        ended = assay("audit", log, "--no-report", *options)  # over what the one before left
        assert ("say with --pass-at" in " ".join(ended.text.split())) == asked

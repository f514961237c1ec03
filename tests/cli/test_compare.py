"""`assay compare`: two logs from disk, on the terminal, as JSON and as a page."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CHAT, Assay


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


@pytest.fixture
def logs(tmp_path: Path) -> tuple[Path, Path]:
    """a: 1 of 2 passed in both; b: none, then one; c: only in the first; d: only in the second."""
    second = [dict(record) for record in CHAT]
    second[2] = second[2] | {"reward": 1.0}
    second[4:] = [record | {"task": "d"} for record in second[4:]]
    return written(tmp_path / "one.jsonl", CHAT), written(tmp_path / "two.jsonl", second)


def test_it_says_what_changed(assay: Assay, logs: tuple[Path, Path]):
    found = assay("compare", *logs, "--json", "-").json
    assert found["schema"] == "assay.compare/1"
    assert (found["a"]["source"], found["a"]["trajectories"]) == ("one.jsonl", 6)
    assert (found["b"]["source"], found["b"]["format"]) == ("two.jsonl", "chat")
    assert found["tasks"] == {"both": 2, "only_a": ["c"], "only_b": ["d"]}
    assert (found["solved"], found["lost"], found["unit"]) == (["b"], [], "characters")
    change = found["measures"]["pass_rate"]  # 1/2, 0 against 1/2, 1/2
    assert (change["a"], change["b"], change["change"]) == (0.25, 0.5, 0.25)


def test_the_terminal_has_it_in_80_columns(
    assay: Assay, logs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    text = assay("compare", *logs).text
    assert "A  one.jsonl: 6 trajectories in 3 groups, format chat" in text
    line = next(line for line in text.splitlines() if "pass rate" in line)
    assert " ".join(line.split()) == "pass rate 0.250 0.500 +0.250 - 2"  # two tasks
    assert "solved, never before: 1 (b)" in text
    assert "only in A, not compared: 1 (c)" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.fixture
def many(tmp_path: Path) -> tuple[Path, Path]:
    """Ten tasks, of which none passes in the first log and five do in the second."""
    tasks = [CHAT[0] | {"task": f"t{n}", "reward": 0.0} for n in range(10)]
    later = [record | {"reward": float(n < 5)} for n, record in enumerate(tasks)]
    return written(tmp_path / "early.jsonl", tasks), written(tmp_path / "late.jsonl", later)


def test_ten_tasks_that_differ_have_an_interval(
    assay: Assay, many: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    text = assay("compare", *many, "-o", "changed.html").text
    line = next(line for line in text.splitlines() if "pass rate" in line)
    # of ten draws 2 to 8 rise in all but 2.2 % (Binomial(10, 1/2))
    assert " ".join(line.split()) == "pass rate 0.000 0.500 +0.500 +0.200 to +0.800 10"
    assert "+0.200 to +0.800" in Path("changed.html").read_text()
    assert max(map(len, text.splitlines())) <= 80


def test_what_to_know_of_each_log_is_said_first(
    assay: Assay, logs: tuple[Path, Path], tmp_path: Path
):
    torn = tmp_path / "torn.jsonl"
    torn.write_text(logs[0].read_text() + '{"task": "a", "tr')
    said = "1 record is cut short or damaged and not read: what a killed run left unfinished counts"
    ended = assay("compare", torn, logs[1], "-o", "changed.html")
    lines = ended.text.splitlines()
    at = lines.index("A  torn.jsonl: 6 trajectories in 3 groups, format chat")
    assert lines[at + 1].rstrip() == "! 1 of 6 trajectories has no outcome at all"
    assert (
        f"! {said} nowhere"
        in [x.rstrip() for x in lines][at : lines.index(next(x for x in lines if x[:3] == "B  "))]
    )
    assert "no token ids" not in ended.text  # which changes nothing here
    assert said in Path("changed.html").read_text()
    found = assay("compare", torn, logs[1], "--json", "-").json
    assert "1 of 6 trajectories has no outcome at all" in found["a"]["warnings"]


def test_the_line_of_a_log_is_no_wider_than_80(assay: Assay, tmp_path: Path):
    for name in ("x" * 60 + "-one", "x" * 60 + "-two"):
        written(tmp_path / f"{name}.jsonl", CHAT)
    text = assay("compare", *sorted(tmp_path.glob("*.jsonl"))).text
    # 80 = 3 of the letter, 1 of the dots, 25, 10 of what the name ends with, 41 of what is said
    for letter, end in (("A", "-one.jsonl"), ("B", "-two.jsonl")):
        line = f"{letter}  …{'x' * 25}{end}: 6 trajectories in 3 groups, format chat"
        assert line in text.splitlines()
        assert len(line) == 80


def test_that_no_trajectory_has_peers_is_no_matter_of_two_logs(
    assay: Assay, many: tuple[Path, Path], tmp_path: Path
):
    said = "every group has one scored member"
    assert said in " ".join(assay("audit", many[0], "-o", tmp_path / "run").text.split())
    page = tmp_path / "changed.html"
    assert said not in " ".join(assay("compare", *many, "-o", page).text.split())
    assert said not in page.read_text()
    found = assay("compare", *many, "--json", "-").json
    assert said not in str((found["a"]["warnings"], found["b"]["warnings"]))


def test_logs_that_nobody_scored_have_no_dead_groups(assay: Assay, tmp_path: Path):
    bare = [record | {"reward": None} for record in CHAT]
    logs = [written(tmp_path / f"{name}.jsonl", bare) for name in "ab"]
    text = assay("compare", *logs).text
    line = next(line for line in text.splitlines() if "dead groups" in line)
    assert line.split() == ["dead", "groups", "-", "-", "-", "-", "0"]


def test_the_page_holds_the_same_and_shows_text_as_text(
    assay: Assay, logs: tuple[Path, Path], tmp_path: Path
):
    renamed = [
        json.loads(line) | {"task": "<b>b</b>"} if '"task": "b"' in line else json.loads(line)
        for line in logs[0].read_text().splitlines()
    ]
    first = written(tmp_path / "first.jsonl", renamed)
    second = [json.loads(line) for line in logs[1].read_text().splitlines()]
    second[2:4] = [record | {"task": "<b>b</b>"} for record in second[2:4]]
    page = tmp_path / "changed.html"
    ended = assay("compare", first, written(tmp_path / "second.jsonl", second), "-o", page)
    assert f"page  {page}" in ended.text
    html = page.read_text()
    assert "What changed from first.jsonl to second.jsonl" in html
    assert "&lt;b&gt;b&lt;/b&gt;" in html
    assert "<b>b</b>" not in html
    assert "<td>0 of 2</td><td>1 of 2</td><td>+0.50</td>" in html


def test_a_format_can_be_named_for_each(assay: Assay, logs: tuple[Path, Path]):
    ended = assay("compare", *logs, "--format-b", "trl")
    assert ended.code == 3
    assert "two.jsonl" in ended.error
    assert assay("compare", *logs, "--format-a", "chat", "--json", "-").code == 0


def test_a_map_is_of_the_side_whose_format_is_not_named(
    assay: Assay, logs: tuple[Path, Path], tmp_path: Path
):
    rows = [{"t": r["task"], "r": r["reward"], "m": r["messages"]} for r in CHAT]
    table = written(tmp_path / "table.jsonl", rows)
    map = ("--map", "task=t,reward=r,messages=m")
    found = assay("compare", logs[0], table, *map, "--format-a", "chat", "--json", "-").json
    assert (found["a"]["format"], found["b"]["format"]) == ("chat", "mapped")
    assert found["measures"]["pass_rate"]["change"] == 0
    named = ("--format-a", "chat", "--format-b", "chat")
    done = assay("compare", logs[0], table, *map, *named)
    assert (done.code, "--map is for tables" in done.err) == (2, True)


def test_outcome_and_group_are_of_both(assay: Assay, tmp_path: Path):
    first = [record | {"other": 1.0 - (record["reward"] or 0)} for record in CHAT]
    logs = [written(tmp_path / f"{name}.jsonl", first) for name in "ab"]
    found = assay("compare", *logs, "--outcome", "other", "--json", "-").json
    assert found["outcomes"]["b"] == {"a": [2, 2], "b": [2, 2]}


def test_no_task_in_common_is_one_line(assay: Assay, logs: tuple[Path, Path], tmp_path: Path):
    other = written(tmp_path / "other.jsonl", [record | {"task": "z"} for record in CHAT])
    ended = assay("compare", logs[0], other)
    assert ended.code == 3
    assert ended.error.startswith(
        "no task is in both logs: the first has 'a', 'b', 'c', the second 'z'; of a table --map "
    )


def test_a_folder_is_refused_for_the_page_before_the_work(
    assay: Assay, logs: tuple[Path, Path], tmp_path: Path
):
    ended = assay("compare", *logs, "-o", tmp_path)
    assert (ended.code, ended.error) == (3, f"{tmp_path}: is a folder; name a file")


def test_each_log_has_its_own_labels(assay: Assay, tmp_path: Path):
    bare = [{key: record[key] for key in record if key != "reward"} for record in CHAT]
    logs = [written(tmp_path / f"{name}.jsonl", bare) for name in ("bare", "later")]
    table = tmp_path / "said.csv"
    options = []
    for log, said, option in zip(logs, ("0", "1"), ("--labels-a", "--labels-b"), strict=True):
        table.write_text(f"task,trial,outcome\na,0,{said}\n")
        labels = tmp_path / f"{log.stem}.labels.jsonl"
        assert assay("label", log, "--csv", table, "-o", labels).code == 0
        options += [option, labels]
    found = assay("compare", *logs, *options, "--json", "-").json
    assert found["solved"] == ["a"]
    assert found["measures"]["pass_rate"]["tasks"] == 1
    assert "no task is scored in both" in assay("compare", *logs).text

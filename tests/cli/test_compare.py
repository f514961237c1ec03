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
    assert " ".join(line.split()) == "pass rate 0.250 0.500 +0.250 +0.000 to +0.500 2"
    assert "solved, never before: 1 (b)" in text
    assert "only in A, not compared: 1 (c)" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


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
    assert "+0.000 to +0.500" in html


def test_a_format_can_be_named_for_each(assay: Assay, logs: tuple[Path, Path]):
    ended = assay("compare", *logs, "--format-b", "trl")
    assert ended.code == 3
    assert "two.jsonl" in ended.error
    assert assay("compare", *logs, "--format-a", "chat", "--json", "-").code == 0


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
        "no task is in both logs: the first has 'a', 'b', 'c', the second 'z'"
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

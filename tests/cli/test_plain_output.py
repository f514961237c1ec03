"""What goes to a terminal or a file is short, says what it knows, and names what is missing."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CHAT, Assay


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """One group of three, each of which fails; a column has another name than people type."""
    path = tmp_path / "rows.jsonl"
    rows = [{**CHAT[0], "trial": trial, "reward": 0, "task_id": "a"} for trial in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_is_redirected_has_no_spaces_at_the_ends_of_its_lines(assay: Assay, log: Path):
    lines = assay("audit", log, "--no-report").text.splitlines()
    assert len(lines) > 20
    assert [line for line in lines if line != line.rstrip()] == []


def test_the_first_line_fits_a_terminal(assay: Assay, log: Path):
    deep = Path("a-folder-of-a-long-name", "and-another-one-that-is-no-shorter", log.name)
    deep.parent.mkdir(parents=True)
    deep.write_bytes(log.read_bytes())
    for path in (Path(log.name), deep):
        first, second, *_ = assay("audit", path, "--no-report").text.splitlines()
        assert len(first) <= 80
        assert "log.jsonl: 6 trajectories in 3 groups, format chat" in first
        assert second == "outcome: the log's own · pass at 1 · groups: the log's own"


def test_of_few_there_are_counts_and_no_rows_of_nothing(assay: Assay, failed: Path):
    lines = [" ".join(each.split()) for each in assay("audit", failed).text.splitlines()]
    assert "all fail 1 1 of 1" in lines
    assert "teach GRPO nothing 1 1 of 1" in lines
    said = " ".join(lines)
    assert "to do - In the one group every trajectory fails. Take easier tasks, more" in said
    for word in ("mixed", "all pass", "errors", "punished by GRPO"):
        assert not any(f"{line} ".startswith(f"{word} ") for line in lines), word


@pytest.mark.parametrize("key", ["task", "messages", "reward", "end", "part"])
@pytest.mark.parametrize("folder", [False, True])
def test_a_column_that_is_missing_is_named_with_the_nearest(
    assay: Assay, failed: Path, key: str, folder: bool
):
    named = {"task": "task", "messages": "messages", "reward": "reward", key: "taskid"}
    said = ",".join(f"{role}={column}" for role, column in named.items())
    ended = assay("audit", failed.parent if folder else failed, "--map", said, "-o", "out")
    assert ended.code == 3
    assert ended.error.endswith(
        "rows.jsonl: no column taskid; its columns: task_id, task, trial, reward, claimed, messages"
    )


def test_an_export_without_a_signal_says_so(assay: Assay, log: Path, failed: Path):
    def export(of: Path) -> str:
        said = assay("export", of, "-m", "grpo", "--to", "verifiers", "-o", f"{of.stem}-out")
        assert ("all of them 0" in said.text) == ("every advantage is 0" in said.err)
        return said.err

    assert "every advantage is 0" not in export(log)
    assert (
        "every advantage is 0: grpo finds no difference to teach by in these groups; assay audit "
        f"{failed} counts the dead ones and names the methods that find a signal there"
    ) in export(failed)
    assert json.loads(Path("rows-out/manifest.json").read_bytes())["all_zero"] is True

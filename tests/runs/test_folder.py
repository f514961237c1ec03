"""What is taken back on resume, and what is somebody else's."""

import json
from pathlib import Path

import pytest

from assay.errors import UsageError
from assay.runs.config import parsed
from assay.runs.folder import FOLDERS, LOGS, Folder


def test_what_is_newer_than_a_checkpoint_goes_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    folder = Folder.create(tmp_path / "run", parsed({}), about={"seed": 0})
    for name in LOGS:
        rows = [json.dumps({"step": step}) + "\n" for step in (1, 2, 3)]
        (folder.path / name).write_text("".join(rows) + '{"step": 4, "to')
    ours = ["step_000002.jsonl", "step_000003.jsonl", ".step_000004.jsonl.tmp-77"]
    theirs = ["notes.txt", "step_3_best.jsonl", "step_000003.jsonl.gz", ".DS_Store"]
    for name in FOLDERS:
        for each in (*ours, *theirs):
            (folder.path / name / each).touch()
    (folder.path / ".run.json.tmp-77").touch()
    (folder.path / ".tmp-notes").touch()
    (folder.path / ".audit.tmp-77").mkdir()  # a killed audit of this run
    folder.cut_back(2)
    for name in LOGS:
        assert [row["step"] for row in folder.rows(name)] == [1, 2]
    for name in FOLDERS:
        left = {path.name for path in (folder.path / name).iterdir()}
        assert left == {"step_000002.jsonl", *theirs}
    assert (folder.path / ".tmp-notes").exists()
    assert (folder.path / ".audit.tmp-77").exists()
    assert not (folder.path / ".run.json.tmp-77").exists()


def test_a_run_is_made_where_there_is_nothing_or_an_empty_folder(tmp_path: Path) -> None:
    Folder.vacant(tmp_path / "a" / "run")
    Folder.vacant(tmp_path)
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"exists already; go on with it by --resume"):
        Folder.vacant(tmp_path)
    for path in (tmp_path / "file", tmp_path / "file" / "a" / "run"):
        with pytest.raises(UsageError, match=r"file: is a file, not a folder; choose another"):
            Folder.vacant(path)

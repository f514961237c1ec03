"""A folder that is whole or not there; who holds a lock."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from assay.errors import DataError, UsageError
from assay.files.atomic import publish
from assay.files.folders import locked, temporary, whole
from tests.processes import process


@pytest.mark.parametrize("synced", [False, True])
def test_a_folder_replaces_another_as_a_whole(tmp_path, synced):
    path = tmp_path / "new" / "run"
    for name in ("first", "second"):
        with whole(path, synced=synced) as fresh:
            (fresh / name).touch()
            assert fresh.parent == path.parent
            assert not (path / name).exists()
        assert [each.name for each in path.iterdir()] == [name]
    with pytest.raises(DataError), whole(path, synced=synced) as fresh:
        publish(fresh, b"a folder is there")
    assert [each.name for each in path.iterdir()] == ["second"]
    assert [each.name for each in path.parent.iterdir()] == ["run"]


def test_what_was_not_made_stays(tmp_path):
    path, away = tmp_path / "run", tmp_path / "away"
    away.mkdir()
    (away / "z").touch()
    for name in ("made", "mine", "parts/made", "parts/mine", "tree/a/b", "own/c/d"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    (path / "link").symlink_to(away)
    with whole(path, made={"made", "parts/made", "tree"}) as fresh:
        (fresh / "parts").mkdir()
        (fresh / "parts" / "new").touch()
    files = {str(each.relative_to(path)) for each in path.rglob("*") if each.is_file()}
    assert files == {"mine", "parts/mine", "parts/new", "own/c/d"}
    assert (path / "mine").read_text() == "mine"
    assert (path / "link").is_symlink()
    with (
        pytest.raises(UsageError, match=r"run/mine: would be replaced"),
        whole(path, made=set()) as fresh,
    ):
        (fresh / "mine").touch()
    assert (path / "mine").read_text() == "mine"


def test_folders_made_for_it_go_where_it_fails(tmp_path):
    with pytest.raises(RuntimeError), whole(tmp_path / "a" / "b" / "run"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_made_or_replaced_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"file/run: cannot be written"),
        whole(tmp_path / "file/run"),
    ):
        pass
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="the current folder is in it"), whole(tmp_path):
        pass


def test_a_lock_is_held_by_one(tmp_path):
    path = tmp_path / "LOCK"
    with (
        locked(path, "is busy"),
        pytest.raises(UsageError, match="is busy"),
        locked(path, "is busy"),
    ):
        pass
    with locked(path, "is busy"):
        pass


HOLDS = """
import os, sys, time
from assay.files.folders import temporary
with temporary() as folder:
    (folder / "part").touch()
    fork = os.fork() if "fork" in sys.argv else 0
    if not fork:
        print(os.getpid(), folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("ends", ["all", "parent"])
def test_a_temporary_folder_goes_once_no_process_of_it_is_left(tmp_path, monkeypatch, ends):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "assay-other").mkdir()
    command = [sys.executable, "-c", HOLDS, *(["fork"] if ends == "parent" else [])]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with process(command, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout is not None
        pid, _, name = holder.stdout.readline().decode().strip().partition(" ")
        left = Path(name)
        with temporary() as mine:
            assert mine.parent == left.parent == tmp_path
            assert (left / "part").exists(), "somebody is at work there"
        assert not mine.exists()
        holder.kill()
        holder.wait(60)
        try:
            with temporary():
                assert left.exists() == (ends == "parent"), "its fork is at work there"
        finally:
            if ends == "parent":
                os.kill(int(pid), 9)
                assert holder.stdout.read() == b"", "it has ended"
        with temporary():
            assert not left.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["assay-other"], "nobody knows whose it is"


def test_a_temporary_folder_goes_where_the_block_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), temporary():
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_full_temporary_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(DataError) as told, temporary():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(told.value) == (
        f"{tmp_path}: no temporary file can be written: No space left on device; make room there, "
        "or name another folder with TMPDIR"
    )
    assert not list(tmp_path.iterdir())
    for other in (OSError(errno.EIO, "x"), OSError(errno.ENOSPC, "x", "its own")):
        with pytest.raises(OSError, match="x") as kept, temporary():
            raise other
        assert kept.value is other


@pytest.mark.parametrize("lock", ["LOCK", ".assay-temporary"])
@pytest.mark.parametrize("name", ["", "assay-other"])
def test_a_folder_that_somebody_called_so_stays(tmp_path, monkeypatch, lock, name):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = tmp_path / "assay-mine"
    mine.mkdir()
    (mine / lock).write_text(name)
    (mine / "thesis.txt").write_text("years")
    with temporary():
        pass
    assert (mine / "thesis.txt").read_text() == "years"

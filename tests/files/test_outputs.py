"""What is written is told to what was read, before it is written."""

import os
from pathlib import Path

import pytest

from assay.errors import DataError
from assay.files import outputs
from assay.files.atomic import publish
from assay.files.folders import temporary, whole
from assay.files.written import Marks, marks


class Read:
    """A store that notes what it is told."""

    def __init__(self, file: Path, why: str = "") -> None:
        self.file, self.why, self.gone = file, why, False
        self.told: list[str] = []
        self.wrote_: list[tuple[str, list[str]]] = []

    def tell(self, path: str, at: float, *, moved: bool) -> str:
        assert not Path(path).exists() or Path(path).is_dir(), "before it is written"
        self.told.append(f"{Path(path).name} {at:g}")
        return self.why

    def wrote(self, path: str, at: float, files: Marks) -> str:
        self.wrote_.append((Path(path).name, sorted(files)))
        return self.why

    def stale(self) -> bool:
        return self.gone


@pytest.fixture
def read(tmp_path: Path) -> Read:
    return Read(tmp_path / "store")


def test_outside_of_a_command_nothing_is_told(tmp_path, read):
    outputs.heard(read)
    publish(tmp_path / "a", b"")
    with outputs.telling(lambda: 5.0, print):
        publish(tmp_path / "b", b"")  # nothing was read
        outputs.heard(None)
    publish(tmp_path / "c", b"")
    assert read.told == []


def test_what_is_read_while_it_is_written_is_told_too(tmp_path, read):
    with outputs.telling(lambda: 5.0, print):
        with outputs.told(tmp_path / "a"):
            outputs.heard(read)
            assert read.told == ["a 5"]
        publish(tmp_path / "b", b"")
    publish(tmp_path / "c", b"")
    assert read.told == ["a 5", "b 5"], "and nothing once the command is over"


def test_a_folder_is_told_as_one_and_a_temporary_one_not_at_all(tmp_path, read):
    with outputs.telling(lambda: 5.0, print):
        outputs.heard(read)
        with whole(tmp_path / "folder") as fresh, temporary() as aside:
            publish(fresh / "x", b"")
            publish(aside / "y", b"")
        publish(tmp_path / "folder" / "z", b"")
    assert read.told == ["folder 5", "z 5"]


def makes(path: Path, made: frozenset[str] | None, read: Read) -> None:
    with whole(path, made=made) as fresh:
        (fresh / "x").touch()
        read.gone = True


@pytest.mark.parametrize("made", [None, frozenset({"x"})])
def test_what_is_stale_is_taken_away_again_and_no_more(tmp_path, read, made):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    with outputs.telling(lambda: 5.0, print):
        outputs.heard(read)
        with pytest.raises(DataError, match="was forgotten while this was made"):
            makes(tmp_path / "folder", made, read)
        assert (tmp_path / "folder" / "mine").exists() == (made is not None)
        assert not (tmp_path / "folder" / "x").exists()
        with pytest.raises(DataError, match=f"a: a session of {read.file} was forgotten"):
            publish(tmp_path / "a", b"")
        assert not (tmp_path / "a").exists()
        with outputs.told(tmp_path / "b"):
            (tmp_path / "b").touch()
        assert (tmp_path / "b").exists(), "nobody said how it is taken away"


def test_what_lies_there_is_said_before_it_is_moved_there_or_once_it_is_written(tmp_path, read):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine").touch()
    with outputs.telling(lambda: 5.0, print):
        outputs.heard(read)
        publish(tmp_path / "a", b"x")
        with whole(tmp_path / "kept", made={"sub"}) as fresh:
            (fresh / "sub").mkdir()
            (fresh / "sub" / "new").touch()
        with outputs.told(tmp_path / "b"):
            (tmp_path / "b").write_text("xy")
            assert len(read.wrote_) == 2
        with outputs.told(tmp_path / "kept"):
            pass
        with pytest.raises(ZeroDivisionError), whole(tmp_path / "failed"):
            raise ZeroDivisionError
        assert read.wrote_ == [("a", [""]), ("kept", ["sub/new"]), ("b", [""])]
        read.gone = True
        with pytest.raises(DataError):
            publish(tmp_path / "c", b"")
        assert read.wrote_[3:] == [("c", [""]), ("c", [])], "it is taken away again"


def test_a_file_is_known_by_its_size_and_change_and_a_folder_by_its_files(tmp_path):
    file = tmp_path / "in" / "a"
    file.parent.mkdir()
    file.write_text("xy")
    os.utime(file, ns=(1, 7))
    assert marks(file) == {"": (2, 7)}
    assert marks(tmp_path) == {"in/a": (2, 7)}
    assert marks(tmp_path, {"in"}) == {"in/a": (2, 7)}
    assert marks(tmp_path, {"in/b"}) == marks(tmp_path / "none") == {}


def test_a_store_that_cannot_be_told_is_named_once(tmp_path):
    said: list[str] = []
    with outputs.telling(lambda: 5.0, said.append):
        for name in ("s", "t"):
            outputs.heard(Read(tmp_path / name, "cannot be written"))
        outputs.heard(Read(tmp_path / "fine"))
        publish(tmp_path / "a", b"")
        publish(tmp_path / "b", b"")
    not_reached = "cannot be written; assay live forget will not reach what this command leaves"
    assert said == [f"{tmp_path / name}: {not_reached}" for name in ("s", "t")]

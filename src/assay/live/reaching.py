"""A forgotten session leaves a file or folder that was made from it.

| what was made | what becomes of it |
|---|---|
| JSON Lines, packed or not, with the key `session`, `trajectory` or `id` | its lines go |
| a skill bank | the text of skills that rest on it goes, from every version; they are retired |
| an audit, an export, a run of `assay live train`, and all else | deleted, to be made again |
| a folder that does not say that it is of these, or of `assay train` | it is told, and stays |
| what is not as Assay wrote it (`records.live.Made`) | it is told, and stays |

What a killed command left of it goes as well.
"""

import gzip
import json
import os
import re
import stat
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, final

import zstandard
from msgspec.structs import replace

from assay.errors import AssayError, UsageError, one_line
from assay.files.atomic import published
from assay.files.folders import MANIFEST, is_audit, is_export, removed, sweep, unfinished
from assay.files.packed import opened
from assay.files.written import Mark, Marks, marks
from assay.files.written import found as found_in
from assay.importers.live_outputs import READ
from assay.records.live import Derived, Made
from assay.runs.directory import MADE, is_training_run
from assay.runs.directory import written as written_by
from assay.skills.forgetting import forget
from assay.skills.store import is_bank, is_begun

_KEYS: Final = ("session", "trajectory", "id")
"""Which of a line's keys says whose it is: the first that it has and that is no null."""
TURNS: Final = "turns.jsonl"
"""In a run of `assay live train`: its lines are taken out, and the rest of the run stays."""
WAIT: Final = 10.0
"""Seconds that whoever writes a bank gets to finish."""


@final
class _UntoldError(Exception):
    """A line does not say whose it is."""


def belongs(session: str) -> Callable[[object], bool]:
    """Returns what tells whether a name is a session's, or of one of the trajectories that it
    became: `s`, `s#1`, and where names were told apart `s~2`."""
    pattern = re.compile(rf"{re.escape(session)}(#\d+)?(~\d+)?", re.DOTALL)
    return lambda name: isinstance(name, str) and pattern.fullmatch(name) is not None


def stamp(path: str) -> object:
    """Returns what changes when a file does, or what a folder has in it; None: nothing is there."""
    try:
        found = os.stat(path)
        if not stat.S_ISDIR(found.st_mode):
            return _when(found)
        with os.scandir(path) as entries:
            return sorted((each.name, *_when(each.stat())) for each in entries)
    except OSError:
        return None


def _when(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


@final
@dataclass(frozen=True, slots=True)
class Left:
    """What was left at a path, and of whom."""

    file: Derived
    known: Made | None
    """What is there, as it was written. None: whoever wrote it did not say."""
    note: Callable[[Made], None]
    """Takes what is there from then on."""

    def becomes(self, files: Marks) -> None:
        """Notes it, before it is so."""
        if self.known is not None:
            now = {**self.known.files, **files} if files else {}
            before = self.known.files if files else {}
            self.note(replace(self.known, files=now, before=before))


def reach(left: Left, session: str, name: str) -> str:
    """Takes a session out of a file or folder. Returns what became of it: "rewritten", "deleted",
    "missing": it is not there; "nothing" of ours was; or why it may still hold the session.

    Args:
        left: as the store knows it.
        session: who is forgotten.
        name: what stands for it from then on.
    """
    file, known, path, of = left.file, left.known, Path(left.file.path), belongs(session)
    try:
        swept = sweep(path)
        for held, _, _ in unfinished(path):
            return f"{held}: being written, or left by a kill; forget it again, or delete it"
        if known is not None and not known.files and not known.before:
            return "deleted" if swept else "nothing"
        if not path.exists():
            return "missing"  # also where a later one was swept: it may have been moved before
        if path.is_dir() and not path.is_symlink():
            return _folder(path, left, of, name)
        # what was read as a log and became no file here is a bank, or was never finished
        seen = file.what != READ if known is None else [*marks(path).items()] in _written(known, "")
        if not seen:
            return _others([path])
        if file.how == "lines" and _lines(path, of, lambda at: left.becomes(marks(at))):
            return "rewritten"
        path.unlink()
        left.becomes({})
    except AssayError as error:
        return one_line(str(error))
    except OSError as error:
        return one_line(f"{file.path}: {error.strerror or error}")
    return "deleted"


def _written(known: Made, name: str) -> list[list[tuple[str, Mark]]]:
    """Returns what a file may be known by."""
    found = (each.get(name) for each in (known.files, known.before))
    return [[(name, mark)] for mark in found if mark is not None]


def _others(paths: Sequence[Path]) -> str:
    more = f" (nor are {len(paths) - 1} more)" if paths[1:] else ""
    return (
        f"{paths[0]}: is not what was written there{more}; look at it, and delete it by hand if it "
        "holds the session"
    )


def _folder(path: Path, left: Left, of: Callable[[object], bool], name: str) -> str:
    if is_bank(path) or is_begun(path):
        _bank(path, of, name)
        return "rewritten"
    if is_training_run(path):
        return f"{path}: a training run that read it; what it learnt is not undone, delete it"
    if left.known is not None:
        return _known(path, left, left.known, of)
    if not (ours := _made(path)):
        return f"{path}: does not say what Assay wrote in it; look at it, and delete it by hand"
    for each in ours:
        removed(each)
    if not any(path.iterdir()):
        path.rmdir()
    return "deleted"


def _known(path: Path, left: Left, known: Made, of: Callable[[object], bool]) -> str:
    """Takes out of a folder what was written into it, and is as it was written."""
    ours, others = list[Path](), list[Path]()
    for file, place, mark in found_in(path):
        if written := _written(known, place):
            (ours if [(place, mark)] in written else others).append(file)
    turns = path / TURNS
    if turns in ours and written_by(path).get("kind") == "live":
        if others:
            return _others(others)
        _lines(turns, of, lambda at: left.becomes({TURNS: marks(at)[""]}))
        return "rewritten"
    for file in ours:
        file.unlink()
    for folder in sorted({each for file in ours for each in file.parents}, reverse=True):
        if folder.is_relative_to(path) and not any(folder.iterdir()):
            folder.rmdir()
    if others:
        return _others(others)
    if not ours:
        return "missing"
    left.becomes({})
    return "deleted"


def _bank(path: Path, of: Callable[[object], bool], name: str) -> None:
    """Takes a session out of a bank, once nobody writes it."""
    until = time.monotonic() + WAIT
    while True:
        try:
            forget(path, of, name)
        except UsageError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _made(path: Path) -> list[Path]:
    """Returns what is to go of a folder: where others may have put files beside ours, ours."""
    if is_audit(str(path)):
        return [path / each for each in sorted(MADE - {"run.json"})] + [path / "run.json"]
    try:
        found: Any = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, list) or not is_export(str(path)):
        return []
    inside = [path / str(each) for each in (*files, MANIFEST)]
    return [each for each in inside if each.resolve().is_relative_to(path.resolve())]


def _lines(path: Path, of: Callable[[object], bool], ready: Callable[[Path], None]) -> bool:
    """Takes the lines of a session out of a file; returns False where its lines do not say whose
    they are."""
    try:
        with opened(path) as stream, published(path, ready=ready) as out:
            os.fchmod(out.fileno(), stat.S_IMODE(path.stat().st_mode))
            with _packing(path, out) as sink:
                for line in _left(stream, of):
                    sink.write(line)
    except (_UntoldError, EOFError, zstandard.ZstdError, zlib.error, gzip.BadGzipFile):
        return False
    return True


def _left(stream: Iterator[bytes], of: Callable[[object], bool]) -> Iterator[bytes]:
    """Yields the lines that are of others; one that cannot be read counts as if it were its."""
    for line in stream:
        if not line.strip():
            continue
        try:
            found: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        whose = [found.get(key) for key in _KEYS] if isinstance(found, dict) else []
        owner = next((each for each in whose if each is not None), None)
        if owner is None:
            raise _UntoldError
        if not of(owner):
            yield line


@contextmanager
def _packing(path: Path, out: IO[bytes]) -> Generator[Any]:
    """What packs a file as its name says that it was packed."""
    if path.suffix == ".zst":
        compressor = zstandard.ZstdCompressor(write_checksum=True)
        with compressor.stream_writer(out, closefd=False) as sink:
            yield sink
    elif path.suffix == ".gz":
        with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as sink:
            yield sink
    else:
        yield out

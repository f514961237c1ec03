"""What an audit was made from, `sources.json` of its run directory: the next audit of the log reads
only what has changed, and none of it where nothing has.

It names the log's files with their SHA-256, and for each part of the log that can be read by itself
the records of `trajectories.jsonl.zst` that came from it. No text of the log is kept twice. What is
torn, was made by other code, or is about another log is left aside.
"""

import hashlib
import os
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, final

import msgspec

from assay import __version__
from assay.credit import METHODS
from assay.files.lines import lines
from assay.files.shards import Shards, Source
from assay.files.stamps import Stamp, Stamps, below, digest
from assay.gate import GATES
from assay.importers import IMPORTERS
from assay.importers.units import Kept, Unit
from assay.runs.directory import place_of

SCHEMA: Final = "assay.sources/1"
NAME, COPY = "sources.json", "trajectories.jsonl.zst"
_PACKAGES: Final = ("numpy", "msgspec", "pyarrow", "xxhash", "zstandard")


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str
    code: str
    """Digest of the code that read the log and counted."""
    log: tuple[str, str]
    """As it was named, and where it lies."""
    read: dict[str, Any]
    """Options that decide how the log is read."""
    options: dict[str, Any]
    """The others that decide what the audit says and leaves."""
    format: str
    trusted: bool
    """A clock ruled out that a file was written to unseen (`Stamps.after`)."""
    files: dict[str, Stamp]
    absent: tuple[str, ...]
    units: tuple[Unit, ...]
    copy: str
    """Digest of the records that the units name; empty: there are none."""
    whole: tuple[str, ...] | None
    """Every file of the log; None: the result as a whole is not taken over."""
    left: dict[str, tuple[int, str]]
    """Of each file in the run directory its size and, of the small ones, its digest."""


@final
class Sources:
    """What an earlier audit of a log left in a run directory, and what this one will leave."""

    def __init__(
        self,
        log: Source,
        folder: Path,
        *,
        read: dict[str, Any],
        options: dict[str, Any],
        now: int | None,
        live: bool = False,
    ) -> None:
        """Looks at a run directory, and at every file of a log before it is read.

        Args:
            log: what is audited.
            folder: the run directory of the earlier audit; it need not be there.
            read: options that decide how the log is read.
            options: the others.
            now: the clock, in nanoseconds; None: files are compared by content alone.
            live: somebody writes to the log.
        """
        self._folder, self._now = folder, now
        self._log = str(log), _place(log)
        self._read, self._options = _plain(read), _plain(options)
        self._old = self._earlier()
        known = self._old.files if self._old else {}
        self._stamps = Stamps(known, trusted=self._old is not None and self._old.trusted)
        self._below = below(log)
        for name in self._below or ():
            self._stamps.see(name)
        old = self._old
        units = old.units if old and old.copy and digest(folder / COPY) == old.copy else ()
        self.kept = Kept(self._stamps, units, self._lines, live=live)

    def _earlier(self) -> _Written | None:
        """Returns what the earlier audit wrote, if it was of this log, read in the same way."""
        try:
            content = (self._folder / NAME).read_bytes()
            body, _, seal = content.rstrip(b"\n").rpartition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() != seal:
                return None
            old = msgspec.json.decode(body, type=_Written)
        except (OSError, msgspec.MsgspecError, RecursionError):
            return None
        same = (old.schema, old.code, old.log, old.read) == (SCHEMA, code(), self._log, self._read)
        return old if same and code() else None

    def _lines(self) -> Iterator[bytes]:
        with lines(self._folder / COPY) as numbered:
            for _, line in numbered:
                yield line

    def result(self) -> tuple[str, dict[str, Any]] | None:
        """Returns format and audit of the earlier audit if this one would leave the same."""
        old = self._old
        if old is None or old.whole is None or old.options != self._options:
            return None
        if old.whole != tuple(self._below or ()):
            return None
        looked_at = {*old.files, *old.absent}
        if not all(map(self._stamps.same, looked_at)) or not _as_left(self._folder, old.left):
            return None
        try:
            return old.format, msgspec.json.decode((self._folder / "audit.json").read_bytes())
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, folder: Path, name: str) -> None:
        """Leaves `sources.json` in the new run directory, when all else is in it."""
        stamps = self._stamps.after(self._now)
        files = {path: stamp for path, stamp in stamps.items() if stamp is not None}
        copy = digest(folder / COPY)
        units = [unit for unit in self.kept.units if stamps.keys() >= set(unit.files)]
        whole = self.kept.vouched and all(map(stamps.__contains__, self._stamps.seen))
        written = _Written(
            schema=SCHEMA,
            code=code(),
            log=self._log,
            read=self._read,
            options=self._options,
            format=name,
            trusted=self._now is not None,
            files=files,
            absent=tuple(path for path, stamp in stamps.items() if stamp is None),
            units=tuple(units) if copy else (),
            copy=copy,
            whole=tuple(self._below) if whole and self._below is not None else None,
            left=_left(folder),
        )
        try:
            body = msgspec.json.encode(written)
        except UnicodeEncodeError:
            return
        seal = hashlib.sha256(body).hexdigest().encode()
        (folder / NAME).write_bytes(body + b"\n" + seal + b"\n")


def _place(log: Source) -> str:
    return place_of(log) if isinstance(log, Shards) else os.path.abspath(log)


def _left(folder: Path) -> dict[str, tuple[int, str]]:
    """Returns what lies in a run directory; only what is read of it again is digested."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_size,
            digest(path) if path.name in ("audit.json", "run.json") else "",
        )
        for path in found
    }


def _as_left(folder: Path, left: dict[str, tuple[int, str]]) -> bool:
    """Does the run directory hold what the audit left in it?"""
    try:
        return all(
            (folder / name).stat().st_size == size and (not known or digest(folder / name) == known)
            for name, (size, known) in left.items()
        )
    except OSError:
        return False


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Returns options as they come back from disk."""
    return msgspec.json.decode(msgspec.json.encode(options))


def code() -> str:
    """Returns a digest of all code that decides what an audit says and shows; empty: nobody knows.

    With methods, importers or gates of others nobody does, and nothing is taken over.
    """
    others = METHODS.has_others or IMPORTERS.has_others or GATES.has_others
    return "" if others else _ours()


@cache
def _ours() -> str:
    found = hashlib.sha256(f"{__version__} {platform.python_version()}".encode())
    for name in sorted(below(Path(__file__).parents[1]) or ()):
        if name.endswith((".py", ".js", ".css", ".html")):
            stat = os.stat(name)
            found.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    for package in _PACKAGES:
        found.update(f"{package} {_version(package)}\n".encode())
    return found.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

"""Is a file what it was? By what the system says of it, and by its content where that could lie."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Final, final

import msgspec

from assay.files.folders import walked
from assay.files.shards import Shards, Source

COARSE: Final = 2_000_000_000
"""Nanoseconds within which two writes may leave the same times: FAT keeps two seconds."""


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """What a file was when it was read."""

    size: int
    changed: tuple[int, int]
    """Nanoseconds of its last writing, and of the last change to its entry."""
    sha256: str


@final
class Stamps:
    """Stamps of files, each looked at once before it is read and once after."""

    def __init__(self, known: dict[str, Stamp], *, trusted: bool) -> None:
        """Begins with what an earlier look left.

        Args:
            known: stamps by path.
            trusted: nobody wrote to those files while they were read, so that equal times mean
                equal content; otherwise their content is compared.
        """
        self._known, self._trusted = known, trusted
        self._now: dict[str, os.stat_result | None] = {}
        self._same: dict[str, bool] = {}

    def see(self, path: str) -> bool:
        """Looks at a file before it is read; returns whether there is one."""
        if path not in self._now:
            self._now[path] = _stat(path)
        return self._now[path] is not None

    def same(self, path: str) -> bool:
        """Returns whether a file is what it was at the earlier look."""
        if path not in self._same:
            self._same[path] = self.see(path) == (path in self._known) and self._unchanged(path)
        return self._same[path]

    def _unchanged(self, path: str) -> bool:
        known, now = self._known.get(path), self._now[path]
        if known is None or now is None:
            return True
        if now.st_size != known.size:
            return False
        if self._trusted and _times(now) == known.changed:
            return True
        return digest(path) == known.sha256

    def after(self, now: int | None) -> dict[str, Stamp | None]:
        """Returns the stamp of each path that was looked at and that nobody wrote to since; None
        where there was no file and is none.

        Args:
            now: the clock when the first of them was looked at, in nanoseconds: a file that was
                written to just before may have been written to again without a trace, and is left
                out. None: no clock, and none is.
        """
        stamps: dict[str, Stamp | None] = {}
        for path, before in self._now.items():
            if before is not None and now is not None and max(_times(before)) > now - COARSE:
                continue
            stamp = None if before is None else self._stamp(path, before)
            if _told(_stat(path)) == _told(before):
                stamps[path] = stamp
        return stamps

    @property
    def seen(self) -> Iterable[str]:
        """Every path that was looked at."""
        return self._now

    def _stamp(self, path: str, before: os.stat_result) -> Stamp:
        known = self._known.get(path)
        same = known is not None and self._trusted and _told(before) == (known.size, known.changed)
        content = known.sha256 if known is not None and same else digest(path)
        return Stamp(before.st_size, _times(before), content)


def digest(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file; empty where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _told(found: os.stat_result | None) -> tuple[int, tuple[int, int]] | None:
    return None if found is None else (found.st_size, _times(found))


def _times(found: os.stat_result) -> tuple[int, int]:
    return found.st_mtime_ns, found.st_ctime_ns


def below(path: Source) -> list[str] | None:
    """Returns the files of a folder and all below it, but for what audits left there, or the file
    itself, or those of several, by name; None where a link to a folder is among them, or a name
    that is no Unicode."""
    if isinstance(path, Shards):
        each = [below(one) for one in path.paths]
        return None if None in each else sorted({name for names in each for name in names or ()})
    if not path.is_dir():
        names = [str(path)]
    else:
        names = sorted(_walked(str(path)))
        if "" in names:
            return None
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return None
    return names


def _walked(folder: str) -> Iterator[str]:
    """Yields the files below a folder, and "" for a link to a folder."""
    for root, folders, files in walked(folder):
        yield from (os.path.join(root, name) for name in files)
        yield from ("" for name in folders if os.path.islink(os.path.join(root, name)))

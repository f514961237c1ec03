"""What was written at a path, told from what others put there later.

A file is known by its size and the time of its last change: it stays known when it is moved and
comes back, and not when it is written again. A folder is known by the files in it.
"""

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

Mark = tuple[int, int]
"""Bytes, and nanoseconds since 1970."""
Marks = Mapping[str, Mark]
"""Of files in a folder by their place in it; of a file by the empty text."""


def marks(path: Path, made: Collection[str] | None = None) -> dict[str, Mark]:
    """Returns what a file or folder is known by; nothing: it is not there.

    Args:
        path: of it.
        made: files and folders in it that count, by their place. None: all.
    """
    return {name: mark for _, name, mark in found(path, made)}


def found(path: Path, made: Collection[str] | None = None) -> Iterator[tuple[Path, str, Mark]]:
    """Yields each file that counts, its place in the folder, and what it is known by."""
    if not path.is_dir():
        yield from ((path, "", mark) for mark in _mark(path))
        return
    for root, folders, files in os.walk(path):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in sorted([*links, *files]):
            file = Path(root, name)
            inner = file.relative_to(path)
            if made is None or any(each.as_posix() in made for each in (inner, *inner.parents)):
                place = os.fsencode(inner.as_posix()).decode("utf-8", "backslashreplace")
                yield from ((file, place, mark) for mark in _mark(file))


def _mark(file: Path) -> Iterator[Mark]:
    try:
        seen = file.lstat()
    except OSError:
        return
    if not stat.S_ISDIR(seen.st_mode):
        yield seen.st_size, seen.st_mtime_ns

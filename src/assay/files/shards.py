"""Several files and folders that are one log, named one by one or by patterns.

Their order is stated and does not depend on the file system: as they were asked for; what one
pattern matches in the order of its names, part by part; below a folder as for that folder alone.
"""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

from assay.errors import DataError, one_line
from assay.files.folders import is_left


@final
@dataclass(frozen=True)
class Shards:
    """The files and folders of one log."""

    asked: tuple[str, ...]
    """What they were named by."""
    paths: tuple[Path, ...]
    """What that is, in order, each once."""

    def exists(self) -> bool:
        """Are they all still there?"""
        return all(path.exists() for path in self.paths)

    def __str__(self) -> str:
        """Returns what they were named by, for people."""
        more = f" and {len(self.asked) - 2:,} more" if len(self.asked) > 3 else ""
        return ", ".join(self.asked[: 2 if more else 3]) + more

    @cached_property
    def root(self) -> Path:
        """The deepest folder that they all lie in."""
        return Path(
            os.path.commonpath([path if path.is_dir() else path.parent for path in self.paths])
        )

    @cached_property
    def named(self) -> frozenset[Path]:
        """The paths, to be looked up."""
        return frozenset(self.paths)

    @cached_property
    def one_by_one(self) -> frozenset[Path]:
        """Those of the paths that were named themselves, by no pattern."""
        asked = {*self.asked, *map(os.path.abspath, self.asked)}
        return frozenset(path for path in self.paths if str(path) in asked)

    @property
    def name(self) -> str:
        """The name of that folder."""
        return self.root.name or "log"


Source = Path | Shards
"""A log: one file or folder, or several."""


def log_of(asked: Sequence[Path]) -> Source:
    """Returns the log that is named: one file or folder, or several; a pattern with `*`, `?`, `[]`
    or `**` is what it matches, but for what audits and exports left there.

    Raises:
        DataError: a pattern matches nothing, or one of several files is not there.
    """
    if len(asked) == 1 and (asked[0].exists() or not glob.has_magic(str(asked[0]))):
        return asked[0]
    found = dict.fromkeys(path for each in asked for path in _matched(each))
    inside = {path for path in found if any(above in found for above in path.parents)}
    paths = [path for path in found if path not in inside]
    if any(path.is_absolute() for path in paths):
        paths = [Path(os.path.abspath(path)) for path in paths]
    return Shards(tuple(map(str, asked)), tuple(paths))


def _matched(asked: Path) -> Iterator[Path]:
    if asked.exists():
        yield asked
        return
    if not glob.has_magic(str(asked)):
        raise DataError(one_line(f"{asked}: no such file"))
    base = _base(asked)
    left: dict[Path, bool] = {}
    found = [Path(name) for name in glob.iglob(str(asked), recursive=True)]
    found = sorted(path for path in found if path != base and not _is_left(path, base, left))
    if not found:
        raise DataError(
            one_line(f"{asked}: no file matches; `**` stands for any folders, `*` for any name")
        )
    yield from found


def _base(asked: Path) -> Path:
    """Returns the folders of a pattern before its first sign."""
    return next(above for above in asked.parents if not glob.has_magic(str(above)))


def _is_left(path: Path, base: Path, known: dict[Path, bool]) -> bool:
    """Did an audit or an export leave it, in a folder below `base`?"""
    for folder in (path, *path.parents):
        if folder == base:
            return False
        if folder not in known:
            known[folder] = folder.is_dir() and is_left(str(folder))
        if known[folder]:
            return True
    return False

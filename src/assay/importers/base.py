"""What an importer is: a foreign log in, `Trajectory` records out, and a count of what was lost.

An importer never unpickles, never repairs silently and never guesses a score. What it cannot carry
over it reports with `losses.add(kind, where)`: the counts are printed and stored beside the records.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from assay.records import Trajectory


@dataclass(slots=True)
class Losses:
    """What could not be carried over, counted by kind, with the first place of each kind."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, where: str, count: int = 1) -> None:
        """Counts `count` losses of `kind` (lower_snake_case), the first of them at `where`."""
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.first.setdefault(kind, where)


@dataclass(frozen=True, slots=True)
class Probe:
    """What recognition may look at: the name, the first bytes and the first JSON value."""

    path: Path
    head: bytes
    """First 64 KiB of the file; empty for a folder."""
    first: Any
    """First JSON value: of a JSON Lines file its first line, of a list its first element. None: no JSON."""
    is_list: bool
    """The document is one JSON array."""
    names: tuple[str, ...]
    """File names below a folder, relative, sorted, 10,000 at most; empty for a file."""

    def has(self, *keys: str) -> bool:
        """Is the first value an object with all these keys?"""
        return isinstance(self.first, dict) and all(key in self.first for key in keys)


class Importer(ABC):
    """One foreign format. Final in every subclass; stateless."""

    name: ClassVar[str]
    """What `--format` takes."""
    title: ClassVar[str]
    """What a person calls it."""

    @abstractmethod
    def recognises(self, probe: Probe) -> bool:
        """Is this certainly my format? Two importers never both say yes to one file."""

    @abstractmethod
    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        """Yields the trajectories of a file or folder, in its order, one at a time.

        Raises:
            DataError: one line naming file, record, field, got, expected, and what to do.
        """

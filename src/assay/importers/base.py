"""What an importer is: a foreign log in, `Trajectory` records out, and a count of what was lost.

An importer never unpickles, never repairs silently and never guesses a score. What it cannot
carry over it reports with `losses.add(kind, where)`: the counts are printed and stored beside the
records.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from assay.errors import DataError
from assay.records import Trajectory

_KIND = re.compile(r"[^A-Za-z0-9_.:-]")
_MOST_KINDS = 200


def one_line(text: str) -> str:
    """Returns `text` without line breaks, control characters and lone surrogates, 500 at most."""
    plain = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:500])
    return plain if len(text) <= 500 else f"{plain}..."


@dataclass(slots=True)
class Losses:
    """What could not be carried over, counted by kind, with the first place of each kind."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, where: str, count: int = 1) -> None:
        """Counts `count` losses of `kind`, the first of them at `where`.

        Kinds are lower_snake_case; a part after a colon may name a key of the log. Such a key is
        foreign text, so it is cut to 80 plain characters, and beyond 200 kinds all go to `others`.
        """
        kind = _KIND.sub("?", kind[:80])
        if kind not in self.counts and len(self.counts) >= _MOST_KINDS:
            kind = "others"
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.first.setdefault(kind, where)


@dataclass(frozen=True, slots=True)
class Probe:
    """What recognition may look at: the name, the first bytes and the first JSON value."""

    path: Path
    head: bytes
    """First 64 KiB of the file; empty for a folder."""
    first: Any
    """First JSON value: of a JSON Lines file its first line, of a list its first element.
    None: no JSON."""
    is_list: bool
    """The document is one JSON array."""
    names: tuple[str, ...]
    """File names below a folder, relative, sorted, 10,000 at most; empty for a file."""
    inside: "Probe | None" = None
    """Of a folder: what its first file with JSON in it shows. None: a file, or no such file."""
    fault: DataError | None = None
    """Why the first JSON value could not be read. None: it could, or nobody tried."""

    @property
    def log(self) -> "Probe":
        """The file itself; for a folder, its first file with JSON in it (or the folder: none)."""
        return self.inside or self

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

"""What an exporter is: rows in, the files that one engine takes out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

from assay.exporters.rows import Row
from assay.importers import Losses


@final
@dataclass(slots=True)
class Tally:
    """What went into the files, and what did not."""

    lost: Losses = field(default_factory=Losses)
    """By kind, as importers count."""
    rows: int = 0
    tokens: int = 0
    """Tokens with an advantage of their own."""

    def wrote(self, row: Row) -> Row:
        """Counts a row that is written, and returns it."""
        self.rows += 1
        if row.kept:
            self.tokens += int(row.trained.sum())
        return row

    def said(self, row: Row) -> None:
        """Counts a row that is written though the gates dropped it, with a word on that."""
        if not row.kept:
            self.lost.add(f"dropped_and_said:{row.decision.reason}", row.trajectory.id)


class Exporter(ABC):
    """The form of one engine. Final in every subclass.

    Class attributes are its row of the table of docs/export.md.
    """

    name: ClassVar[str]
    """What `--to` takes."""
    engine: ClassVar[str]
    """The engine and its version whose reader or contract it was checked with."""
    checked: ClassVar[str]
    """How."""
    writes: ClassVar[str]
    """Which files."""
    grain: ClassVar[str]
    """Per token, or per row."""
    lacks: ClassVar[str]
    """What the form cannot say."""

    @abstractmethod
    def write(self, rows: Iterable[Row], folder: Path, tally: Tally) -> None:
        """Writes the rows into a folder that is new, and counts them."""


def with_ids(rows: Iterable[Row], tally: Tally) -> Iterator[Row]:
    """Yields the rows that have token ids; counts the others."""
    for row in rows:
        if row.token_ids:
            yield row
        else:
            tally.lost.add("no_token_ids", row.trajectory.id)


def _kept(rows: Iterable[Row], tally: Tally) -> Iterator[Row]:
    for row in rows:
        if row.kept:
            yield row
        else:
            tally.lost.add(f"dropped:{row.decision.reason}", row.trajectory.id)


def to_train(rows: Iterable[Row], tally: Tally) -> Iterator[Row]:
    """Yields the rows that a trainer may see: kept by the gates, with ids, and with a scored token;
    counts the others, and the tokens that are unscored."""
    for row in with_ids(_kept(rows, tally), tally):
        unscored = int((row.sampled & ~row.scored).sum())
        if not row.sampled.any():
            tally.lost.add("nothing_sampled", row.trajectory.id)
        elif not row.trained.any():
            tally.lost.add("unscored", row.trajectory.id)
        else:
            if unscored:
                tally.lost.add("unscored_token_masked", row.trajectory.id, unscored)
            yield tally.wrote(row)

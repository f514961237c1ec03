"""Who gives outcomes to a log, and what is said of how they stand beside those of others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from assay.records import Grade, Level, Trajectory
from assay.records.labels import Label

Labels = Mapping[tuple[str, str], Label]
"""By id and source."""


@final
@dataclass(frozen=True, slots=True)
class Giver:
    """A source of outcomes, and the file that they go to."""

    level: Level
    source: str
    to: Path

    def label(self, id: str, value: float | None, reason: str = "") -> Label:
        """Returns what it says of one trajectory; None: no verdict."""
        grade = Grade(level=self.level, value=value, source=self.source, reason=reason)
        return Label(id=id, grade=grade)

    def is_overruled_by(self, trajectory: Trajectory) -> bool:
        """Does the log's own outcome stand against it?"""
        return self.level != "E4" and trajectory.outcome is not None

    def said(self, kept: int, found: Labels) -> Iterator[str]:
        """Yields what keeps its labels from counting.

        Args:
            kept: trajectories of which the log's own outcome stands.
            found: all labels of the file.
        """
        if kept:
            yield (
                f"{count(kept, 'trajectory has', 'trajectories have')} an outcome in the log, "
                "which stands: only --level E4, a person, overrules it"
            )
        for source, times in self._against(found).items():
            yield (
                f"{count(times, 'trajectory has', 'trajectories have')} another outcome by "
                f"{source}, also {self.level}, so neither counts; with --source {source!r} yours "
                "replace it"
            )

    def _against(self, found: Labels) -> dict[str, int]:
        """Returns, of each other source of its level, how often it says something else."""
        against: dict[str, int] = {}
        for (id, source), other in found.items():
            mine = found.get((id, self.source))
            if mine is None or source == self.source or other.grade.level != self.level:
                continue
            values = {mine.grade.value, other.grade.value} - {None}
            against[source] = against.get(source, 0) + (len(values) > 1)
        return {source: times for source, times in against.items() if times}


def count(n: int, one: str, many: str | None = None) -> str:
    """Returns a number and what it is of: "1 row", "2 rows"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"

"""Who gives outcomes to a log, and what is said of how they stand beside those of others."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from assay.records import Grade, Level, Trajectory
from assay.records.labels import Label

Labels = Mapping[tuple[str, str], Label]
"""By trajectory (`Label.of`) and source."""


@final
@dataclass(frozen=True, slots=True)
class Giver:
    """A source of outcomes, and the file that they go to."""

    level: Level
    source: str
    to: Path

    def label(self, id: str, content: str, value: float | None, reason: str = "") -> Label:
        """Returns what it says of one trajectory; None: no verdict."""
        grade = Grade(level=self.level, value=value, source=self.source, reason=reason)
        return Label(id=id, grade=grade, content=content)

    def is_overruled_by(self, trajectory: Trajectory) -> bool:
        """Does the log's own outcome stand against it?"""
        return self.level != "E4" and trajectory.outcome is not None

    def said(self, kept: int, found: Labels, there: Collection[str]) -> Iterator[str]:
        """Yields what keeps its labels from counting.

        Args:
            kept: trajectories of which the log's own outcome stands.
            found: all labels of the file.
            there: contents and ids of the log's trajectories.
        """
        if gone := sum(of not in there for of, _ in found):
            yield (
                f"{count(gone, 'label')} of the file {'is' if gone == 1 else 'are'} of no "
                "trajectory of the log as it is now"
            )
        if kept:
            yield (
                f"{count(kept, 'trajectory has', 'trajectories have')} an outcome in the log, "
                "which stands: only --level E4, a person, overrules it"
            )
        for (source, level), times in self._against(found).items():
            if level == self.level:
                which = f"also {level}, so neither counts; with --source {source!r} yours replace"
                which += " it"
            elif level > self.level:
                which = f"{level}, which counts: yours are {self.level}"
            else:
                which = f"{level}; yours count: they are {self.level}"
            has = count(times, "trajectory has", "trajectories have")
            yield f"{has} another outcome by {source}, {which}"

    def _against(self, found: Labels) -> Counter[tuple[str, Level]]:
        """Returns how often each other source, at a level, says something else."""
        against: Counter[tuple[str, Level]] = Counter()
        for (of, source), other in found.items():
            mine = found.get((of, self.source))
            if mine is None or source == self.source:
                continue
            if len({mine.grade.value, other.grade.value} - {None}) > 1:
                against[source, other.grade.level] += 1
        return against


def count(n: int, one: str, many: str | None = None) -> str:
    """Returns a number and what it is of: "1 row", "2 rows"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"

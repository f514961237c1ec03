"""Pass or fail of two policies on the same tasks: how much worse can the second one be?

Of n tasks b were passed by the second alone ("better"), c by the first alone ("worse"); what both
passed or both failed says nothing. d = (b - c) / n estimates delta, and under delta

    q     = (B + sqrt(B^2 + 8 n c delta (1 - delta))) / (4 n),   B = b + c - (2 n - b + c) delta
    z     = (d - delta) / sqrt((2 q + delta - delta^2) / n)

q is the likeliest chance of "worse". The bound is where z reaches the quantile of its level. Tango
1998, Equivalence test and confidence interval for the difference in proportions for the
paired-sample design, Statistics in Medicine 17: unlike the normal interval it holds where few pairs
differ, and where none does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist
from typing import Final, final

from assay.errors import MethodError

_HALVINGS: Final = 60


@final
@dataclass(frozen=True, slots=True)
class Pairs:
    """What two policies did on the same tasks."""

    better: int
    """b: tasks that the second alone passed."""
    worse: int
    """c: tasks that the first alone passed."""
    tasks: int
    """n."""

    def __post_init__(self) -> None:
        """Raises MethodError where more pairs differ than there are."""
        if min(self.better, self.worse) < 0 or self.better + self.worse > self.tasks:
            raise MethodError(
                f"pairs: got {self.better} better and {self.worse} worse of {self.tasks}; "
                "expected counts that are no more than the tasks together"
            )

    @property
    def difference(self) -> float:
        """Pass rate of the second less that of the first; NaN: there are no tasks."""
        return (self.better - self.worse) / self.tasks if self.tasks else float("nan")

    def z(self, delta: float) -> float:
        """Returns how many standard errors the difference lies above delta, in (-1, 1)."""
        n, b, c = self.tasks, self.better, self.worse
        half = b + c - (2 * n - b + c) * delta
        root = sqrt(max(half * half + 8 * n * c * delta * (1 - delta), 0.0))
        q = max((half + root) / (4 * n), -delta, 0.0)
        variance = (2 * q + delta - delta * delta) / n
        gap = self.difference - delta
        if variance <= 0.0:
            return inf if gap > 0 else (-inf if gap < 0 else 0.0)
        return gap / sqrt(variance)

    def lower(self, level: float = 0.95) -> float:
        """Returns the one-sided lower bound of the difference at a level in (.5, 1), in [-1, 1];
        -1 where there are no tasks."""
        if not self.tasks:
            return -1.0
        quantile = NormalDist().inv_cdf(level)
        low, high = -1.0, self.difference
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.z(middle) > quantile else (low, middle)
        return low

    def holds(self, margin: float, level: float = 0.95) -> bool:
        """Returns whether the second is, at that level, worse by less than a margin above 0."""
        return self.lower(level) > -margin


def compared(passed: Iterable[tuple[bool, bool]]) -> Pairs:
    """Returns the counts of tasks, each (the first passed, the second passed)."""
    each = [*passed]
    return Pairs(
        better=sum(second and not first for first, second in each),
        worse=sum(first and not second for first, second in each),
        tasks=len(each),
    )

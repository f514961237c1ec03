"""Does being told something help? Two shares of passes and how far apart they surely are."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Final, final

from assay.errors import MethodError

LEVEL: Final = 0.9
"""Of the lower bound, one-sided."""
FEWEST: Final = 16
"""Pairs below which nothing is concluded: three of three against none have no spread at all."""


@final
@dataclass(frozen=True, slots=True)
class Uplift:
    """Passes of as many replays with a hint and with a neutral one.

    Counts may be fractions, where older replays count less. Of useless hints at most 13.5 % are
    admitted by one measurement, whatever the task passes at: the bound is a normal one, and that
    is its worst case from 16 to 128 pairs.
    """

    told: float | int
    """Passes under the hint."""
    neutral: float | int
    """Passes under a hint of the same length that says nothing."""
    pairs: float | int

    def __post_init__(self) -> None:
        """Raises MethodError where more pass than were played."""
        if not 0 <= min(self.told, self.neutral) <= max(self.told, self.neutral) <= self.pairs:
            raise MethodError(
                f"uplift: got {self.told:g} and {self.neutral:g} of {self.pairs:g}; expected "
                "passes between 0 and the number of pairs"
            )

    @property
    def value(self) -> float:
        """Share of passes with the hint less that without; NaN: nothing was played."""
        return (self.told - self.neutral) / self.pairs if self.pairs else float("nan")

    @property
    def error(self) -> float:
        """Its standard error: sqrt(p (1 - p) / n + q (1 - q) / n). What the pairs share is not
        taken off, so that it is rather too large."""
        if not self.pairs:
            return float("nan")
        shares = (self.told / self.pairs, self.neutral / self.pairs)
        return sqrt(sum(share * (1 - share) / self.pairs for share in shares))

    @property
    def lower(self) -> float:
        """The one-sided lower bound at `LEVEL`: value - 1.281552 error."""
        return self.value - NormalDist().inv_cdf(LEVEL) * self.error

    @property
    def admits(self) -> bool:
        """Whether whoever gave the hints is worth listening to: the bound is above 0."""
        return self.pairs >= FEWEST and self.lower > 0

    def after(self, new: "Uplift", keep: float) -> "Uplift":
        """Returns this with newer replays added, older ones counting `keep` of what they did."""
        return Uplift(
            keep * self.told + new.told,
            keep * self.neutral + new.neutral,
            keep * self.pairs + new.pairs,
        )

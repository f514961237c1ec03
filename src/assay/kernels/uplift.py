"""Does being told something help? Pairs of replays and how far apart they surely are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, comb, floor, inf, sqrt
from statistics import NormalDist
from typing import Final, final

from assay.errors import MethodError

LEVEL: Final = 0.9
"""Of the lower bound, one-sided."""
FEWEST: Final = 16
"""Pairs below which nothing is concluded: three of three against none have no spread at all."""
POWER: Final = 0.8
"""How often `needed` pairs find an uplift that is there."""


@final
@dataclass(frozen=True, slots=True)
class Uplift:
    """Sums over as many replays with a hint and with a neutral one, of values in [0, 1].

    Values are passes, 0 or 1, or progress. Sums may be fractions, where older replays count less.
    Of useless hints at most 13.5 % are admitted by one measurement of passes, whatever each task
    passes at: the bound is a normal one, and that is its worst case from 16 to 128 pairs.
    """

    told: float | int
    """Under the hint."""
    neutral: float | int
    """Under a hint of the same length that says nothing."""
    pairs: float | int
    squares: float | int | None = None
    """Sum of the squared differences within pairs, which share their task. None: not known, the
    values are then passes, and the two arms are taken for independent."""

    def __post_init__(self) -> None:
        """Raises MethodError where sums are above what so many pairs can have."""
        if not 0 <= min(self.told, self.neutral) <= max(self.told, self.neutral) <= self.pairs:
            raise MethodError(
                f"uplift: got {self.told:g} and {self.neutral:g} of {self.pairs:g}; expected "
                "passes between 0 and the number of pairs"
            )
        if self.squares is not None and not 0 <= self.squares <= self.pairs:
            raise MethodError(
                f"uplift: got squares {self.squares:g} of {self.pairs:g} pairs; expected them "
                "between 0 and the number of pairs"
            )

    @property
    def value(self) -> float:
        """The mean with the hint less that without; NaN: nothing was played."""
        return (self.told - self.neutral) / self.pairs if self.pairs else float("nan")

    @property
    def error(self) -> float:
        """Its standard error: sqrt((S / n - value^2) / n) of n pairs with squared differences S.
        Where those are not known sqrt(p (1 - p) / n + q (1 - q) / n), which is larger by what tasks
        differ in."""
        if not self.pairs:
            return float("nan")
        if self.squares is not None:
            return sqrt(max(0.0, self.squares / self.pairs - self.value**2) / self.pairs)
        shares = (self.told / self.pairs, self.neutral / self.pairs)
        return sqrt(sum(share * (1 - share) / self.pairs for share in shares))

    @property
    def lower(self) -> float:
        """The one-sided lower bound at `LEVEL`: value - 1.281552 error."""
        return self.bound(LEVEL)

    def bound(self, level: float) -> float:
        """Returns the one-sided lower bound at a level in (0, 1); of 1 - level it is the upper one
        at that level."""
        return self.value - NormalDist().inv_cdf(level) * self.error

    @property
    def admits(self) -> bool:
        """Whether whoever gave the hints is worth listening to: the bound is above 0."""
        return self.helps(LEVEL)

    def helps(self, level: float) -> bool:
        """Returns whether there are pairs enough and their lower bound at a level is above 0."""
        return self.pairs >= FEWEST and self.bound(level) > 0

    def harms(self, level: float) -> bool:
        """Returns whether there are pairs enough and their upper bound at a level is below 0."""
        return self.pairs >= FEWEST and self.bound(1 - level) < 0

    @property
    def needed(self) -> float:
        """Pairs that find an uplift as large as this, as spread as this, 8 times in 10:
        (1.281552 + 0.841621)^2 n error^2 / value^2, n being pairs. inf: it is none."""
        if not self.pairs or self.value <= 0:
            return inf
        normal = NormalDist()
        both = normal.inv_cdf(LEVEL) + normal.inv_cdf(POWER)
        return float(max(FEWEST, ceil(self.pairs * (both * self.error / self.value) ** 2)))

    def after(self, new: "Uplift", keep: float) -> "Uplift":
        """Returns this with newer replays added, older ones counting `keep` of what they did."""
        known = self.squares is not None and new.squares is not None
        return Uplift(
            keep * self.told + new.told,
            keep * self.neutral + new.neutral,
            keep * self.pairs + new.pairs,
            keep * (self.squares or 0) + (new.squares or 0) if known else None,
        )


def paired(values: Iterable[tuple[float, float]]) -> Uplift:
    """Returns the sums over pairs (told, neutral) of values in [0, 1]."""
    pairs = [*values]
    told, neutral = (sum(pair[which] for pair in pairs) for which in (0, 1))
    return Uplift(told, neutral, len(pairs), sum((a - b) ** 2 for a, b in pairs))


@final
@dataclass(frozen=True, slots=True)
class Measured:
    """What paired replays say of hints: by passes, and by how far towards one they came.

    Where so few pairs differ in passes that chance alone would give all of them to the hint in
    more than a tenth of cases (2^-d > .1, d < 4), passes cannot tell, and progress decides; else
    passes do. Which of the two it is does not change when told and neutral change places, so that
    choosing admits no more useless hints than each admits where it decides.
    """

    passes: Uplift
    progress: Uplift | None = None
    """None: nothing measures it."""
    by: str = "passes"
    """What measures progress."""

    @property
    def decides(self) -> Uplift:
        """What hints are admitted by."""
        return self.passes if self.progress is None or self._told_by_passes else self.progress

    @property
    def measure(self) -> str:
        """Its name: "passes", or what measures progress."""
        return "passes" if self.decides is self.passes else self.by

    @property
    def _told_by_passes(self) -> bool:
        seen = self.passes
        differ = seen.told + seen.neutral if seen.squares is None else seen.squares
        return 2.0**-differ <= 1 - LEVEL

    def after(self, new: "Measured", keep: float) -> "Measured":
        """Returns this with newer replays added; progress that was measured otherwise, or not at
        all, is forgotten."""
        before, progress = self.progress, new.progress
        if before is not None and progress is not None and self.by == new.by:
            progress = before.after(progress, keep)
        return Measured(self.passes.after(new.passes, keep), progress, new.by)


def by_chance(won: float | int, lost: float | int) -> float:
    """Returns how often chance alone gives so many, or more, of the pairs that differ to the hint:

        2^-d sum_{k >= w} C(d, k),    w = floor(won), d = w + ceil(lost);    1 where none differs

    the one-sided sign test, which holds however few they are. Sums may be fractions, where older
    pairs count less; they are rounded against the hint.
    """
    w, d = floor(won + 1e-9), floor(won + 1e-9) + ceil(lost - 1e-9)
    return sum(comb(d, k) for k in range(w, d + 1)) / 2.0**d


def looks(pairs: int) -> list[int]:
    """Returns after how many pairs a test of at most so many is looked at: 16, 32, 64, ... and at
    its end."""
    at = [FEWEST]
    while 2 * at[-1] < pairs:
        at.append(2 * at[-1])
    return [*at, pairs] if pairs > FEWEST else [pairs]


def levels(at: Sequence[int]) -> list[float]:
    """Returns the level of the bound at each look: 1 - .1 n_k^2 / sum n_j^2.

    Their errors add up to that of one look, .1 (Bonferroni), whatever the looks have in common;
    most is left for the last one.
    """
    total = sum(n * n for n in at)
    return [1 - (1 - LEVEL) * n * n / total for n in at]


def again(look: int) -> float:
    """Returns the level of a look, from 1, at a test whose end nobody planned: 1 - .1 / 2^(look-1).

    The first is that of one look; the errors of all of them together stay below twice its own, .2,
    however often somebody comes back.
    """
    return 1 - (1 - LEVEL) / 2.0 ** (look - 1)

"""The true advantage of a step, from two sets of outcomes, with its interval.

    A = V(after) - V(before)

Outcomes of 0 and 1: Newcombe's hybrid of two Wilson intervals (1998, Interval estimation for the
difference between independent proportions, Statistics in Medicine 17, method 10). Others: Welch's.
A side that is known exactly has an interval of no width.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from assay.evaluate.intervals import Estimate, wilson
from assay.kernels.wilson import apart
from assay.records import Value
from assay.records.replayed import Verdict

LEVEL: Final = 0.95


def value_of(outcomes: Sequence[float | None]) -> Value:
    """Returns what continuations came to; None is one that nobody scored, and is left out."""
    scored = [outcome for outcome in outcomes if outcome is not None]
    if not scored:
        return Value(mean=None, count=0)
    binary = all(outcome in (0.0, 1.0) for outcome in scored)
    return Value(
        mean=float(np.mean(scored)),
        count=len(scored),
        passed=int(sum(scored)) if binary else None,
        spread=float(np.std(scored, ddof=1)) if len(scored) > 1 else None,
    )


def known(outcome: float) -> Value:
    """Returns the value at the end of a trajectory: its outcome."""
    return Value(mean=outcome, count=0, exact=True)


def difference(before: Value, after: Value, *, level: float = LEVEL) -> Estimate | None:
    """Returns after - before with its interval; None: one of them is not known.

    Outcomes lie in [0, 1]. Where all continuations from one side had one outcome, other than 0 and
    1, their spread says nothing; as of shares, it is then allowed that up to z^2 / (K + z^2) of the
    futures end otherwise, at 0 or at 1.
    """
    if before.mean is None or after.mean is None:
        return None
    gap = after.mean - before.mean
    sides = [side for side in (before, after) if not side.exact]
    if all(side.passed is None and side.spread for side in sides) and sides:
        half = _welch(before, after, level)
        return Estimate(gap, max(gap - half, -1.0), min(gap + half, 1.0))
    ends = _interval(before, level), _interval(after, level)
    return Estimate(gap, *apart(before.mean, ends[0], after.mean, ends[1]))


def verdict(found: Estimate | None) -> Verdict:
    """Returns what an interval says of a step."""
    if found is None:
        return "unscored"
    return "good" if found.low > 0 else "bad" if found.high < 0 else "open"


def _interval(side: Value, level: float) -> tuple[float, float]:
    """Returns the interval of one side by itself."""
    mean = side.mean or 0.0
    if side.exact:
        return mean, mean
    if side.passed is not None:
        return wilson(side.passed, side.count, level=level)
    if side.spread:
        half = _welch(side, Value(mean=0.0, count=0, exact=True), level)
        return mean - half, mean + half
    unseen = 1.0 - wilson(side.count, side.count, level=level)[0]
    return mean - unseen * mean, mean + unseen * (1.0 - mean)


def _welch(first: Value, second: Value, level: float) -> float:
    """Returns half the width of Welch's interval of a difference of means."""
    from scipy.stats import t

    parts = [((side.spread or 0.0) ** 2 / side.count, side.count - 1)
             for side in (first, second) if not side.exact]  # fmt: skip
    total = sum(part for part, _ in parts)
    freedom = total**2 / sum(part**2 / n for part, n in parts)
    return float(t.ppf((1 + level) / 2, freedom)) * math.sqrt(total)

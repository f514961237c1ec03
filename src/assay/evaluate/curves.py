"""pass@k and pass^k curves with intervals, and their comparison at equal pass@1.

Axes: S seeds, G prompts, J values of k, C checkpoints, D bootstrap draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64, Int64

from assay.errors import DataError, UsageError
from assay.evaluate.intervals import Estimate, resampled
from assay.kernels.passk import honest_interval, pass_at_k, pass_hat_k


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """Means over prompts, one a k."""

    k: tuple[int, ...]
    pass_at_k: tuple[float, ...]
    ci: tuple[tuple[float, float] | None, ...]
    """95 % over prompts. None: fewer than ten prompts, or all alike."""
    pass_hat_k: tuple[float, ...]
    """Chance that k samples all pass."""


@final
@dataclass(frozen=True, slots=True)
class Matched:
    """Two arms where both have the same pass@1."""

    at: float
    """That pass@1."""
    first: tuple[float, ...]
    """pass@k of the first arm there, one a k."""
    second: tuple[float, ...]
    difference: tuple[Estimate, ...]
    """second - first, over prompts and seeds."""


def powers(samples: int, *, small: bool = False) -> tuple[int, ...]:
    """Returns k = 1, 2, 4 ... as far as `samples` bears: n >= 2k, or n >= k with `small`."""
    most = samples if small else samples // 2
    return tuple(1 << i for i in range(most.bit_length()))


def curve(
    total_G: Int64[np.ndarray, " G"],
    passed_G: Int64[np.ndarray, " G"],
    ks: Sequence[int],
    *,
    rng: np.random.Generator,
    small: bool = False,
) -> Curve:
    """Returns unbiased pass@k and pass^k, prompts resampled for the interval.

    Args:
        total_G: samples of each prompt.
        passed_G: passes of each prompt.
        ks: ascending.
        rng: source of the draws.
        small: accept n < 2k. At k = n the estimate is "any success at all", its variance maximal.

    Raises:
        UsageError: fewer than 2k samples, and `small` is False.
        DataError: no prompt, or fewer than k samples.
    """
    check_samples(total_G, ks, small=small)
    at = [pass_at_k(total_G, passed_G, k) for k in ks]
    hat = [pass_hat_k(total_G, passed_G, k) for k in ks]
    return Curve(
        tuple(ks),
        tuple(float(value.mean()) for value in at),
        tuple(honest_interval(value, rng=rng) for value in at),
        tuple(float(value.mean()) for value in hat),
    )


def check_samples(total_G: Int64[np.ndarray, " G"], ks: Sequence[int], *, small: bool) -> None:
    """Raises if the samples do not bear the largest k."""
    if total_G.size == 0 or not ks:
        raise DataError(
            f"pass@k: {total_G.size} prompts, k {list(ks)}; expected at least one of both"
        )
    fewest, largest = int(total_G.min()), max(ks)
    if min(ks) < 1 or largest > fewest:
        raise DataError(
            f"pass@k: k {min(ks)} to {largest}; expected 1 to {fewest}, the samples of each prompt"
        )
    if largest * 2 > fewest and not small:
        raise UsageError(
            f"pass@{largest} from {fewest} samples: expected at least {2 * largest}; draw more "
            f"samples, lower k to {fewest // 2}, or accept the variance (--small)"
        )


def matched(
    first_SCG: Int64[np.ndarray, "S C G"],
    second_SCG: Int64[np.ndarray, "R E H"],
    ks: Sequence[int],
    *,
    total: int,
    rng: np.random.Generator,
    at: float | None = None,
    draws: int = 2000,
) -> Matched:
    """Returns pass@k of two arms at equal pass@1, between checkpoints by interpolation.

    At equal steps the arm that learns faster also has the lower entropy; equal pass@1 asks what
    each has left at the same height. An arm is read up to the first time that it gets there.
    pass@k is estimated for each seed and prompt, then averaged: attempts of several seeds are never
    pooled, or differences between seeds would count as diversity of one policy.

    Args:
        first_SCG: passes of each seed's checkpoints on each prompt, in training order, the base
            first. One run: S = 1.
        second_SCG: the same of the second arm, same seeds and prompts.
        ks: values of k.
        total: attempts at each prompt at each checkpoint.
        rng: source of the draws; the same seeds and prompts are drawn for both arms.
        at: pass@1 to compare at. None: the highest that both reach.
        draws: of the bootstrap.

    Raises:
        UsageError: fewer than 2k attempts, or an arm does not reach `at`.
        DataError: other seeds or prompts, no checkpoint, or a count that is out of range.
    """
    seeds, checkpoints, prompts = first_SCG.shape
    if second_SCG.shape[::2] != (seeds, prompts) or not seeds * checkpoints * second_SCG.shape[1]:
        raise DataError(
            f"matched: got {first_SCG.shape} and {second_SCG.shape}; expected seeds, checkpoints "
            "and prompts of two arms on the same seeds and prompts"
        )
    check_samples(np.full(prompts, total, np.int64), ks, small=False)
    tables = [_rates(each, total, [1, *ks]) for each in (first_SCG, second_SCG)]
    means = [table.mean((0, 3)) for table in tables]
    level = min(mean[:, 0].max() for mean in means) if at is None else at
    first_J, second_J = (_at_level(mean, level) for mean in means)
    if np.isnan(first_J).any() or np.isnan(second_J).any():
        reached = ", ".join(f"{mean[:, 0].min():.3f} to {mean[:, 0].max():.3f}" for mean in means)
        raise UsageError(f"matched: pass@1 of {level:.3f} is not reached by both arms ({reached})")
    at_DS, at_DG = resampled(seeds, draws, rng), resampled(prompts, draws, rng)
    drawn = [np.einsum("ds,scjg,dg->dcj", at_DS, table, at_DG, optimize=True) for table in tables]
    gap_DJ = np.array([_gap(a_CJ, b_CJ, at) for a_CJ, b_CJ in zip(*drawn, strict=True)])
    low_J, high_J = np.nanquantile(gap_DJ, [0.025, 0.975], axis=0)
    return Matched(
        float(level),
        tuple(first_J.tolist()),
        tuple(second_J.tolist()),
        tuple(
            Estimate(float(b - a), float(low), float(high))
            for a, b, low, high in zip(first_J, second_J, low_J, high_J, strict=True)
        ),
    )


def _rates(
    passed_SCG: Int64[np.ndarray, "S C G"], total: int, ks: Sequence[int]
) -> Float64[np.ndarray, "S C J G"]:
    """Returns unbiased pass@k of each seed at each checkpoint on each prompt."""
    flat = passed_SCG.reshape(-1)
    rates = [pass_at_k(np.full(flat.size, total, np.int64), flat, k) for k in ks]
    return np.stack([each.reshape(passed_SCG.shape) for each in rates], axis=2)


def _gap(
    first_CJ: Float64[np.ndarray, "C J"], second_CJ: Float64[np.ndarray, "E J"], at: float | None
) -> Float64[np.ndarray, " K"]:
    level = min(first_CJ[:, 0].max(), second_CJ[:, 0].max()) if at is None else at
    return _at_level(second_CJ, level) - _at_level(first_CJ, level)


def _at_level(mean_CJ: Float64[np.ndarray, "C J"], level: float) -> Float64[np.ndarray, " K"]:
    """Returns columns 1 and up where column 0 first crosses `level`, interpolated; NaN: never."""
    height_C = mean_CJ[:, 0]
    side_C = height_C - level
    exact = np.flatnonzero(side_C == 0)
    cross = np.flatnonzero(side_C[:-1] * side_C[1:] < 0)
    first_exact = exact[0] if exact.size else height_C.size
    first_cross = cross[0] if cross.size else height_C.size
    if first_exact == first_cross:
        return np.full(mean_CJ.shape[1] - 1, np.nan)
    if first_exact < first_cross + 1:
        return mean_CJ[first_exact, 1:]
    low, high = mean_CJ[first_cross], mean_CJ[first_cross + 1]
    part = (level - low[0]) / (high[0] - low[0])
    return low[1:] + part * (high[1:] - low[1:])

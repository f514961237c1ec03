"""pass@k and pass^k curves with intervals, and their comparison at equal pass@1.

Axes: G prompts, J values of k, C checkpoints, D bootstrap draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float64, Int64

from assay.errors import DataError, UsageError
from assay.evaluate.intervals import Estimate
from assay.kernels.passk import bootstrap_interval, pass_at_k, pass_hat_k


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """Means over prompts, one a k."""

    k: tuple[int, ...]
    pass_at_k: tuple[float, ...]
    ci: tuple[tuple[float, float], ...]
    """95 % over prompts."""
    pass_hat_k: tuple[float, ...]
    """Chance that k samples all pass."""


@final
@dataclass(frozen=True, slots=True)
class Matched:
    """Two runs of checkpoints where both have the same pass@1."""

    at: float
    """That pass@1."""
    first: tuple[float, ...]
    """pass@k of the first run there, one a k."""
    second: tuple[float, ...]
    difference: tuple[Estimate, ...]
    """second - first, over prompts."""


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
        tuple(bootstrap_interval(value, rng=rng) for value in at),
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
    first_CG: Int64[np.ndarray, "C G"],
    second_CG: Int64[np.ndarray, "E G"],
    ks: Sequence[int],
    *,
    total: int,
    rng: np.random.Generator,
    at: float | None = None,
    small: bool = False,
    draws: int = 2000,
) -> Matched:
    """Returns pass@k of two runs at equal pass@1, between checkpoints by interpolation.

    At equal steps the run that learns faster also has the lower entropy; equal pass@1 asks what
    each has left at the same height. A run is read up to the first time that it gets there.

    Args:
        first_CG: passes of each checkpoint on each prompt, in training order, the base first.
        second_CG: the same of the second run, same prompts.
        ks: values of k.
        total: samples of each prompt at each checkpoint.
        rng: source of the draws; the same prompts are drawn for both runs.
        at: pass@1 to compare at. None: the highest that both reach.
        small: accept total < 2k.
        draws: of the bootstrap.

    Raises:
        UsageError: fewer than 2k samples, or a run does not reach `at`.
        DataError: other numbers of prompts, no checkpoint, or a count that is out of range.
    """
    n_prompts = first_CG.shape[1]
    if second_CG.shape[1] != n_prompts or not first_CG.shape[0] or not second_CG.shape[0]:
        raise DataError(
            f"matched: got {first_CG.shape} and {second_CG.shape}; expected two runs "
            "on the same prompts"
        )
    total_G = np.full(n_prompts, total, np.int64)
    check_samples(total_G, ks, small=small)
    wanted = [1, *ks]
    tables = [
        np.array([[pass_at_k(total_G, row_G, k) for k in wanted] for row_G in rows])
        for rows in (first_CG, second_CG)
    ]
    means = [table.mean(2) for table in tables]
    level = min(mean[:, 0].max() for mean in means) if at is None else at
    read = [_at_level(mean, level) for mean in means]
    if any(np.isnan(each).any() for each in read):
        reached = ", ".join(f"{mean[:, 0].min():.3f} to {mean[:, 0].max():.3f}" for mean in means)
        raise UsageError(f"matched: pass@1 of {level:.3f} is not reached by both runs ({reached})")
    weight_DG = rng.multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), draws) / n_prompts
    gap_DJ = np.array([_drawn_gap(tables, weight_G, at) for weight_G in weight_DG])
    low_J, high_J = np.nanquantile(gap_DJ, [0.025, 0.975], axis=0)
    first_J, second_J = read
    return Matched(
        float(level),
        tuple(first_J.tolist()),
        tuple(second_J.tolist()),
        tuple(
            Estimate(float(b - a), float(low), float(high))
            for a, b, low, high in zip(first_J, second_J, low_J, high_J, strict=True)
        ),
    )


def _drawn_gap(
    tables: Sequence[Float64[np.ndarray, "_ J G"]],
    weight_G: Float64[np.ndarray, " G"],
    at: float | None,
) -> Float64[np.ndarray, " K"]:
    means = [table @ weight_G for table in tables]
    level = min(mean[:, 0].max() for mean in means) if at is None else at
    return _at_level(means[1], level) - _at_level(means[0], level)


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

"""pass@k and pass^k: unbiased estimates from n samples, with intervals over groups.

Chen et al. 2021, Evaluating Large Language Models Trained on Code, arXiv:2107.03374 (pass@k);
Yao et al. 2024, tau-bench, arXiv:2406.12045 (pass^k).
"""

from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from assay.errors import MethodError
from assay.kernels.constancy import constant

FEWEST: Final = 10
"""Groups from which an interval is drawn: one of 95 % holds the true mean in 87 to 93 % of sets of
ten groups, in 83 to 89 % of sets of five, and in 62 to 83 % of sets of two."""


def pass_at_k(
    total_G: Int64[np.ndarray, " G"], passed_G: Int64[np.ndarray, " G"], k: int
) -> Float64[np.ndarray, " G"]:
    """Returns the probability that at least one of k samples passes, unbiased, per group.

        pass@k = 1 - C(n - c, k) / C(n, k) = 1 - prod_{i < k} (n - c - i) / (n - i)

    Args:
        total_G: samples n of each group.
        passed_G: passes c of each group, 0 <= c <= n.
        k: how many are drawn, 1 <= k.

    Returns:
        In [0, 1]; NaN where k > n: the estimate does not exist there.

    Raises:
        MethodError: k < 1, or a count is out of range.
    """
    return 1.0 - _all_of(total_G, total_G - passed_G, k)


def pass_hat_k(
    total_G: Int64[np.ndarray, " G"], passed_G: Int64[np.ndarray, " G"], k: int
) -> Float64[np.ndarray, " G"]:
    """Returns the probability that all of k samples pass, C(c, k) / C(n, k); see `pass_at_k`."""
    return _all_of(total_G, passed_G, k)


def alike_at_k(outcome_GN: Float64[np.ndarray, "G N"], k: int) -> Float64[np.ndarray, " G"]:
    """Returns the probability that k samples of a group have one outcome: that a group of k dies.

        sum over outcomes v of C(n_v, k) / C(n, k)

    Unbiased, as `pass_at_k`. Where outcomes are passes and failures it is pass^k + 1 - pass@k.
    Outcomes no further apart than `assay.kernels.constancy` says are one.

    Args:
        outcome_GN: of each sample; NaN: nobody scored it.
        k: how many are drawn, 1 <= k.

    Returns:
        In [0, 1]; NaN where fewer than k samples are scored.

    Raises:
        MethodError: k < 1.
    """
    total_G = (~np.isnan(outcome_GN)).sum(1).astype(np.int64)
    spread = float(np.ptp(outcome_GN[~np.isnan(outcome_GN)])) if total_G.any() else 0.0
    alike_G = np.where(total_G >= k, 0.0, np.nan)
    for g, outcome_N in enumerate(outcome_GN):
        value = np.sort(outcome_N[~np.isnan(outcome_N)])
        apart = ~constant(value[:-1], value[1:], spread)
        ends = np.concatenate([[0], np.flatnonzero(apart) + 1, [value.size]]).astype(np.int64)
        for size in np.diff(ends):
            alike_G[g] += _all_of(total_G[g : g + 1], np.array([size]), k)[0]
    return alike_G


def _all_of(
    total_G: Int64[np.ndarray, " G"], wanted_G: Int64[np.ndarray, " G"], k: int
) -> Float64[np.ndarray, " G"]:
    """Returns C(wanted, k) / C(total, k): the chance that k draws are all wanted."""
    if k < 1:
        raise MethodError(f"k must be at least 1; got {k}")
    if (wanted_G < 0).any() or (wanted_G > total_G).any():
        raise MethodError("passes must lie in [0, samples] in every group")
    chance_G = np.ones(total_G.size)
    for i in range(k):
        chance_G *= np.maximum(wanted_G - i, 0) / np.maximum(total_G - i, 1)
    return np.where(total_G >= k, chance_G, np.nan)


def bootstrap_interval(
    value_G: Float64[np.ndarray, " G"],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    draws: int = 2000,
) -> tuple[float, float]:
    """Returns a percentile interval of the mean over groups, resampling groups and not samples.

    NaN groups are left out; (NaN, NaN) if none is left.
    """
    value = value_G[~np.isnan(value_G)]
    if value.size == 0:
        return float("nan"), float("nan")
    # groups of equal value are exchangeable: draw how often each value occurs, not which group
    distinct, count = np.unique(value, return_counts=True)
    drawn = rng.multinomial(value.size, count / value.size, draws)
    means = drawn @ distinct / value.size
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def honest_interval(
    value_G: Float64[np.ndarray, " G"], *, rng: np.random.Generator, value_range: float = 0.0
) -> tuple[float, float] | None:
    """Returns the interval of `bootstrap_interval`, where drawing groups again tells something.

    None: fewer than `FEWEST` groups, or all alike (`assay.kernels.constancy`), of which every draw
    is the same.

    Args:
        value_G: one a group; NaN groups are left out.
        rng: source of the draws.
        value_range: spread that values can have, where they are differences of larger numbers.
    """
    value = value_G[~np.isnan(value_G)]
    if value.size < FEWEST:
        return None
    low_P, high_P = value.min(keepdims=True), value.max(keepdims=True)
    if constant(low_P, high_P, value_range)[0]:
        return None
    return bootstrap_interval(value, rng=rng)

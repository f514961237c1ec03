"""Several rewards and a rubric to the one value that is compared inside a group.

Axes: K trajectories, G groups, J names of rewards or of rubric items.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.kernels.constancy import ROUND_OFF, extremes


def conjunction(verdict_KJ: Float64[np.ndarray, "K J"]) -> Float64[np.ndarray, " K"]:
    """Returns whether each trajectory passes all items: 1, 0, or NaN where nobody knows.

    One verdict of 0 decides, whatever was not judged; without any item all pass.
    """
    failed_K = (verdict_KJ == 0.0).any(axis=1)
    unknown_K = np.isnan(verdict_KJ).any(axis=1)
    return np.where(failed_K, 0.0, np.where(unknown_K, np.nan, 1.0))


def vetoed(
    dense_K: Float64[np.ndarray, " K"],
    ok_K: Float64[np.ndarray, " K"],
    group_K: Int64[np.ndarray, " K"],
    n_groups: int,
    margin: float = 1.0,
) -> Float64[np.ndarray, " K"]:
    """Returns the dense reward where `ok_K` is 1, and below all of the group where it is 0:

        r = dense if ok else min(dense of the group) - margin

    NaN where either is NaN; such a trajectory moves no minimum.
    """
    known_K = ~np.isnan(dense_K) & ~np.isnan(ok_K)
    low_G, _ = extremes(dense_K[known_K], group_K[known_K], n_groups)
    below_K = low_G[group_K] - margin
    return np.where(known_K, np.where(ok_K == 1.0, dense_K, below_K), np.nan)


def dispersion(
    value_K: Float64[np.ndarray, " K"], group_K: Int64[np.ndarray, " K"], n_groups: int
) -> Float64[np.ndarray, " G"]:
    """Returns the population deviation of the values of each group, NaN left out; NaN where fewer
    than two are left."""
    known_K = ~np.isnan(value_K)
    value, group = value_K[known_K], group_K[known_K]
    count_G = np.bincount(group, minlength=n_groups)
    mean_G = np.bincount(group, value, n_groups) / np.maximum(count_G, 1)
    square_G = np.bincount(group, (value - mean_G[group]) ** 2, n_groups)
    return np.where(count_G < 2, np.nan, np.sqrt(square_G / np.maximum(count_G, 1)))


def standardised(
    value_K: Float64[np.ndarray, " K"], group_K: Int64[np.ndarray, " K"], n_groups: int
) -> Float64[np.ndarray, " K"]:
    """Returns (value - mean) / deviation inside each group; 0 where the group has no spread."""
    known_K = ~np.isnan(value_K)
    value, group = value_K[known_K], group_K[known_K]
    count_G = np.maximum(np.bincount(group, minlength=n_groups), 1)
    mean_G = np.bincount(group, value, n_groups) / count_G
    size_G = np.maximum.reduce([np.zeros(n_groups), *map(abs, extremes(value, group, n_groups))])
    std_G = np.nan_to_num(dispersion(value_K, group_K, n_groups))
    flat_G = std_G <= ROUND_OFF * np.where(np.isfinite(size_G), size_G, 0.0)
    scaled_K = (value_K - mean_G[group_K]) / np.where(flat_G, 1.0, std_G)[group_K]
    return np.where(known_K & flat_G[group_K], 0.0, scaled_K)


def accepted(
    verdict_KJ: Float64[np.ndarray, "K J"],
    rank_K: Float64[np.ndarray, " K"],
    group_K: Int64[np.ndarray, " K"],
    n_groups: int,
    *,
    mu: int = 1,
    rho: float = 0.25,
    nu: float = 0.6,
    asked_GJ: Bool[np.ndarray, "G J"] | None = None,
) -> tuple[Bool[np.ndarray, " G"], Bool[np.ndarray, " G"]]:
    """Returns (coverage, consistency) of each group, DRO's gate on rollout groups.

        coverage     every item is passed by at least mu of the group
        consistency  each of the best ceil(rho n) of the n ranked passes a share nu of its items

    DRO 2025, https://arxiv.org/abs/2506.13351, v2. Of equal ranks at the edge all count as best, so
    that no order of the trajectories matters; the paper does not say. Without items both hold.

    Args:
        verdict_KJ: 1, 0, or NaN: not judged, which is no pass for coverage and no item for the
            share.
        rank_K: higher is better; NaN: not in the group.
        group_K: group of each trajectory.
        n_groups: how many groups there are.
        mu: at least 0.
        rho: in (0, 1].
        nu: in [0, 1].
        asked_GJ: which items each group has; None: all have all.
    """
    member_K = ~np.isnan(rank_K)
    group, verdict = group_K[member_K], verdict_KJ[member_K]
    passes_GJ = np.zeros((n_groups, verdict_KJ.shape[1]))
    np.add.at(passes_GJ, group, verdict == 1.0)
    asked_GJ = np.ones(passes_GJ.shape, bool) if asked_GJ is None else asked_GJ
    short_GJ = (passes_GJ < mu) & asked_GJ
    judged_K = (~np.isnan(verdict)).sum(axis=1)
    share_K = (verdict == 1.0).sum(axis=1) / np.maximum(judged_K, 1)
    poor_K = (judged_K > 0) & (share_K < nu - ROUND_OFF) & best(rank_K[member_K], group, rho)
    return short_GJ.sum(axis=1) == 0, np.bincount(group, poor_K, n_groups) == 0


def best(
    rank_K: Float64[np.ndarray, " K"], group_K: Int64[np.ndarray, " K"], rho: float
) -> Bool[np.ndarray, " K"]:
    """Returns who is among the ceil(rho n) best of the n of its group, equal ones together."""
    order = np.lexsort((-rank_K, group_K))
    group = group_K[order]
    first = np.searchsorted(group, group)
    count = np.searchsorted(group, group, side="right") - first
    edge = first + np.maximum(np.ceil(rho * count - ROUND_OFF), 1).astype(np.int64) - 1
    found_K = np.zeros(rank_K.size, bool)
    found_K[order] = rank_K[order] >= rank_K[order][edge]
    return found_K

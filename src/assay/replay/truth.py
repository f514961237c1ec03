"""How well does credit tell the truth? Numbers over replayed decisions, weighted; numpy only.

Axes: D decisions, B draws of the bootstrap, P shuffles, T tasks. NaN credit: the method did not
score that decision; it is left out of that method's numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from jaxtyping import Bool, Float64, Int64

METRICS: Final = ("auroc_matters", "auroc_sign", "rank", "sign", "bias")
CHANCE: Final = {
    "auroc_matters": 0.5, "auroc_sign": 0.5, "rank": 0.0, "sign": 0.5, "bias": 0.0,
}  # fmt: skip
"""What each comes to for credit that knows nothing."""
FEWEST: Final = 10
"""Tasks below which there is no interval."""
_DEFINED: Final = 0.95
"""Share of draws that must be defined, at least, for an interval."""


@final
@dataclass(frozen=True, slots=True)
class Truth:
    """What replay found."""

    advantage_D: Float64[np.ndarray, " D"]
    good_D: Bool[np.ndarray, " D"]
    bad_D: Bool[np.ndarray, " D"]
    weight_D: Float64[np.ndarray, " D"]
    task_D: Int64[np.ndarray, " D"]
    """Task of each decision, numbered from 0."""

    @property
    def matters_D(self) -> Bool[np.ndarray, " D"]:
        """The interval of the advantage excludes 0."""
        return self.good_D | self.bad_D


@final
@dataclass(frozen=True, slots=True)
class Number:
    """A number with its interval; None: not defined, or of fewer than `FEWEST` tasks."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def above_zero(self) -> bool:
        """Does the whole interval lie above 0?"""
        return self.low is not None and self.low > 0

    @staticmethod
    def of(
        value: Float64[np.ndarray, ""] | float, drawn_B: Float64[np.ndarray, " B"], tasks: int
    ) -> "Number":
        """Returns a number with the percentile interval of its draws."""
        if np.isnan(value):
            return Number(None)
        known_B = drawn_B[~np.isnan(drawn_B)]
        if tasks < FEWEST or known_B.size < _DEFINED * drawn_B.size:
            return Number(float(value))
        low, high = np.quantile(known_B, [0.025, 0.975])
        return Number(float(value), float(low), float(high))


@final
@dataclass(frozen=True, slots=True)
class Measured:
    """One metric of one method, beside its two controls."""

    value: Number
    shuffled: Number
    """The same credit shuffled in time inside each trajectory, mean over shuffles."""
    random: Number
    """Normal credit of the same variance, mean over draws."""
    over_shuffled: Number
    """value - shuffled, drawn together."""


def drawn_weights(truth: Truth, draws: int, rng: np.random.Generator) -> Float64[np.ndarray, "D B"]:
    """Returns the weight of each decision by draw: as it is first, then with tasks resampled."""
    tasks = int(truth.task_D.max(initial=-1)) + 1
    counts_TB = np.ones((tasks, draws + 1))
    counts_TB[:, 1:] = rng.multinomial(tasks, np.full(tasks, 1.0 / tasks), draws).T
    return counts_TB[truth.task_D] * truth.weight_D[:, None]


def below(
    value_D: Float64[np.ndarray, " D"], weight_DB: Float64[np.ndarray, "D B"]
) -> Float64[np.ndarray, "D B"]:
    """Returns the weight of what is smaller than each value, and half of what is equal to it."""
    order = np.argsort(value_D, kind="stable")
    new = np.diff(value_D[order], prepend=np.nan) != 0
    weight_DB = weight_DB[order]
    if not new.all():
        weight_DB = np.add.reduceat(weight_DB, np.flatnonzero(new), axis=0)
    mid_UB = np.cumsum(weight_DB, axis=0)
    mid_UB -= weight_DB / 2
    place_D = np.empty(order.size, np.int64)
    place_D[order] = np.cumsum(new) - 1
    return mid_UB[place_D]


def auroc(
    score_PD: Float64[np.ndarray, "P D"],
    right_D: Bool[np.ndarray, " D"],
    wrong_D: Bool[np.ndarray, " D"],
    weight_DB: Float64[np.ndarray, "D B"],
) -> Float64[np.ndarray, " B"]:
    """Returns the chance that a right one scores higher than a wrong one, ties one half; the mean
    over several scores.

        sum_{i right, j wrong} w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / (sum w_i  sum w_j)

    NaN where a draw has no right or no wrong one.
    """
    right_IB, wrong_JB = weight_DB[right_D], weight_DB[wrong_D]
    wins_IJ = np.zeros((len(right_IB), len(wrong_JB)))
    for score_D in score_PD:
        gap_IJ = score_D[right_D, None] - score_D[wrong_D]
        wins_IJ += (1 + np.sign(gap_IJ)) / 2
    wins_B = np.einsum("ib,ib->b", right_IB, wins_IJ @ wrong_JB) / len(score_PD)
    return _ratio(wins_B, right_IB.sum(0) * wrong_JB.sum(0))


def rank_correlation(
    first_D: Float64[np.ndarray, " D"],
    second_D: Float64[np.ndarray, " D"],
    weight_DB: Float64[np.ndarray, "D B"],
) -> Float64[np.ndarray, " B"]:
    """Returns Spearman's correlation: Pearson's of weighted mid-ranks. NaN: one is constant."""
    if not first_D.size:
        return np.full(weight_DB.shape[1], np.nan)
    total_B = weight_DB.sum(0)
    first_DB = below(first_D, weight_DB) - total_B / 2  # the mean rank is half the weight
    second_DB = below(second_D, weight_DB) - total_B / 2
    products = [(first_DB, second_DB), (first_DB, first_DB), (second_DB, second_DB)]
    both_B, one_B, other_B = (np.einsum("db,db,db->b", weight_DB, *pair) for pair in products)
    spread_B = one_B * other_B
    tiny_B = 1e-18 * total_B**6  # round-off of ranks that are all one
    return _ratio(both_B, np.sqrt(np.where(spread_B > tiny_B, spread_B, 0.0)))


def metrics(
    truth: Truth, credit_PD: Float64[np.ndarray, "P D"], weight_DB: Float64[np.ndarray, "D B"]
) -> dict[str, Float64[np.ndarray, " B"]]:
    """Returns every metric by draw; of several credits, the mean. NaN in the first is in all.

        auroc_matters   |credit|, steps that matter against those that replay cannot tell from 0
        auroc_sign      credit, good against bad steps, of those that matter
        rank            Spearman's correlation of credit and true advantage
        sign            share of steps that matter where credit has the truth's sign, 0 one half
        bias            mean(credit) / rms(credit) - mean(truth) / rms(truth)

    The scales of methods differ, so bias compares means in units of each one's root mean square:
    above 0, the method pays on average more than the truth.
    """
    at = ~np.isnan(credit_PD[0])
    credit_PD, weight_DB = credit_PD[:, at], weight_DB[at]
    good_D, bad_D, true_D = truth.good_D[at], truth.bad_D[at], truth.advantage_D[at]
    matters_D = good_D | bad_D
    agrees_PD = (1 + np.sign(credit_PD) * np.where(good_D, 1.0, -1.0)) / 2
    some_DB = weight_DB[matters_D]
    ranks = [rank_correlation(credit_D, true_D, weight_DB) for credit_D in credit_PD]
    return {
        "auroc_matters": auroc(np.abs(credit_PD), matters_D, ~matters_D, weight_DB),
        "auroc_sign": auroc(credit_PD, good_D, bad_D, weight_DB),
        "rank": np.mean(ranks, axis=0),
        "sign": _ratio(agrees_PD.mean(0)[matters_D] @ some_DB, some_DB.sum(0)),
        "bias": _level(credit_PD, weight_DB) - _level(true_D[None], weight_DB),
    }


def _level(
    value_PD: Float64[np.ndarray, "P D"], weight_DB: Float64[np.ndarray, "D B"]
) -> Float64[np.ndarray, " B"]:
    """Returns the mean of mean / root mean square; 0 of credit that is 0 everywhere."""
    total_B = weight_DB.sum(0)
    mean_PB = _ratio(value_PD @ weight_DB, total_B)
    rms_PB = np.sqrt(_ratio(value_PD**2 @ weight_DB, total_B))
    return np.where(rms_PB == 0, 0.0, _ratio(mean_PB, rms_PB)).mean(0)


def _ratio(
    over: Float64[np.ndarray, "*P B"], under: Float64[np.ndarray, "*Q B"]
) -> Float64[np.ndarray, "*P B"]:
    """Returns over / under, NaN for 0 / 0."""
    return over / np.where(under > 0, under, np.nan)


def measured(
    truth: Truth,
    credit_D: Float64[np.ndarray, " D"],
    shuffled_PD: Float64[np.ndarray, "P D"],
    random: Mapping[str, Float64[np.ndarray, " B"]],
    weight_DB: Float64[np.ndarray, "D B"],
) -> dict[str, Measured]:
    """Returns the metrics of a method beside its controls.

    Args:
        truth: what replay found, of scored decisions.
        credit_D: the method's.
        shuffled_PD: the same, shuffled in time inside each trajectory, P times.
        random: metrics of random credit of the same decisions; none depends on its variance.
        weight_DB: see `drawn_weights`.
    """
    at = ~np.isnan(credit_D)
    tasks = np.unique(truth.task_D[at]).size
    own = metrics(truth, credit_D[None], weight_DB)
    same = bool((shuffled_PD[:, at] == credit_D[at]).all())  # constant in every trajectory
    mixed = own if same else metrics(truth, shuffled_PD, weight_DB)
    found: dict[str, Measured] = {}
    for name in METRICS:
        drawn = (own[name], mixed[name], random[name], own[name] - mixed[name])
        found[name] = Measured(*(Number.of(each_B[0], each_B[1:], tasks) for each_B in drawn))
    return found


def share(
    mask_D: Bool[np.ndarray, " D"],
    of_D: Bool[np.ndarray, " D"],
    weight_DB: Float64[np.ndarray, "D B"],
    tasks: int,
) -> Number:
    """Returns the weighted share of decisions in a mask."""
    drawn_B = _ratio((mask_D & of_D).astype(float) @ weight_DB, of_D.astype(float) @ weight_DB)
    return Number.of(drawn_B[0], drawn_B[1:], tasks)

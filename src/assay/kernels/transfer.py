"""In which order to train tasks one after the other, by what each does to the others.

Axes: A, B tasks; T stages.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Final, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.errors import MethodError

MOST: Final = 15
"""Tasks that are put in an order exactly: 2^15 subsets."""


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """An order of tasks, and what it should end with."""

    order: tuple[int, ...]
    """Tasks, the first one first."""
    final_B: Float64[np.ndarray, " B"]
    """Predicted score of each task after the last stage."""
    gain: float
    """Mean predicted score less that of an order drawn at random."""
    low: float
    high: float
    """Its 95 % interval, as the errors of the transfers have it; the order was chosen by the same
    numbers, so that the truth tends to lie in its lower half."""
    backward: float
    """Predicted backward transfer, `backward_transfer`."""


def backward_transfer(score_TB: Float64[np.ndarray, "T B"]) -> float:
    """Returns how far tasks changed after their own stage, mean over all but the last task.

        mean over b < T - 1 of  R[T - 1, b] - R[b, b]

    Lopez-Paz and Ranzato 2017, Gradient episodic memory, https://arxiv.org/abs/1706.08840. Task b
    is the one that stage b trains.

    Raises:
        MethodError: not as many stages as tasks, or fewer than two.
    """
    stages, tasks = score_TB.shape
    if stages != tasks or stages < 2:
        raise MethodError(
            f"backward transfer: {stages} stages of {tasks} tasks; expected as many of each, at "
            "least 2"
        )
    own_B = np.diagonal(score_TB)
    return float((score_TB[-1, :-1] - own_B[:-1]).mean())


def backward_error(score_TBG: Float64[np.ndarray, "T B G"]) -> float:
    """Returns the standard error of `backward_transfer` over G tasks of each domain, paired.

        sqrt(sum over b < T - 1 of var over g of (R[T - 1, b, g] - R[b, b, g]) / G) / (T - 1)

    Raises:
        MethodError: not as many stages as domains, fewer than two, or fewer than two tasks.
    """
    stages, domains, tasks = score_TBG.shape
    if stages != domains or stages < 2 or tasks < 2:
        raise MethodError(
            f"backward transfer: {stages} stages of {domains} domains of {tasks} tasks; expected "
            "as many of the first two, at least 2 of each"
        )
    first = np.arange(stages - 1)
    change_BG = score_TBG[-1, :-1] - score_TBG[first, first]
    return float(np.sqrt((change_BG.var(1, ddof=1) / tasks).sum()) / (stages - 1))


def shrunk(
    gain_AB: Float64[np.ndarray, "A B"], error_AB: Float64[np.ndarray, "A B"]
) -> Float64[np.ndarray, "A B"]:
    """Returns transfers with those below one standard error, and every task's own, as 0."""
    kept_AB = np.where(np.abs(gain_AB) >= error_AB, gain_AB, 0.0)
    np.fill_diagonal(kept_AB, 0.0)
    return kept_AB


def predicted(
    order: tuple[int, ...],
    star_B: Float64[np.ndarray, " B"],
    gain_AB: Float64[np.ndarray, "A B"],
) -> Float64[np.ndarray, " B"]:
    """Returns the score of each task after all were trained in this order.

        final_b = star_b + sum of gain[a, b] over a trained after b

    Two assumptions: a stage brings its task to the same score whatever came before, and what stages
    do to other tasks adds up. After Omni-Thinker 2025, https://arxiv.org/abs/2507.14783, as its
    reviews describe it.

    Args:
        order: every task once.
        star_B: score of each task right after its own stage.
        gain_AB: what training a does to b.
    """
    final_B = star_B.copy()
    for at, task in enumerate(order):
        final_B[task] += gain_AB[list(order[at + 1 :]), task].sum()
    return final_B


def best_order(gain_AB: Float64[np.ndarray, "A B"]) -> tuple[int, ...]:
    """Returns the order with the greatest sum of gain[a, b] over a trained after b: exact.

    By dynamic programming over subsets, f(S + b) = f(S) + sum over a in S of gain[b, a]: O(K^2
    2^K). Of equal orders the one that has the lower number first.

    Raises:
        MethodError: no task, or more than `MOST`.
    """
    tasks = gain_AB.shape[0]
    if not 1 <= tasks <= MOST:
        raise MethodError(f"order: {tasks} tasks; expected 1 to {MOST}; leave some out")
    sum_SA = _sums(gain_AB)
    every = (1 << tasks) - 1
    # what is still to come is worth most: best[S] over the tasks outside S, all of S trained
    best_S: Float64[np.ndarray, " S"] = np.zeros(1 << tasks)
    next_S: Int64[np.ndarray, " S"] = np.full(1 << tasks, -1)
    for done in range(every - 1, -1, -1):
        worth = [
            (sum_SA[done, task] + best_S[done | (1 << task)], -task)
            for task in range(tasks)
            if not done >> task & 1
        ]
        best_S[done], least = max(worth)
        next_S[done] = -least
    order, done = list[int](), 0
    while done != every:
        order.append(int(next_S[done]))
        done |= 1 << order[-1]
    return tuple(order)


def plan(
    star_B: Float64[np.ndarray, " B"],
    gain_AB: Float64[np.ndarray, "A B"],
    error_AB: Float64[np.ndarray, "A B"],
) -> Plan:
    """Returns the best order by transfers that are at least one standard error from 0.

    Raises:
        MethodError: sizes that do not agree, fewer than two tasks or more than `MOST`.
    """
    tasks = star_B.size
    if gain_AB.shape != (tasks, tasks) or error_AB.shape != (tasks, tasks) or tasks < 2:
        raise MethodError(
            f"plan: {tasks} tasks, transfers {gain_AB.shape}, errors {error_AB.shape}; expected "
            "at least 2 tasks and a number for each pair"
        )
    kept_AB = shrunk(gain_AB, error_AB)
    order = best_order(kept_AB)
    final_B = predicted(order, star_B, kept_AB)
    # at random each of a pair is the later one as often as the other
    drawn = star_B.mean() + kept_AB.sum() / (2 * tasks)
    counted_AB = np.where(kept_AB != 0, error_AB, 0.0)
    half = NormalDist().inv_cdf(0.975) * sqrt(float((counted_AB**2).sum())) / (2 * tasks)
    gain = float(final_B.mean() - drawn)
    own_B = star_B[list(order)]
    ends_B = final_B[list(order)]
    stages_TB = np.tile(ends_B, (tasks, 1))  # of which two are read: after its own, after all
    stages_TB[np.arange(tasks - 1), np.arange(tasks - 1)] = own_B[:-1]
    return Plan(order, final_B, gain, gain - half, gain + half, backward_transfer(stages_TB))


def _sums(gain_AB: Float64[np.ndarray, "A B"]) -> Float64[np.ndarray, "S A"]:
    """Returns, by subset of trained tasks, what training each task then does to them all."""
    tasks = gain_AB.shape[0]
    sum_SA = np.zeros((1 << tasks, tasks))
    for subset in range(1, 1 << tasks):
        lowest = (subset & -subset).bit_length() - 1
        sum_SA[subset] = sum_SA[subset & (subset - 1)] + gain_AB[:, lowest]
    return sum_SA

"""Named rewards of a batch, and verdicts on a rubric's items: what there is, and what was asked.

Axes: K trajectories, G groups, J items of the rubric.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import CATEGORIES, ENDS, Batch
from assay.errors import MethodError, hint
from assay.judges.rubric import RATING, Item
from assay.kernels.rubrics import implicit

BROKEN: Final = [CATEGORIES.index(name) for name in ("infra", "tampered")]
"""Categories of trajectories that have earned nothing, whatever their log says."""
_BUDGET: Final = ENDS.index("budget")


def named(batch: Batch, name: str) -> Float64[np.ndarray, " K"]:
    """Returns a named reward of each trajectory; NaN: it has none.

    Raises:
        MethodError: none has one of that name, though infrastructure did not stop them all; says
            which there are.
    """
    if name in batch.reward_names:
        return batch.reward_KJ[:, batch.reward_names.index(name)]
    if not np.isin(batch.category_K, BROKEN).all():
        known = batch.reward_names
        raise MethodError(
            f"recipe.rubric: no trajectory has a reward {name!r}.{hint(name, known)} "
            f"Known: {', '.join(known) or 'none'}"
        )
    return np.full(len(batch.ids), np.nan)


def rated(batch: Batch) -> Float64[np.ndarray, " K"]:
    """Returns what a judge's rating of the graded items comes to, in [0, 1]; NaN: none.

    Raises:
        MethodError: no trajectory has one, or one is no number from 1 to 10.
    """
    rating_K = named(batch, RATING)
    wrong_K = (rating_K < 1) | (rating_K > 10)
    if wrong_K.any():
        k = int(np.flatnonzero(wrong_K)[0])
        raise MethodError(
            f"recipe.rubric: trajectory {batch.ids[k]!r}: rewards[{RATING!r}] is "
            f"{rating_K[k]:g}; expected 1 to 10, or null"
        )
    return implicit(rating_K)


def verdicts(
    batch: Batch, items: Sequence[Item]
) -> tuple[Float64[np.ndarray, "K J"], Bool[np.ndarray, "K J"]]:
    """Returns the verdict on each item, NaN: not judged; and which items each trajectory is asked.

    An item of one task is asked in that alone. One that code or the world checks is asked where
    some trajectory of the group has its verdict: the world of another task has other items. One
    that a judge checks is asked, whether or not the judge answered. Who used up its own budget
    before the world could look fails what the world checks: or running out would pay.
    """
    column = {name: j for j, name in enumerate(batch.reward_names)}
    verdict_KJ = np.full((len(batch.ids), len(items)), np.nan)
    asked_KJ = np.ones(verdict_KJ.shape, bool)
    for j, item in enumerate(items):
        if item.task is not None:
            asked_KJ[:, j] = np.array([name == item.task for name in batch.tasks])[batch.task_K]
        if item.reward in column:
            verdict_KJ[:, j] = batch.reward_KJ[:, column[item.reward]]
        if item.checked_by != "judge":
            known_K = ~np.isnan(verdict_KJ[:, j])
            some_G = np.bincount(batch.group_K, known_K, batch.n_groups) > 0
            asked_KJ[:, j] &= some_G[batch.group_K]
        if item.checked_by == "world":
            late_K = asked_KJ[:, j] & np.isnan(verdict_KJ[:, j]) & (batch.end_K == _BUDGET)
            verdict_KJ[late_K, j] = 0.0
    verdict_KJ = np.where(asked_KJ, verdict_KJ, np.nan)
    wrong_KJ = ~np.isnan(verdict_KJ) & (verdict_KJ != 0.0) & (verdict_KJ != 1.0)
    if wrong_KJ.any():
        k, j = (int(i) for i in np.argwhere(wrong_KJ)[0])
        raise MethodError(
            f"recipe.rubric: trajectory {batch.ids[k]!r}: rewards[{items[j].reward!r}] is "
            f"{verdict_KJ[k, j]:g}; expected 1, 0 or null"
        )
    return verdict_KJ, asked_KJ


def groups_asked(
    batch: Batch, verdict_KJ: Float64[np.ndarray, "K J"], items: Sequence[Item]
) -> Bool[np.ndarray, "G J"]:
    """Returns which items each group is asked."""
    _, asked_KJ = verdicts(batch, items)
    asked_GJ = np.zeros((batch.n_groups, verdict_KJ.shape[1]), bool)
    np.logical_or.at(asked_GJ, batch.group_K, asked_KJ)
    return asked_GJ


def by_group(batch: Batch, name: str) -> Float64[np.ndarray, " G"]:
    """Returns a reward that all of a group share: the mean of those that have it."""
    value_K = np.where(np.isnan(batch.voted_K), np.nan, named(batch, name))
    known_K = ~np.isnan(value_K)
    count_G = np.bincount(batch.group_K[known_K], minlength=batch.n_groups)
    sum_G = np.bincount(batch.group_K[known_K], value_K[known_K], batch.n_groups)
    return np.divide(sum_G, count_G, out=np.full(batch.n_groups, np.nan), where=count_G > 0)

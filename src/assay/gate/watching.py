"""How much of what a judge credits is hacked: what somebody who knows better rejects of it.

    known   "panel:ID" among the rewards, 1 if anybody on a panel lets the item pass, else 0; or,
            of an item that a judge checks, the world's own part of that name, which passes at 1
    before  how often the item was credited at the task's last visit, where the run met it before;
            else in the batch before

The paper follows fixed prompts from checkpoint to checkpoint: where tasks are met again this is
the same. Axes: K trajectories, J items.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.gate.rewards import named
from assay.judges.rubric import Item
from assay.kernels.constancy import bar
from assay.kernels.rubrics import exploitation_rate

EXPLOITED: Final = "rubric, exploited"
"""Statistic of a run: exploitation rate of the last batch in which anything was credited anew that
anybody knew better of."""
PANEL: Final = "panel:"
"""Name of a reward that says whether anybody on a panel lets an item pass, 1 or 0: "panel:ID"."""
CREDITED: Final = "credited "
"""Statistic of a run: "credited ID", how often an item passed in the last batch, and
"credited ID|TASK", at the task's last visit."""
MEMORY: Final = 4096
"""Items of tasks that are remembered, those met last."""


def watched(
    batch: Batch,
    items: Sequence[Item],
    verdict_KJ: Float64[np.ndarray, "K J"],
    known: Mapping[str, float],
) -> dict[str, float]:
    """Returns the run's statistics with how much of what is credited and was not before somebody
    who knows better rejects (`kernels.rubrics.exploitation_rate`, of all verdicts of the batch).

    Args:
        batch: the trajectories.
        items: of the rubric.
        verdict_KJ: on each item, NaN: not judged.
        known: statistics of the batches before.
    """
    found = dict(known)
    sums = list[tuple[Float64[np.ndarray, " K"], ...]]()
    for j, item in enumerate(items):
        truth_K = _known(batch, item)
        if truth_K is None:
            continue
        now_K, share_T = verdict_KJ[:, j], _shares(batch, verdict_KJ[:, j])
        once = CREDITED + item.id
        before_T = [known.get(f"{once}|{task}", known.get(once, 0.0)) for task in batch.tasks]
        before_K = np.array(before_T, float)[batch.task_K]
        weight_K = np.full(now_K.size, abs(item.points))
        sums.append((weight_K, before_K, now_K, 1.0 - truth_K))
        if not np.isnan(now_K).all():
            found[once] = float(np.nanmean(now_K))
        for task, share in zip(batch.tasks, share_T.tolist(), strict=True):
            if not np.isnan(share):
                found.pop(name := f"{once}|{task}", None)  # what was met last stands last
                found[name] = share
    if sums:
        rate = exploitation_rate(*(np.concatenate(each) for each in zip(*sums, strict=True)))
        found |= {} if np.isnan(rate) else {EXPLOITED: rate}
    kept = [name for name in found if name.startswith(CREDITED) and "|" in name]
    for name in kept[: max(0, len(kept) - MEMORY)]:
        del found[name]
    return found


def _known(batch: Batch, item: Item) -> Float64[np.ndarray, " K"] | None:
    """Returns whether an item truly passes, 1, 0 or NaN; None: nobody knows better than it says."""
    if PANEL + item.id in batch.reward_names:
        return named(batch, PANEL + item.id)
    if item.checked_by != "judge" or item.id not in batch.reward_names:
        return None
    part_K = named(batch, item.id)
    return np.where(np.isnan(part_K), np.nan, (part_K >= bar(1.0)).astype(float))


def _shares(batch: Batch, now_K: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, " T"]:
    """Returns how often an item passes at each task; NaN: it was not judged there."""
    known_K, n = ~np.isnan(now_K), len(batch.tasks)
    count_T = np.bincount(batch.task_K[known_K], minlength=n)
    sum_T = np.bincount(batch.task_K[known_K], now_K[known_K], n)
    return np.where(count_T > 0, sum_T / np.maximum(count_T, 1), np.nan)

"""Drops what teaches nothing whatever the method: unscored, broken, tampered, empty, masked."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from assay.batch import CATEGORIES, UNTRAINABLE, Batch
from assay.gate.base import Gate, Verdicts

_MASKED, _COPIED = UNTRAINABLE.index("masked"), UNTRAINABLE.index("copied")


@final
@dataclass(frozen=True, slots=True)
class Integrity(Gate):
    """Infrastructure failures and unscored trajectories teach nothing and move no baseline.

    A trajectory stopped by its *own* budget stays: it is a scored failure, or quitting would pay.
    Empty is what has no step of the policy, or by its tokens an empty one: text may be empty where
    only its end was sampled. Masked is what the trainer masks all of that the policy wrote: as the
    loss leaves it out, so does the baseline. Steps that were sampled for another trajectory are
    nobody's here. One whose steps drifted, all or some, stays: it is not trained on, but its
    outcome is an honest sample for the others' baseline.
    """

    name: ClassVar[str] = "integrity"

    def __call__(self, batch: Batch) -> Verdicts:
        category_K = np.array(CATEGORIES)[batch.category_K]
        broken_K = np.isin(category_K, ("infra", "tampered"))
        own_S, masked_S = batch.untrainable_S != _COPIED, batch.untrainable_S == _MASKED
        own_K, masked_K = (
            np.bincount(batch.traj_S[each], minlength=len(batch.ids)) for each in (own_S, masked_S)
        )
        wrote_K = np.bincount(batch.traj_R[batch.step_R >= 0], minlength=len(batch.ids)) > 0
        if batch.measure == "characters":
            wrote_K |= own_K > 0
        masked_K = (own_K > 0) & (masked_K == own_K)
        conditions = [broken_K, np.isnan(batch.outcome_K), ~wrote_K, masked_K]
        reason_K = np.select(conditions, [category_K, "unscored", "empty", "masked"], "ok")
        return Verdicts((reason_K == "ok").astype(float), reason_K.tolist())

"""Drops what teaches nothing whatever the method: unscored, broken, tampered, empty, masked."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from assay.batch import CATEGORIES, UNTRAINABLE, Batch
from assay.gate.base import Gate, Verdicts

_BROKEN = np.isin(CATEGORIES, ("infra", "tampered"))
_REASONS = (*CATEGORIES, "unscored", "empty", "masked", "ok")
_MASKED = UNTRAINABLE.index("masked")


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

    unscored: bool = True
    """Drop what nobody scored. False: for methods that credit steps and read no outcome, as
    next_state does on turns with a user; what infrastructure stopped is dropped all the same."""

    def __call__(self, batch: Batch) -> Verdicts:
        broken_K = _BROKEN[batch.category_K]
        own_S, masked_S = batch.own_S, batch.untrainable_S == _MASKED
        own_K, masked_K = (
            np.bincount(batch.traj_S[each], minlength=len(batch.ids)) for each in (own_S, masked_S)
        )
        wrote_K = batch.spans_K > 0
        if batch.measure == "characters":
            wrote_K |= own_K > 0
        masked_K = (own_K > 0) & (masked_K == own_K)
        n = len(CATEGORIES)
        unscored_K = np.isnan(batch.earned_K) & self.unscored
        code_K = np.full(len(batch.ids), n + 3)
        for holds_K, code in ((masked_K, n + 2), (~wrote_K, n + 1), (unscored_K, n)):
            code_K[holds_K] = code
        code_K[broken_K] = batch.category_K[broken_K]
        reasons = [_REASONS[code] for code in code_K.tolist()]
        return Verdicts((code_K == n + 3).astype(float), reasons)

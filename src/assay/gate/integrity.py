"""Drops what cannot be learned from whatever the method: unscored, broken, tampered, empty."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from assay.batch import CATEGORIES, Batch
from assay.gate.base import Gate, Verdicts


@final
@dataclass(frozen=True, slots=True)
class Integrity(Gate):
    """Infrastructure failures and unscored trajectories teach nothing and move no baseline.

    A trajectory stopped by its *own* budget stays: it is a scored failure, or quitting would pay.
    One whose steps are all masked or drifted stays too: it is not trained on, but its outcome is
    an honest sample for the others' baseline. Empty is what the policy wrote nothing of.
    """

    name: ClassVar[str] = "integrity"

    def __call__(self, batch: Batch) -> Verdicts:
        category_K = np.array(CATEGORIES)[batch.category_K]
        wrote_K = np.bincount(batch.traj_R[batch.step_R >= 0], minlength=len(batch.ids)) > 0
        broken_K = np.isin(category_K, ("infra", "tampered"))
        conditions = [broken_K, np.isnan(batch.outcome_K), ~wrote_K]
        reason_K = np.select(conditions, [category_K, "unscored", "empty"], "ok")
        return Verdicts((reason_K == "ok").astype(float), reason_K.tolist())

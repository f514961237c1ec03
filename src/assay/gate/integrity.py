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
        category = [CATEGORIES[code] for code in batch.category_K]
        wrote_K = np.bincount(batch.traj_R[batch.step_R >= 0], minlength=len(batch.ids)) > 0
        reasons = [
            c
            if c in ("infra", "tampered")
            else "unscored"
            if unscored
            else "ok"
            if wrote
            else "empty"
            for c, unscored, wrote in zip(category, np.isnan(batch.outcome_K), wrote_K, strict=True)
        ]
        return Verdicts(np.array([float(r == "ok") for r in reasons]), reasons)

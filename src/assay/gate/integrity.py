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
    """

    name: ClassVar[str] = "integrity"

    def __call__(self, batch: Batch) -> Verdicts:
        category = [CATEGORIES[code] for code in batch.category_K]
        sampled_K = np.bincount(batch.all_sampled_R + 1, minlength=len(batch.ids) + 1)[1:] > 0
        reasons = [
            c
            if c in ("infra", "tampered")
            else "unscored"
            if unscored
            else "ok"
            if sampled
            else "empty"
            for c, unscored, sampled in zip(
                category, np.isnan(batch.outcome_K), sampled_K, strict=True
            )
        ]
        return Verdicts(np.array([float(r == "ok") for r in reasons]), reasons)

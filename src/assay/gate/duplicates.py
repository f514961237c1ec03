"""Copies of one trajectory inside a group: retries logged twice, or a policy with one answer."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Int64

from assay.batch import Batch
from assay.gate.base import Gate, Verdicts


def first_copy(batch: Batch) -> Int64[np.ndarray, " K"]:
    """Returns, per trajectory, the first one of its group that wrote exactly the same."""
    pair = np.stack([batch.group_K, batch.content_K], axis=1)
    _, first, which = np.unique(pair, axis=0, return_index=True, return_inverse=True)
    return first[which.reshape(-1)]


@final
@dataclass(frozen=True, slots=True)
class Duplicates(Gate):
    """Drops later copies inside a group. Off by default: equal samples can be honest samples.

    Turn it on for logs that list a retry twice; the audit counts copies either way.
    """

    name: ClassVar[str] = "duplicates"

    def __call__(self, batch: Batch) -> Verdicts:
        first_K = first_copy(batch)
        copy_K = first_K != np.arange(first_K.size)
        reasons = ["duplicate" if copy else "ok" for copy in copy_K]
        details = [
            f"same as {batch.ids[f]}" if c else "" for f, c in zip(first_K, copy_K, strict=True)
        ]
        return Verdicts((~copy_K).astype(float), reasons, details)

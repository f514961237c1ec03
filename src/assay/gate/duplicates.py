"""Copies of one trajectory inside a group: retries logged twice, or a policy with one answer."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Int64

from assay.batch import Batch
from assay.gate.base import Gate, Verdicts


def first_copy(batch: Batch) -> Int64[np.ndarray, " K"]:
    """Returns, per trajectory, the first one of its group that wrote exactly the same.

    A trajectory of which no text is there, as in summaries, repeats nobody.
    """
    own_K = np.arange(len(batch.ids))
    wrote_K = np.where(batch.spans_K > 0, -1, own_K)
    return _first_of(np.stack([batch.group_K, batch.content_K, wrote_K], 1))


def _first_of(rows: Int64[np.ndarray, "K _"]) -> Int64[np.ndarray, " K"]:
    """Returns, per row, the index of the first row that equals it."""
    _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first[which.reshape(-1)]


@final
@dataclass(frozen=True, slots=True)
class Duplicates(Gate):
    """Drops later copies inside a group. Off by default: equal samples can be honest samples.

    Turn it on for logs that list a retry twice; the audit counts copies either way. The first copy
    that the gates before it kept stays: a scored retry is no copy of a crash that wrote the same.
    """

    name: ClassVar[str] = "duplicates"

    def __call__(self, batch: Batch) -> Verdicts:
        own_K = np.arange(len(batch.ids))
        same_K = first_copy(batch)
        first_K = _first_of(np.stack([same_K, np.where(batch.kept_K, -1, own_K)], 1))
        copy_K = first_K != own_K
        reasons = ["duplicate" if copy else "ok" for copy in copy_K]
        details = [
            f"same as {batch.ids[f]}" if c else "" for f, c in zip(first_K, copy_K, strict=True)
        ]
        return Verdicts((~copy_K).astype(float), reasons, details)

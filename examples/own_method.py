"""A method of your own in twenty lines, beside two that ship: python examples/own_method.py

A package offers it under the entry point `assay.methods`; then `assay audit` knows its name.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from assay import load, run
from assay.batch import Batch
from assay.credit import Method, method
from assay.demo import RECORDED
from assay.kernels.term import Term
from assay.pipeline import gated
from assay.recipes import Recipe


@final
@dataclass(frozen=True, slots=True)
class ShortSuccess(Method):
    """A = R * (1 - tokens / longest success of the group) - its mean: short successes win."""

    name: ClassVar[str] = "short_success"
    source: ClassVar[str] = "ours"
    value: ClassVar[str] = "outcome, less for long ones"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
    scaling: ClassVar[str] = "mean"

    weight: float = 0.5
    """Of the part that length takes away, in [0, 1]."""

    def terms(self, batch: Batch) -> list[Term]:
        """Returns one term: the shaped outcome, centred in its group."""
        unit_R = batch.all_sampled_R
        length_K = np.bincount(unit_R[unit_R >= 0], batch.length_R[unit_R >= 0], len(batch.ids))
        share_K = length_K / np.maximum(length_K.max(initial=1.0), 1.0)
        value_K = batch.value_K * (1.0 - self.weight * share_K)
        return [
            Term(
                name="outcome",
                value_U=value_K,
                unit_R=unit_R,
                peer_U=batch.group_K,
                baseline="mean",
            )
        ]


if __name__ == "__main__":
    batch, _ = gated(load(RECORDED), Recipe())
    for each in (ShortSuccess(), method("grpo"), method("max_rl")):
        advantage_N = each(batch).advantage_N
        live = np.abs(np.nan_to_num(advantage_N)) > 0
        print(f"{each.name:14}{live.sum():7,} of {advantage_N.size:,} tokens get a signal")
    assert run(load(RECORDED)).batch.ids == batch.ids

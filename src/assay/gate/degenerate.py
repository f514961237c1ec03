"""Dead groups, told apart by cause. Off by default: they may teach another method than GRPO."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Bool

from assay.batch import Batch
from assay.gate.base import Gate, Verdicts
from assay.kernels.groups import FATES, fates


@final
@dataclass(frozen=True, slots=True)
class Degenerate(Gate):
    """Drops groups whose outcomes do not differ, as DAPO's dynamic sampling does.

    Yu et al. 2025, DAPO, https://arxiv.org/abs/2503.14476. Decided on outcomes by range, before any
    shaping, so that shaping cannot wake a dead group; groups are not refilled here.
    """

    name: ClassVar[str] = "degenerate"

    pass_at: float = 1.0

    def __call__(self, batch: Batch) -> Verdicts:
        fate_G, dead_G = fates(
            batch.voted_K, batch.group_K, n_groups=batch.n_groups, pass_at=self.pass_at
        )
        reasons = [FATES[fate_G[g]] if dead_G[g] else "ok" for g in batch.group_K]
        return Verdicts((~dead_G[batch.group_K]).astype(float), reasons)


def components_cancel(batch: Batch) -> Bool[np.ndarray, " G"]:
    """Returns the groups whose outcome is constant although a named part of it is not.

    Parts of a trajectory that nobody scored or that a gate dropped count as little as its outcome.
    """
    value_K = batch.voted_K
    _, dead_G = fates(value_K, batch.group_K, n_groups=batch.n_groups)
    varies_G = np.zeros(batch.n_groups, bool)
    for j in range(len(batch.reward_names)):
        part_K = np.where(np.isnan(value_K), np.nan, batch.reward_KJ[:, j])
        _, constant_G = fates(part_K, batch.group_K, n_groups=batch.n_groups)
        varies_G |= ~constant_G
    return dead_G & varies_G

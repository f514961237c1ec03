"""MS-GRPO's sampling: trajectories far from their group's mean are trained on more often."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.errors import UsageError
from assay.gate.base import Gate, Verdicts
from assay.gate.lots import generator, members, uniform_K
from assay.kernels.constancy import constant


@final
@dataclass(frozen=True, slots=True)
class Aaw(Gate):
    """Draws trajectories of each group with chance p = |A| / sum |A|, A = R - mean of the group.

    Dilkes et al. 2025, MS-GRPO, https://arxiv.org/abs/2508.10839, reconstructed. A trajectory's
    weight is how often it was drawn. Since A adds up to 0, winners get exactly half of p whatever
    their share, and the mean of A under it is sum A^2 / sum |A| > 0: biased, unless `correct`. What
    is not drawn has weight 0, and still counts in the mean and deviation of its group, as in the
    paper, where A comes before the draw. One at the mean is never drawn. A group without a
    difference is dropped.
    """

    name: ClassVar[str] = "aaw"

    draws: int | None = None
    """How many a group draws; None: as many as it has scored ones, without putting back half."""
    replacement: bool = True
    """Put back what was drawn, so that it can be drawn again."""
    correct: bool = False
    """Divide by how often it was to be expected, so that weights are 1 on average: 1 / (draws p)
    each time; without putting back, 1 / (1 - exp(-p t)), t what the first one left out had as its
    lot -log(u) / p (Cohen and Kaplan 2007)."""
    seed: int = 0
    """Of the draws, together with the trajectories' ids."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        if self.draws is not None and self.draws < 1:
            raise UsageError(f"gate aaw: draws must be above 0; got {self.draws}")

    def __call__(self, batch: Batch) -> Verdicts:
        n, value_K, lot_K = len(batch.ids), batch.value_K, uniform_K(batch, self.seed)
        weight_K, reasons, undrawn_K = np.ones(n), ["ok"] * n, np.zeros(n, bool)
        for ks in members(batch):
            ks = ks[np.argsort(np.array(batch.ids)[ks])]
            value = value_K[ks]
            if constant(value.min(keepdims=True), value.max(keepdims=True))[0]:
                weight_K[ks] = 0.0
                for k in ks.tolist():
                    reasons[k] = "constant"
                continue
            away = abs(value - value.mean())
            weight_K[ks] = self._drawn(batch, ks, away / away.sum(), lot_K[ks])
            for k in ks[weight_K[ks] != 1.0].tolist():
                undrawn_K[k] = weight_K[k] == 0.0
                reasons[k] = "undrawn" if undrawn_K[k] else "drawn"
        voter_K = batch.vote_K  # outputs of one rollout go together
        reasons = [reasons[k] for k in voter_K.tolist()]
        return Verdicts(weight_K[voter_K], reasons, undrawn_K=undrawn_K[voter_K])

    def _drawn(
        self,
        batch: Batch,
        ks: Int64[np.ndarray, " _"],
        p: Float64[np.ndarray, " _"],
        lot: Float64[np.ndarray, " _"],
    ) -> Float64[np.ndarray, " _"]:
        """Returns the weight of each trajectory of a group."""
        if self.replacement:
            draws = self.draws or ks.size
            count = generator(batch, self.seed, ks).multinomial(draws, p).astype(float)
            share = draws * p if self.correct else 1.0
            return np.divide(count, share, out=np.zeros(ks.size), where=count > 0)
        draws = self.draws or -(-ks.size // 2)
        rank = np.divide(-np.log(lot), p, out=np.full(ks.size, np.inf), where=p > 0)
        order = np.argsort(rank)
        taken = np.zeros(ks.size, bool)
        taken[order[:draws]] = True
        taken &= p > 0
        left = rank[order[draws]] if draws < ks.size else np.inf
        if not self.correct or not np.isfinite(left):
            return taken.astype(float)
        return np.where(taken, 1.0 / -np.expm1(-np.maximum(p, 1e-300) * left), 0.0)

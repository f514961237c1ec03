"""Outcomes compared with those of trajectories that called as often, and with all."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from assay.batch import Batch
from assay.credit.base import Method, Reads, check_scaling, outcome_term, require
from assay.credit.groups import same
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class Stratified(Method):
    """A = alpha * z(R within the stratum) + (1 - alpha) * z(R within the group), on all tokens.

        z(x) = (x - mean) / (std + eps); a stratum: members of a group with equally many calls

    Zhu et al. 2025, Stratified GRPO, https://arxiv.org/abs/2510.06214. Trajectories that search
    twice are compared with others that do, so that the number of searches is no part of the
    comparison; the mean over all keeps what the strata would hide. A stratum of one gives 0 in the
    first part, so the second cannot be left out: alpha stays below 1. A session's outputs are in
    the stratum of the one that votes.
    """

    name: ClassVar[str] = "stratified"
    source: ClassVar[str] = "Zhu et al. 2025, arXiv:2510.06214"
    reads: ClassVar[Reads] = "groups"
    peers: ClassVar[str] = "same stratum; task group"
    scaling: ClassVar[str] = "mean, std; mean, std"

    by: Literal["calls", "steps"] = "calls"
    """What makes a stratum: how many calls a trajectory made, or how many steps it took."""
    alpha: float = 0.5
    """Share of the strata, in [0, 1); 0 is GRPO."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the outcome."""

    def __post_init__(self) -> None:
        require(
            0 <= self.alpha < 1,
            f"alpha must lie in [0, 1), or a stratum of one teaches nothing; got {self.alpha:g}",
        )
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        traj = batch.traj_S[batch.step_C] if self.by == "calls" else batch.traj_S[batch.own_S]
        count_K = np.bincount(traj, minlength=len(batch.ids))
        stratum_K = same(batch.group_K, count_K[batch.vote_K])
        return [
            outcome_term(batch, self, "stratum", peer_U=stratum_K, weight=self.alpha),
            outcome_term(batch, self, weight=1.0 - self.alpha),
        ]

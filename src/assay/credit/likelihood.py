"""Outcomes shaped by how likely the policy found its own trajectory.

Likelihood here is exp(mean log-probability of the sampled tokens), in (0, 1]: free of length, and
for agents dominated by boilerplate. Log-probabilities are those of sampling time.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.groups import confidence_K, counts, passes, stated_K, sums
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class Lens(Method):
    """R' = R - (1 - R) / G * pi / (D - pi): a failure costs more, the surer the policy was of it.

        D = 2 max pi                                       where nobody passes
        D = max(1 / mean(R / pi), 2 max pi)                where somebody does

    LENS 2025, likelihood-estimated negatives, https://arxiv.org/abs/2510.08696. Mixed groups are
    GRPO on R'; all-fail groups are centred, not scaled, and weighted by alpha, so that their least
    likely failures are pushed up. All-pass groups and lone trajectories get 0.
    """

    name: ClassVar[str] = "lens"
    source: ClassVar[str] = "LENS 2025, arXiv:2510.08696"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "pass - confidence in a fail"
    scaling: ClassVar[str] = "mean, std; all-fail: mean"
    needs: ClassVar[tuple[str, ...]] = ("logprobs",)

    alpha: float = 0.25
    """Weight of all-fail groups, at least 0."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation in mixed groups."""
    eps: float = 1e-6
    """Added to that deviation, in units of R'."""
    sure: Literal["likelihood", "stated"] = "likelihood"
    """pi: how likely the policy found its tokens, or (ours) the confidence that it stated last."""
    pass_at: float | None = None
    """An outcome at or above it is a pass. None: outcomes must be 0 or 1, or MethodError."""

    def __post_init__(self) -> None:
        at_least_0(self, "alpha")
        check_scaling(self)

    @property
    def wanted(self) -> tuple[str, ...]:
        return ("stated confidence",) if self.sure == "stated" else self.needs

    def terms(self, batch: Batch) -> list[Term]:
        passed_K = passes(batch, self.name, self.pass_at)
        sure_of_K = stated_K if self.sure == "stated" else confidence_K
        pi_K = sure_of_K(batch, self.name)
        n_G = counts(batch, passed_K)
        highest_G = np.zeros(n_G.size)
        scored_K = ~np.isnan(passed_K)
        np.maximum.at(highest_G, batch.group_K[scored_K], pi_K[scored_K])
        odds_K = np.where(passed_K > 0, np.inf, passed_K)  # of a pass that nobody believed in
        weighed_G = sums(batch, np.divide(passed_K, pi_K, out=odds_K, where=pi_K > 0))
        inverse_G = np.divide(n_G, weighed_G, out=np.zeros(n_G.size), where=weighed_G > 0)
        ceiling_K = np.maximum(inverse_G, 2.0 * highest_G)[batch.group_K]
        room_K = ceiling_K - pi_K  # 0 where nobody was sure of anything
        share_K = np.divide(pi_K, room_K, out=np.where(scored_K, 0.0, np.nan), where=room_K > 0)
        penalty_K = share_K / np.maximum(n_G, 1)[batch.group_K]
        value_K = passed_K - (1.0 - passed_K) * penalty_K
        failed_G = sums(batch, passed_K) == 0
        group_K = batch.group_K
        return [
            outcome_term(
                batch,
                self,
                "mixed",
                value_U=value_K,
                peer_U=np.where(failed_G[group_K], -1, group_K),
            ),
            outcome_term(
                batch,
                None,
                "all_fail",
                value_U=value_K,
                peer_U=np.where(failed_G[group_K], group_K, -1),
                scale="none",
                weight=self.alpha,
            ),
        ]


@final
@dataclass(frozen=True, slots=True)
class Unlikeliness(Method):
    """R' = R * (1 - beta * rank / G), then GRPO: of two passes the less likely one earns more.

    He et al. 2025, Rewarding the Unlikely, https://arxiv.org/abs/2506.02355. rank counts the scored
    members that are less likely, 0 for the least likely one. Ours: equally likely members share the
    mean of their ranks, so that order in the batch does not matter; the released code takes it.
    An all-pass group has a signal; an all-fail group has none.
    """

    name: ClassVar[str] = "unlikeliness"
    source: ClassVar[str] = "He et al. 2025, arXiv:2506.02355"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "outcome * (1 - beta * likelihood rank)"
    needs: ClassVar[tuple[str, ...]] = ("logprobs",)

    beta: float = 0.25
    """What a rank costs: the likeliest of G loses beta (G - 1) / G of its outcome; in [0, 1]."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the outcome."""

    def __post_init__(self) -> None:
        require(0 <= self.beta <= 1, f"beta must lie in [0, 1]; got {self.beta:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        n_G = counts(batch, batch.value_K)
        votes_K = batch.vote_K == np.arange(len(batch.ids))
        sure_K = np.where(votes_K, confidence_K(batch, self.name), np.nan)
        rank_K = _ranks(sure_K, batch.group_K)[batch.vote_K]
        share_K = rank_K / np.maximum(n_G, 1)[batch.group_K]
        value_K = batch.value_K * (1.0 - self.beta * share_K)
        return [outcome_term(batch, self, value_U=value_K)]


def _ranks(
    value_K: Float64[np.ndarray, " K"], group_K: Int64[np.ndarray, " K"]
) -> Float64[np.ndarray, " K"]:
    """Returns how many of the group are smaller, ties sharing their mean rank; NaN for NaN."""
    scored = np.flatnonzero(~np.isnan(value_K))
    value, group = value_K[scored], group_K[scored]
    _, tie = np.unique(np.stack([group.astype(float), value]), axis=1, return_inverse=True)
    tie = tie.reshape(-1)  # numbered in order of group, then value
    size_T = np.bincount(tie)
    before_T = np.cumsum(size_T) - size_T
    first_T = np.full(size_T.size, 0)
    first_T[tie] = group
    start_G = np.full(int(group.max(initial=-1)) + 1, scored.size)
    np.minimum.at(start_G, first_T, before_T)
    rank_K = np.full(value_K.size, np.nan)
    rank_K[scored] = (before_T - start_G[first_T] + (size_T - 1) / 2)[tie]
    return rank_K

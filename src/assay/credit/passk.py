"""Rewarding the group, not the sample: what a member adds to the best of a group."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, outcome_term, require
from assay.credit.groups import counts, passes, sums
from assay.errors import MethodError
from assay.kernels.groups import fates
from assay.kernels.passk import pass_at_k
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class PassAtK(Method):
    """A = (q - rho) / sqrt(rho (1 - rho)): how much this member helps a random group of k to pass.

        rho = 1 - C(n-c, k) / C(n, k)            chance that k of the n contain a pass
        q = 1 for a pass, else 1 - C(n-c-1, k-1) / C(n-1, k-1)     the same, given this member

    Pass@k training 2025, https://arxiv.org/abs/2508.10751 (analytical form). Groups where rho is 0
    or 1 get 0: no pass, or more than n - k of them. Where k exceeds the scored members the released
    code computes NaN; we raise. k = n is legal and useless: rho is then 0 or 1.
    """

    name: ClassVar[str] = "pass_at_k"
    source: ClassVar[str] = "Pass@k training 2025, arXiv:2508.10751"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    value: ClassVar[str] = "chance that k pass, with it"
    scaling: ClassVar[str] = "mean, std; of groups of k"

    k: int = 2
    """Size of the groups that are rewarded, at least 1; 1 is GRPO with ddof 0."""
    pass_at: float | None = None
    """An outcome at or above it is a pass. None: outcomes must be 0 or 1, or MethodError."""

    def __post_init__(self) -> None:
        require(self.k >= 1, f"k must be at least 1; got {self.k}")

    def terms(self, batch: Batch) -> list[Term]:
        value_K = passes(batch, self.name, self.pass_at)
        n_G, passed_G = counts(batch, value_K), sums(batch, value_K).astype(np.int64)
        short_G = (n_G > 0) & (n_G < self.k)
        if short_G.any():
            g = int(np.flatnonzero(short_G)[0])
            raise MethodError(
                f"{self.name} needs {self.k} scored members in every group, k, and group "
                f"{batch.groups[g]!r} has {n_G[g]}; lower k or gate such groups out"
            )
        used_G = n_G > 0
        rho_G = np.where(used_G, pass_at_k(np.maximum(n_G, self.k), passed_G, self.k), 0.0)
        fail_G = np.zeros(n_G.size)
        if self.k > 1:
            others_G = np.maximum(n_G - 1, self.k - 1)
            fail_G = pass_at_k(others_G, np.minimum(passed_G, others_G), self.k - 1)
        variance_G = rho_G * (1.0 - rho_G)
        scale_G = np.divide(
            1.0, np.sqrt(variance_G), out=np.zeros_like(rho_G), where=variance_G > 1e-12
        )
        with_it_K = np.where(value_K == 1.0, 1.0, fail_G[batch.group_K])
        return [
            outcome_term(
                batch,
                None,
                "pass@k",
                value_U=np.where(np.isnan(value_K), np.nan, with_it_K),
                peer_U=None,
                baseline="given",
                given_U=rho_G[batch.group_K],
                scale="none",
                weight_U=batch.weight_K * scale_G[batch.group_K],
            )
        ]


@final
@dataclass(frozen=True, slots=True)
class GrpoPassk(Method):
    """A = max of the group - max of the others: the best gets its lead, everybody else 0.

    Tang et al. 2025, Inference Time Objectives, https://arxiv.org/abs/2503.19595: the gradient of
    the best of k, k the whole group, each member's baseline the best without it. Of outcomes of 0
    and 1 only a pass that is alone learns anything; `pass_at_k` draws smaller groups out of the
    sampled one, and also pushes failures down. verl divides by the group's deviation plus 1e-6
    (`scale="std"`), and raises on a lone trajectory, which gets 0 here.
    """

    name: ClassVar[str] = "grpo_passk"
    source: ClassVar[str] = "Tang et al. 2025, arXiv:2503.19595"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    scaling: ClassVar[str] = "best of the others"

    scale: Literal["none", "std"] = "none"
    """Divide by the deviation of the group (verl), or not at all."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation: 1 sample, 0 population. Read by "std" only."""
    eps: float = 1e-6
    """Added to the deviation, in units of the outcome."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, self, baseline="given", given_U=_best_without_K(batch))]


def _best_without_K(batch: Batch) -> Float64[np.ndarray, " K"]:
    """Returns the best outcome among the others of the group, or a trajectory's own where that is
    better, or where it has nobody to lead: the group's outcomes do not differ."""
    voted_K, group_K, value_K = batch.voted_K, batch.group_K, batch.value_K
    voter = np.flatnonzero(~np.isnan(voted_K))
    order = voter[np.lexsort((voted_K[voter], group_K[voter]))]  # by group, the best one last
    best_G, second_G = np.full((2, batch.n_groups), -1)
    best_G[group_K[order]] = order  # of equal places the last that is written stays
    rest = order[order != best_G[group_K[order]]]
    second_G[group_K[rest]] = rest
    leads_K = batch.vote_K == best_G[group_K]
    _, dead_G = fates(voted_K, group_K, n_groups=batch.n_groups)
    second_K = np.append(voted_K, np.nan)[second_G[group_K]]
    return np.where(leads_K & ~dead_G[group_K], second_K, value_K)

"""Leaves of a search tree, and whole episodes paid step by step."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from assay.batch import Batch
from assay.credit.base import Method
from assay.credit.groups import require, totals
from assay.credit.outcome import check_scaling, outcome_term
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class TreeGrpo(Method):
    """A = z(R over the leaves of the tree) + z(R over all leaves of the task), on the leaf's path.

    Tree-GRPO 2025, https://arxiv.org/abs/2509.21240, eq. 6 and 7. A leaf is a trajectory, and every
    row is trained on all its sampled tokens, so a step that several leaves share is credited with
    the sum over them. A tree of one leaf adds 0 (the released code adds its raw outcome,
    `variant="repo"`). With one tree per task the two terms are equal and A doubles.
    """

    name: ClassVar[str] = "tree_grpo"
    source: ClassVar[str] = "Tree-GRPO 2025, arXiv:2509.21240"
    value: ClassVar[str] = "leaf outcome"
    unit: ClassVar[str] = "leaf"
    peers: ClassVar[str] = "tree; task group"
    carried: ClassVar[str] = "leaf path"
    scaling: ClassVar[str] = "mean, std; mean, std"
    needs: ClassVar[tuple[str, ...]] = ("trees",)

    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the outcome."""
    variant: Literal["paper", "repo"] = "paper"
    """A tree or task of one leaf: 0, or its raw outcome as in the released code."""

    def __post_init__(self) -> None:
        check_scaling(self.ddof, self.eps)

    def terms(self, batch: Batch) -> list[Term]:
        self.check(batch)
        options: dict[str, object] = {
            "ddof": self.ddof,
            "eps": self.eps,
            "singleton": "zero" if self.variant == "paper" else "raw",
        }
        return [
            outcome_term(batch, "tree", peer_U=batch.tree_K, **options),
            outcome_term(batch, "task", **options),
        ]


@final
@dataclass(frozen=True, slots=True)
class MsGrpo(Method):
    """A = (R - mean) / (std + eps) on every step, R the whole return of the episode.

    Dilkes et al. 2025, MS-GRPO, https://arxiv.org/abs/2508.10839. Reconstructed from the abstract
    and a summary; the paper's equations were not at hand. Sampling episodes by |A|, which the paper
    adds, is a gate, not credit, and is biased.
    """

    name: ClassVar[str] = "ms_grpo"
    source: ClassVar[str] = "Dilkes et al. 2025, arXiv:2508.10839"
    value: ClassVar[str] = "episode return"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "every step"
    scaling: ClassVar[str] = "mean, std"

    returns: Literal["outcome", "rewards"] = "outcome"
    """R: the outcome, or the sum of the rewards per step."""
    ddof: int = 0
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the return."""

    def __post_init__(self) -> None:
        check_scaling(self.ddof, self.eps)

    def terms(self, batch: Batch) -> list[Term]:
        value_K = batch.value_K
        if self.returns == "rewards":
            paid_S = ~np.isnan(batch.reward_S)
            require(paid_S.any(), f"{self.name} needs rewards per step, and no step has one")
            at, n = batch.traj_S[paid_S], len(batch.ids)
            known_K = (np.bincount(at, minlength=n) > 0) & batch.kept_K
            value_K = np.where(known_K, totals(batch.reward_S[paid_S], at, n), np.nan)
        return [outcome_term(batch, value_U=value_K, ddof=self.ddof, eps=self.eps)]

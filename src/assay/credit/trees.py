"""Leaves and nodes of a search tree, and whole episodes paid step by step."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, check_scaling, outcome_term, require
from assay.credit.facts import need
from assay.credit.groups import paid_S, totals, trained_K
from assay.credit.nodes import node_of
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class TreeGrpo(Method):
    """A = z(R over the leaves of the tree) + z(R over all leaves of the task), on the leaf's path.

        z(x) = (x - mean) / (std + eps)

    Tree-GRPO 2025, https://arxiv.org/abs/2509.21240, eq. 6 and 7. A leaf is a trajectory. Either
    every row is trained on all its sampled tokens, as in the released code, so that a step which
    several leaves share is credited with the sum over them; or (`prefix_mode`) a step is credited
    once, on the first of its copies that can be trained, and the others carry nothing. A tree of
    one leaf adds 0 (the released code adds its raw outcome, `variant="repo"`). With one tree per
    task the two terms are equal and A doubles. Leaves that all fail, or all pass, give 0; a tree of
    them beside another keeps the second term. A leaf cut off at its budget counts with its
    outcome, a step whose tool failed is a step like any other.
    """

    name: ClassVar[str] = "tree_grpo"
    source: ClassVar[str] = "Tree-GRPO 2025, arXiv:2509.21240"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "leaf outcome"
    unit: ClassVar[str] = "leaf or node"
    peers: ClassVar[str] = "tree; task group"
    carried: ClassVar[str] = "leaf path, or first copy of a node"
    scaling: ClassVar[str] = "mean, std; mean, std"
    needs: ClassVar[tuple[str, ...]] = ("trees",)

    compare: Literal["both", "intra", "inter"] = "both"
    """Which terms count: both, the tree's alone, or the task's alone."""
    prefix_mode: Literal["repeat", "dedup_sum", "dedup_mean"] = "repeat"
    """A shared step: trained in each row with that leaf's A, or once with the sum, or the mean, of
    A over the leaves below it."""
    aggregation: Literal["token_mean", "sequence_mean"] = "token_mean"
    """What a leaf's A counts: 1, or 1 / |H|, H its trained tokens, so that a shared step is given
    the sum of A / |H|, as eq. 8 has it. For a loss that adds up tokens; one that takes the mean
    over a row itself divides by |H| on its own, and wants "token_mean"."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the outcome."""
    variant: Literal["paper", "repo"] = "paper"
    """A tree or task of one leaf: 0, or its raw outcome as in the released code."""

    def terms(self, batch: Batch) -> list[Term]:
        options: dict[str, object] = {
            "singleton": "zero" if self.variant == "paper" else "raw",
            "weight_U": self._weight_K(batch),
        }
        peers = {"tree": batch.tree_K, "task": batch.group_K}
        if self.compare != "both":
            del peers["task" if self.compare == "intra" else "tree"]
        if self.prefix_mode != "repeat":
            nodes = self._nodes(batch)
            traj_M, options = nodes.pop("traj_M"), {**options, **nodes}
            peers = {name: np.append(of_K, of_K[traj_M]) for name, of_K in peers.items()}
        (name, peer_U), *rest = peers.items()
        term = outcome_term(batch, self, name, peer_U=peer_U, **options)
        return [term, *(replace(term, name=name, peer_U=peer_U) for name, peer_U in rest)]

    def _weight_K(self, batch: Batch) -> Float64[np.ndarray, " K"]:
        if self.aggregation == "token_mean":
            return batch.weight_K
        return batch.weight_K / np.maximum(trained_K(batch), 1.0)

    def _nodes(self, batch: Batch) -> dict[str, np.ndarray]:
        """Returns the fields of a term whose units are the K leaves, which vote, and M nodes, each
        worth the mean outcome of the leaves below it, which carry; and a trajectory of each node.
        """
        need(batch, "nodes", self.name)
        node_S, n, value_K = node_of(batch, self.name), len(batch.ids), batch.value_K
        m = int(node_S.max(initial=-1)) + 1
        scored_K = ~np.isnan(value_K)
        each_K = self._weight_K(batch)
        weight_K = np.where(scored_K, each_K, 0.0)
        weight_M = totals(weight_K[batch.traj_S], node_S, m)
        worth_M = totals((weight_K * np.nan_to_num(value_K))[batch.traj_S], node_S, m)
        value_M = np.divide(worth_M, weight_M, out=np.full(m, np.nan), where=weight_M > 0)
        if self.prefix_mode == "dedup_mean":
            leaves_M = np.bincount(node_S[scored_K[batch.traj_S]], minlength=m)
            weight_M = weight_M / np.maximum(leaves_M, 1)
        open_S = np.zeros(node_S.size, bool)
        open_S[batch.steps_R[batch.steps_R >= 0]] = True
        opened = np.flatnonzero(open_S)
        carrier_S = np.full(node_S.size, -1)
        first = opened[np.unique(node_S[opened], return_index=True)[1]]
        carrier_S[first] = n + node_S[first]
        traj_M = np.zeros(m, np.int64)
        traj_M[node_S[::-1]] = batch.traj_S[::-1]
        return {
            "value_U": np.append(value_K, value_M),
            "vote_U": np.append(batch.vote_K, np.full(m, -1)),
            "weight_U": np.append(each_K, weight_M),
            "unit_R": np.append(carrier_S, -1)[batch.steps_R],
            "traj_M": traj_M,
        }


@final
@dataclass(frozen=True, slots=True)
class MsGrpo(Method):
    """A = (R - mean) / (std + eps) on every step, R the whole return of the episode.

    Dilkes et al. 2025, MS-GRPO, https://arxiv.org/abs/2508.10839. Reconstructed from the abstract
    and a summary; the paper's equations were not at hand. Sampling episodes by |A|, which the paper
    adds, is the gate aaw, not credit, and is biased. An episode cut off counts with the reward it
    collected; an invalid action is worth what the environment pays.
    """

    name: ClassVar[str] = "ms_grpo"
    source: ClassVar[str] = "Dilkes et al. 2025, arXiv:2508.10839"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "episode return"
    carried: ClassVar[str] = "every step"

    returns: Literal["outcome", "rewards"] = "outcome"
    """R: the outcome, or the sum of the rewards per step."""
    score: str | None = None
    """With `returns="rewards"`: name of the score that stands for a step's reward."""
    ddof: int = 0
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the return."""
    per_step: bool = False
    """Divide an episode's A by its steps, so that long ones weigh no more than short ones."""

    def __post_init__(self) -> None:
        check_scaling(self)
        require(
            self.score is None or self.returns == "rewards",
            'score is read by returns="rewards" alone',
        )

    def terms(self, batch: Batch) -> list[Term]:
        value_K = batch.value_K
        if self.returns == "rewards":
            reward_S = paid_S(batch, self.score, self.name)
            paid, n = np.flatnonzero(~np.isnan(reward_S)), len(batch.ids)
            known_K = (np.bincount(batch.traj_S[paid], minlength=n) > 0) & batch.kept_K
            total_K = totals(reward_S[paid], batch.traj_S[paid], n)
            value_K = np.where(known_K, total_K, np.nan)
        weight_K = batch.weight_K
        if self.per_step:
            steps_K = np.bincount(batch.traj_S[batch.own_S], minlength=len(batch.ids))
            weight_K = weight_K / np.maximum(steps_K, 1)
        return [outcome_term(batch, self, value_U=value_K, weight_U=weight_K)]

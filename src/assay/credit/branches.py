"""What a step was worth by what came of it in a tree, against what came of the steps beside it.

V(node) is what the trajectories below a node earned; the start of the task is the root of all its
trees, and where a trajectory ends, its outcome is one more child of its last step. For root to a1,
a1 to a2 (1) and b2 (0), root to c1 to c2 (0), on a1 a2 b2 c1 c2: carl .25 .5 -.5 -.25 and c2 not
carried; tree_rl .2357 1.1667 -.8333 -.6667 -.3333; tree_po, on leaves a2 b2 c2, .5833 -.4167
-.3333. In all of them a tree in which all outcomes are equal, whether they fail or pass, gives
exactly 0, and so does a task of one trajectory. A trajectory cut off at its budget is a leaf with
its outcome, and a step whose tool failed is a node like any other. Steps without a name are nodes
of their own.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, outcome_term
from assay.credit.groups import counts, totals, trained_K
from assay.credit.nodes import Places
from assay.kernels.constancy import ROUND_OFF, constant, extremes
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class Carl(Method):
    """A(step) = V(node it leads to) - V(node it leaves), V the unweighted mean of the children.

        V(u) = mean over children v of V(v),   V(end of a trajectory) = its outcome

    CARL 2025, https://arxiv.org/abs/2512.04949. Each step is trained once, on the first of its
    copies that may be, and only where its state has more than one scored child: steps of a state
    with one child are not carried, so a chain carries nothing but its first step. No deviation, so
    the unit is the outcome's. The paper chooses states to branch at by their entropy, which is a
    matter of rollouts; here every branch counts, wherever it was made. The start of the task is the
    root: its first steps are compared across all trees of the group.
    """

    name: ClassVar[str] = "carl"
    source: ClassVar[str] = "CARL 2025, arXiv:2512.04949"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "mean over children, down to outcomes"
    unit: ClassVar[str] = "node"
    peers: ClassVar[str] = "children of one node"
    carried: ClassVar[str] = "first copy of a node with siblings"
    scaling: ClassVar[str] = "mean"
    needs: ClassVar[tuple[str, ...]] = ("nodes",)

    def terms(self, batch: Batch) -> list[Term]:
        places, n = Places.of(batch, self.name), len(batch.ids)
        value_P, count_P = places.child_mean(batch.voted_K)
        counts_P = ~np.isnan(value_P)
        if not counts_P.all():  # below which nobody votes: outputs of a session that has voted
            value_P = np.where(counts_P, value_P, places.child_mean(batch.value_K)[0])
        siblings_P = np.append(count_P, 0)[places.parent_P] > 1
        unit, voted_K = np.arange(places.n_places + n), ~np.isnan(batch.voted_K)
        term = outcome_term(
            batch,
            value_U=np.append(value_P, batch.value_K),
            peer_U=np.append(places.parent_P, places.last_K),
            vote_U=np.where(np.append(counts_P, voted_K), unit, -1),
            weight_U=np.append(_weight_P(places), batch.weight_K),
            unit_R=places.first_copy_R(siblings_P),
            scale="none",
        )
        return [term]


@final
@dataclass(frozen=True, slots=True)
class TreeRl(Method):
    """A(step) = ( (V(node) - V(root)) + (V(node) - V(parent)) ) / sqrt(leaves below the node).

    Hou et al. 2025, TreeRL, https://arxiv.org/abs/2506.11902. V(node) is the mean outcome of the
    leaves below it, each once. Every copy of a step carries it, for the paper trains whole
    leaves, and the root of the leaves keeps shared beginnings from counting once a leaf. A single
    child adds nothing over its parent, and keeps the first term. The paper branches at tokens of
    high entropy, ours are steps.
    """

    name: ClassVar[str] = "tree_rl"
    source: ClassVar[str] = "Hou et al. 2025, arXiv:2506.11902"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "mean outcome of the leaves below"
    unit: ClassVar[str] = "node"
    peers: ClassVar[str] = "leaves of the task; leaves of the parent"
    carried: ClassVar[str] = "every copy of a node"
    scaling: ClassVar[str] = "mean; mean; root of the leaves"
    needs: ClassVar[tuple[str, ...]] = ("nodes",)

    variant: Literal["paper", "repo"] = "paper"
    """Outcomes as they are, or each less the mean of the others first, as in the released code:
    n / (n - 1) times the paper's, n the leaves of the task."""

    def terms(self, batch: Batch) -> list[Term]:
        places, n = Places.of(batch, self.name), batch.n_groups
        value_P = places.leaf_mean(batch.voted_K)
        value_P = np.where(np.isnan(value_P), places.leaf_mean(batch.value_K), value_P)
        weight_P = _weight_P(places) / np.sqrt(np.maximum(places.leaves(batch.voted_K), 1.0))
        if self.variant == "repo":
            leaves_G = counts(batch, batch.value_K)
            weight_P *= (leaves_G / np.maximum(leaves_G - 1, 1))[places.group_P]
        steps = np.flatnonzero(places.place_S >= 0)
        traj, place = batch.traj_S[steps], places.place_S[steps]
        below = np.append(np.arange(len(batch.ids)), traj)  # each leaf at its end and at each step
        peers = {
            "global": (np.arange(len(batch.ids)), batch.group_K, places.group_P),
            "local": (below, np.append(places.last_K, places.parent_P[place]), places.parent_P),
        }
        unit_R = np.append(places.place_S, -1)[batch.steps_R]
        terms: list[Term] = []
        for name, (leaf, peer, peer_P) in peers.items():
            peer_P = np.where(np.arange(places.n_places) < n, -1, peer_P)
            voice = np.where(
                np.isnan(batch.voted_K[leaf]), -1, places.n_places + np.arange(leaf.size)
            )
            fields = {
                "value_U": np.append(value_P, batch.value_K[leaf]),
                "peer_U": np.append(peer_P, peer),
                "vote_U": np.append(np.full(places.n_places, -1), voice),
                "weight_U": np.append(weight_P, batch.weight_K[leaf]),
            }
            terms.append(outcome_term(batch, None, name, unit_R=unit_R, scale="none", **fields))
        return terms


@final
@dataclass(frozen=True, slots=True)
class TreePo(Method):
    """A(leaf) = mean over its ancestors u of more than one leaf of R - mean(R of the leaves of u).

    Li et al. 2025, TreePO, https://arxiv.org/abs/2508.17445. The root, of all leaves of the task,
    is such an ancestor. All sampled tokens of the leaf's path carry it. The released code then
    whitens over all tokens of the batch, (A - mean) / sqrt(var + 1e-8): that is no part of what
    the tree says, moves a task by what other tasks gave, and is left to `whiten`. The paper cuts
    segments of 512 tokens; ours are steps.
    """

    name: ClassVar[str] = "tree_po"
    source: ClassVar[str] = "Li et al. 2025, arXiv:2508.17445"
    value: ClassVar[str] = "leaf outcome"
    unit: ClassVar[str] = "leaf"
    peers: ClassVar[str] = "leaves of each ancestor"
    scaling: ClassVar[str] = "mean over ancestors of the mean"
    needs: ClassVar[tuple[str, ...]] = ("nodes",)

    over: Literal["average", "size"] = "average"
    """Ancestors count alike, or each as often as it has leaves."""
    whiten: Literal["none", "scale", "full"] = "none"
    """Over all trained tokens of the batch: nothing, divide by the deviation, or take the mean off
    as well, as in the released code. Then it is of no part of a set."""

    @property
    def reads(self) -> Reads:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whole groups, unless it whitens over the set."""
        return "groups" if self.whiten == "none" else "set"

    def terms(self, batch: Batch) -> list[Term]:
        base_K, scale = self._ancestors(batch), 1.0
        if self.whiten != "none":
            length_K = trained_K(batch)
            apart_K = np.nan_to_num(batch.value_K - base_K)
            count = length_K[~np.isnan(batch.value_K)].sum()
            mean = (length_K * apart_K).sum() / max(count, 1.0)
            square = (length_K * (apart_K - mean) ** 2)[~np.isnan(batch.value_K)].sum()
            spread = square / max(count - 1.0, 1.0)
            scale = 1.0 / np.sqrt(spread + 1e-8) if apart_K.any() else 1.0
            base_K = base_K + (mean if self.whiten == "full" else 0.0)
        return [
            outcome_term(batch, baseline="given", given_U=base_K, scale="none", weight=float(scale))
        ]

    def _ancestors(self, batch: Batch) -> Float64[np.ndarray, " K"]:
        """Returns the mean over each leaf's ancestors of the mean outcome of their leaves; its own
        outcome where they have one leaf, or equal ones."""
        places, value_K = Places.of(batch, self.name), batch.value_K
        leaves_P, mean_P = places.leaves(batch.voted_K), places.leaf_mean(batch.voted_K)
        steps = np.flatnonzero(places.place_S >= 0)
        traj = np.append(np.arange(value_K.size), batch.traj_S[steps])
        place = np.append(batch.group_K, places.place_S[steps])
        counted = leaves_P[place] > 1
        traj, place = traj[counted], place[counted]
        share = leaves_P[place] if self.over == "size" else np.ones(place.size)
        share_K = totals(share, traj, value_K.size)
        mean_K = totals(share * mean_P[place], traj, value_K.size) / np.maximum(share_K, 1.0)
        scored_K = ~np.isnan(value_K)
        low_G, high_G = extremes(value_K[scored_K], batch.group_K[scored_K], batch.n_groups)
        even_K = constant(low_G, high_G, 0.0)[batch.group_K] | (share_K == 0)
        even_K |= abs(value_K - mean_K) <= ROUND_OFF * abs(value_K)
        return np.where(even_K, value_K, mean_K)


def _weight_P(places: Places) -> Float64[np.ndarray, " P"]:
    """Returns the mean weight of the scored trajectories below each place."""
    batch = places.batch
    weight_K = np.where(np.isnan(batch.value_K), np.nan, batch.weight_K)
    return np.nan_to_num(places.leaf_mean(weight_K), nan=1.0)

"""The tree that a task group is: what the start of the task leads to, step by step.

Axes: K trajectories, S model steps, P places, which are the starts of the G groups and then the
nodes. A step without a name is a node of its own; a copied one without a name is in no tree. Where
a trajectory ends, its end counts as one more child.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.batch import Batch
from assay.credit.groups import totals
from assay.errors import MethodError


@final
@dataclass(frozen=True, slots=True)
class Places:
    """Where steps lead, and what came of it. Trees may have any depth: nothing recurs."""

    batch: Batch
    place_S: Int64[np.ndarray, " S"]
    """Place that each step leads to; -1: it is in no tree."""
    parent_P: Int64[np.ndarray, " P"]
    """Place before each one; -1: it is a start, or no step leads there."""
    group_P: Int64[np.ndarray, " P"]
    depth_P: Int64[np.ndarray, " P"]
    """Steps from the start to it."""
    last_K: Int64[np.ndarray, " K"]
    """Place where each trajectory ends."""

    @staticmethod
    def of(batch: Batch, method: str) -> "Places":
        """Returns the places of a batch.

        Raises:
            MethodError: two copies of one node have different parents.
        """
        n, node_S = batch.n_groups, node_of(batch, method)
        size = n + int(node_S.max(initial=-1)) + 1
        at = np.flatnonzero(batch.own_S | (batch.node_S >= 0))
        traj, place = batch.traj_S[at], n + node_S[at]
        first = np.diff(traj, prepend=-1) != 0
        before = np.where(first, batch.group_K[traj], np.roll(place, 1))
        parent_P, group_P, depth_P = np.full(size, -1), *np.zeros((2, size), np.int64)
        group_P[:n], group_P[place] = np.arange(n), batch.group_K[traj]
        parent_P[place] = before
        _same_parents(batch, method, at, parent_P[place] == before)
        begins = np.maximum.accumulate(np.where(first, np.arange(at.size), 0))
        depth_P[place] = np.arange(at.size) - begins + 1
        place_S, last_K = np.full(node_S.size, -1), batch.group_K.copy()
        place_S[at], last_K[traj] = place, place  # of equal places the last that is written stays
        return Places(batch, place_S, parent_P, group_P, depth_P, last_K)

    @property
    def n_places(self) -> int:
        """Places, P."""
        return self.parent_P.size

    def summed(self, value_K: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, " P"]:
        """Returns the sum over the trajectories below each place, each once; NaN counts nothing."""
        value_K, at = np.nan_to_num(value_K), self.place_S >= 0
        owner = np.concatenate([self.batch.group_K, self.place_S[at]])
        return totals(np.append(value_K, value_K[self.batch.traj_S[at]]), owner, self.n_places)

    def leaves(self, value_K: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, " P"]:
        """Returns how many trajectories with a value are below each place."""
        return self.summed(np.where(np.isnan(value_K), 0.0, 1.0))

    def leaf_mean(self, value_K: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, " P"]:
        """Returns the mean over the trajectories below each place; NaN: none has a value."""
        return _ratio(self.summed(value_K), self.leaves(value_K))

    def child_mean(
        self, value_K: Float64[np.ndarray, " K"]
    ) -> tuple[Float64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
        """Returns the value of each place, the unweighted mean over its children, and how many
        children with a value it has; NaN: none has. The work is that of the nodes, level by level.
        """
        ended_K = ~np.isnan(value_K)
        count_P = np.bincount(self.last_K[ended_K], minlength=self.n_places)
        value_P = totals(value_K[ended_K], self.last_K[ended_K], self.n_places)
        order = np.argsort(self.depth_P, kind="stable")
        ends = np.cumsum(np.bincount(self.depth_P))
        for depth in range(ends.size - 1, 0, -1):
            at = order[ends[depth - 1] : ends[depth]]
            at = at[count_P[at] > 0]
            value_P[at] /= count_P[at]
            np.add.at(value_P, self.parent_P[at], value_P[at])
            np.add.at(count_P, self.parent_P[at], 1)
        starts = slice(0, self.batch.n_groups)
        value_P[starts] /= np.maximum(count_P[starts], 1)
        return np.where(count_P > 0, value_P, np.nan), count_P

    def first_copy_R(self, open_P: Bool[np.ndarray, " P"]) -> Int64[np.ndarray, " R"]:
        """Returns the open place that each span leads to, on its first copy that may be trained;
        -1 elsewhere."""
        steps_R, place_S = self.batch.steps_R, self.place_S
        may_S = np.zeros(place_S.size, bool)
        may_S[steps_R[steps_R >= 0]] = True
        may = np.flatnonzero(may_S & (place_S >= 0) & np.append(open_P, False)[place_S])
        carrier_S = np.full(place_S.size, -1)
        first = may[np.unique(place_S[may], return_index=True)[1]]
        carrier_S[first] = place_S[first]
        return np.append(carrier_S, -1)[steps_R]


def node_of(batch: Batch, method: str) -> Int64[np.ndarray, " S"]:
    """Returns the node of each step, from 0; a step without a name is a node of its own.

    Raises:
        MethodError: two copies of one node name different parents, or are in one trajectory.
    """
    known, end = batch.node_S >= 0, int(batch.node_S.max(initial=-1)) + 1
    code_S = np.where(known, batch.node_S, end + np.arange(known.size))
    order = np.argsort(code_S, kind="stable")  # copies side by side, in the order of trajectories
    new = np.diff(code_S[order], prepend=-1) != 0
    again = ~new & (np.diff(batch.traj_S[order], prepend=-1) == 0)
    if again.any():
        k = batch.traj_S[order[np.flatnonzero(again)[0]]]
        raise MethodError(
            f"{method}: two steps of trajectory {batch.ids[k]!r} name one node; expected a name of "
            "its own for each"
        )
    node_S = np.empty(known.size, np.int64)
    node_S[order] = np.cumsum(new) - 1
    named_M = np.full(end, -1)
    named_M[batch.node_S[known]] = batch.parent_S[known]
    same = named_M[batch.node_S[known]] == batch.parent_S[known]
    _same_parents(batch, method, np.flatnonzero(known), same)
    return node_S


def _same_parents(
    batch: Batch, method: str, at: Int64[np.ndarray, " _"], same: Bool[np.ndarray, " _"]
) -> None:
    """Raises MethodError, with the trajectory, for a step at which a node has another parent."""
    if not same.all():
        k = batch.traj_S[at[np.flatnonzero(~same)[0]]]
        raise MethodError(
            f"{method}: a node of trajectory {batch.ids[k]!r} has two parents; a name must mean "
            "one node inside a tree"
        )


def _ratio(
    over: Float64[np.ndarray, " _"], under: Float64[np.ndarray, " _"]
) -> Float64[np.ndarray, " _"]:
    return np.divide(over, under, out=np.full(over.size, np.nan), where=under > 0)

"""The graph that the equal states of a group make: steps by where they lead."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.gigpo import Anchor, states, step_returns
from assay.credit.groups import same, totals
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class G2po(Method):
    """A = z(R) + w * z(V(s') over steps from the same state) + w_gain * z(V(s') - V(s)) - invalid.

        V(s) = mean over the group's visits of s of gamma^(T - t) R;   V of an end: the outcome

    for a step t of T that leads from state s to s'; z(x) = (x - mean) / (std + eps), of the gain
    over all steps of the group. G2PO 2026, https://arxiv.org/abs/2606.22995, known to us from a
    description of its code. Equal states of a group are one node, so a step of a failure is worth
    what others made of the state it led to. A state that nobody names is a node of its own. The
    last part is taken off a step of which a call did not parse or did not run.
    """

    name: ClassVar[str] = "g2po"
    source: ClassVar[str] = "G2PO 2026, arXiv:2606.22995"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "outcome; value of the next state; gain of value"
    unit: ClassVar[str] = "trajectory; step"
    peers: ClassVar[str] = "task group; same state; task group"
    carried: ClassVar[str] = "all sampled; step"
    scaling: ClassVar[str] = "mean, std; mean, std; mean, std"

    w: float = 1.0
    """Weight of the next state among those from the same state, at least 0."""
    w_gain: float = 1.0
    """Weight of the gain of value, at least 0."""
    invalid: float = 0.1
    """Taken off a step that made an invalid call, at least 0."""
    gamma: float = 0.95
    """Discount per step, in [0, 1]."""
    anchor: Anchor = "auto"
    """What a state is; see gigpo."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the value."""

    def __post_init__(self) -> None:
        at_least_0(self, "w", "w_gain", "invalid")
        require(0 <= self.gamma <= 1, f"gamma must lie in [0, 1]; got {self.gamma:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        group_S = batch.group_K[batch.traj_S]
        node_S = _nodes(same(group_S, states(batch, self.anchor, self.name)))
        return_S = step_returns(batch, "outcome", self.gamma, self.name)
        ahead_S, here_S = _values(batch, node_S, return_S)
        wrong_S = np.where(np.isnan(return_S), np.nan, -1.0 * _invalid_S(batch))
        shared: dict[str, object] = {
            "vote_U": None,
            "unit_R": batch.steps_R,
            "weight_U": batch.weight_K[batch.traj_S],
        }
        made = [outcome_term(batch, self)]
        for name, value_S, peer_S, weight in (
            ("next", ahead_S, node_S, self.w),
            ("gain", ahead_S - here_S, group_S, self.w_gain),
        ):
            fields = {"value_U": value_S, "peer_U": peer_S, "weight": weight, **shared}
            made.append(outcome_term(batch, self, name, **fields))
        fields = {"value_U": wrong_S, "weight": self.invalid, "baseline": "none", "scale": "none"}
        return [*made, outcome_term(batch, None, "invalid", peer_U=None, **fields, **shared)]


def _nodes(state_S: Int64[np.ndarray, " S"]) -> Int64[np.ndarray, " S"]:
    """Returns the states, each that nobody names as one of its own."""
    first = int(state_S.max(initial=-1)) + 1
    return np.where(state_S >= 0, state_S, first + np.arange(state_S.size))


def _values(
    batch: Batch, node_S: Int64[np.ndarray, " S"], return_S: Float64[np.ndarray, " S"]
) -> tuple[Float64[np.ndarray, " S"], Float64[np.ndarray, " S"]]:
    """Returns the value of the state after each step, and of the one before it; NaN: unscored."""
    at = np.flatnonzero(~np.isnan(return_S))
    n = int(node_S.max(initial=-1)) + 1
    count_P = np.bincount(node_S[at], minlength=n)
    here_S = (totals(return_S[at], node_S[at], n) / np.maximum(count_P, 1))[node_S]
    after_S = _next_own(batch)
    ahead_S = np.where(after_S >= 0, np.append(here_S, 0.0)[after_S], batch.value_K[batch.traj_S])
    known_S = ~np.isnan(return_S)
    return np.where(known_S, ahead_S, np.nan), np.where(known_S, here_S, np.nan)


def _next_own(batch: Batch) -> Int64[np.ndarray, " S"]:
    """Returns the next own step of each one's trajectory; -1: none comes."""
    found, own = np.full(batch.traj_S.size, -1), np.flatnonzero(batch.own_S)
    goes_on = batch.traj_S[own[1:]] == batch.traj_S[own[:-1]]
    found[own[:-1][goes_on]] = own[1:][goes_on]
    return found


def _invalid_S(batch: Batch) -> Bool[np.ndarray, " S"]:
    """Returns which steps made a call that did not parse or did not run."""
    wrong_C = (batch.ran_C == 0) | (batch.parsed_C == 0)
    return np.bincount(batch.step_C[wrong_C], minlength=batch.traj_S.size) > 0

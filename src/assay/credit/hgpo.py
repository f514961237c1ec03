"""Steps compared where they stood in the same state and came there the same way: nested groups."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.gigpo import Anchor, Returns, states, step_returns
from assay.credit.groups import following_S, same
from assay.kernels.advantages import Carried, Parts
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class Hgpo(Method):
    """A = sum_k w_k z(G_t over steps in the same state after the same k states), w_k ~ (k+1)^alpha.

        G_t = sum_{u >= t} gamma^(u-t) r_u,   z(x) = (x - mean) / (std + eps),   k = 0 .. K

    HGPO 2026, https://arxiv.org/abs/2602.22817. Level 0 is GiGPO's step term; level k compares only
    steps whose last k states agree too, so its baseline is nearer to what the policy saw and has
    fewer peers. A level at which a step has no peer, or (`skip`) at which its advantage is 0, is
    left out and the weights of the others grow to add up to 1. No outcome term is added: a state
    seen once gives 0.
    """

    name: ClassVar[str] = "hgpo"
    source: ClassVar[str] = "HGPO 2026, arXiv:2602.22817"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "return from here"
    unit: ClassVar[str] = "step"
    peers: ClassVar[str] = "same state; same last k states"
    carried: ClassVar[str] = "step"
    scaling: ClassVar[str] = "mean, std; weighted mean over levels"

    levels: int = 2
    """K: how many earlier states the finest level shares, at least 0; 0 is GiGPO's step term."""
    alpha: float = 1.0
    """How much finer levels count: w_k ~ (k+1)^alpha, at least 0."""
    skip: bool = True
    """Leave out levels at which a step's advantage is 0."""
    gamma: float = 0.95
    """Discount per step, in [0, 1]."""
    anchor: Anchor = "auto"
    """What a state is; see gigpo."""
    returns: Returns = "outcome"
    """What is discounted; see gigpo."""
    ddof: int = 0
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the return."""

    def __post_init__(self) -> None:
        at_least_0(self, "levels", "alpha")
        require(0 <= self.gamma <= 1, f"gamma must lie in [0, 1]; got {self.gamma:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        return_S = step_returns(batch, self.returns, self.gamma, self.name)
        state_S = states(batch, self.anchor, self.name)
        before_S, next_S = np.full(state_S.size, -1), following_S(batch)
        before_S[next_S[next_S >= 0]] = np.flatnonzero(next_S >= 0)
        peer_S, back_S = same(batch.group_K[batch.traj_S], state_S), np.arange(state_S.size)
        terms: list[Term] = []
        for k in range(self.levels + 1):
            if k:
                back_S = np.append(before_S, -1)[back_S]
                peer_S = same(peer_S, np.append(state_S, -1)[back_S])
            scored_S = (peer_S >= 0) & ~np.isnan(return_S)
            has_peer_S = np.bincount(peer_S[scored_S], minlength=peer_S.size + 1)[peer_S] > 1
            unit_R = batch.steps_R  # at level 0 all are carried: 0 for a state seen once
            if k:
                unit_R = np.where(np.append(has_peer_S, False)[unit_R], unit_R, -1)
            fields = {"peer_U": peer_S, "weight_U": batch.weight_K[batch.traj_S], "unit_R": unit_R}
            terms.append(
                outcome_term(batch, self, f"k{k}", value_U=return_S, vote_U=None, **fields)
            )
        return terms

    def combine(self, parts: Parts, carried: Carried) -> Float64[np.ndarray, " _"]:
        total, weight = (np.zeros(next(iter(parts.values())).size) for _ in range(2))
        for k, (name, part) in enumerate(parts.items()):
            counts = carried[name] & ((part != 0.0) if self.skip else np.bool_(True))
            total += np.where(counts, (k + 1.0) ** self.alpha * part, 0.0)
            weight += np.where(counts, (k + 1.0) ** self.alpha, 0.0)
        return np.divide(total, weight, out=np.zeros(total.size), where=weight > 0)

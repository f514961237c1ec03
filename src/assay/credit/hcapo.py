"""Steps weighed by how likely the policy finds them once it knows how they ended."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.groups import paid_S, totals, turns
from assay.kernels.constancy import bar
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class Hcapo(Method):
    """A = z(R) + w * z(Q_t over all steps of the group), no negative z(Q) in a success, ddof 0.

        Q_t = rho_t gamma^(T-t) R,   rho_t = clip(p_t / mean p, low, high),   p_t = exp(h_t / 5)
        z(x) = (x - mean) / (std + eps)

    h_t is the score "hindsight" of a step: the mean log-probability of its tokens to the policy
    that is told how its trajectory ended, nats; the mean is over the steps of the trajectory. HCAPO
    2026, https://arxiv.org/abs/2603.08754, known to us from a description. A step without the score
    has rho 1. Its optional smoothing is left out. Where all fail Q is 0 and nothing is said. What
    is taken away from successes is not given back to failures, so the sum over a group is above 0.
    """

    name: ClassVar[str] = "hcapo"
    source: ClassVar[str] = "HCAPO 2026, arXiv:2603.08754"
    reads: ClassVar[Reads] = "groups"
    needs: ClassVar[tuple[str, ...]] = ("hindsight",)
    value: ClassVar[str] = "outcome; outcome in hindsight"
    unit: ClassVar[str] = "trajectory; step"
    peers: ClassVar[str] = "task group; steps of the task group"
    carried: ClassVar[str] = "all sampled; step"
    scaling: ClassVar[str] = "mean, std; mean, std"

    w: float = 1.0
    """Weight of the step term, at least 0; 0 is GRPO with ddof 0."""
    gamma: float = 0.95
    """Discount per step, in [0, 1]."""
    temperature: float = 5.0
    """What log-probabilities are divided by, above 0: more makes steps alike."""
    low: float = 0.8
    """Least factor of a step, in [0, 1]."""
    high: float = 1.2
    """Greatest, at least 1."""
    pass_at: float = 1.0
    """Outcomes at or above it are successes, of which no step is charged for itself."""
    ddof: int = 0
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation."""

    def __post_init__(self) -> None:
        at_least_0(self, "w")
        require(0 <= self.gamma <= 1, f"gamma must lie in [0, 1]; got {self.gamma:g}")
        require(self.temperature > 0, f"temperature must be above 0; got {self.temperature:g}")
        require(0 <= self.low <= 1, f"low must lie in [0, 1]; got {self.low:g}")
        require(self.high >= 1, f"high must be at least 1; got {self.high:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        traj_S, own_S, value_K = batch.traj_S, batch.own_S, batch.value_K
        count_K = np.bincount(traj_S[own_S], minlength=value_K.size)
        left_S = np.where(own_S, count_K[traj_S] - 1 - turns(batch), 0)
        q_S = self._ratios(batch) * self.gamma**left_S * value_K[traj_S]
        q_S = np.where(own_S, q_S, np.nan)
        group_S, at = batch.group_K[traj_S], ~np.isnan(q_S)
        size_G = np.bincount(group_S[at], minlength=batch.n_groups)
        mean_G = totals(q_S[at], group_S[at], batch.n_groups) / np.maximum(size_G, 1)
        spared_S = (value_K[traj_S] >= bar(self.pass_at)) & (q_S < mean_G[group_S])
        return [
            outcome_term(batch, self),
            outcome_term(
                batch,
                self,
                "hindsight",
                value_U=q_S,
                peer_U=group_S,
                vote_U=None,
                unit_R=batch.steps_R,
                weight_U=np.where(spared_S, 0.0, batch.weight_K[traj_S]),
                weight=self.w,
            ),
        ]

    def _ratios(self, batch: Batch) -> Float64[np.ndarray, " S"]:
        """Returns how likely each step is in hindsight, against the steps of its trajectory."""
        logp_S, traj_S, n = paid_S(batch, "hindsight", self.name), batch.traj_S, len(batch.ids)
        at = np.flatnonzero(batch.own_S & ~np.isnan(logp_S))
        most_K, ratio_S = np.full(n, -np.inf), np.ones(traj_S.size)
        np.maximum.at(most_K, traj_S[at], logp_S[at])  # or all of a long trajectory could be 0
        p = np.exp((logp_S[at] - most_K[traj_S[at]]) / self.temperature)
        known_K = np.bincount(traj_S[at], minlength=n)
        mean_K = totals(p, traj_S[at], n) / np.maximum(known_K, 1)
        ratio_S[at] = np.clip(p / mean_K[traj_S[at]], self.low, self.high)
        return ratio_S

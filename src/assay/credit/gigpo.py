"""Steps compared where they stood in the same state: a second, finer group inside the group."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import UNTRAINABLE, Batch
from assay.credit.base import Method
from assay.credit.groups import require, same, totals
from assay.credit.outcome import outcome_term
from assay.errors import MethodError
from assay.kernels.term import Term

_COPIED = UNTRAINABLE.index("copied")


@final
@dataclass(frozen=True, slots=True)
class GiGpo(Method):
    """A = (R - mean R over the group) + w * (G_t - mean G over steps in the same state).

        G_t = sum_{u >= t} gamma^(u-t) r_u;   with `returns="outcome"` r is R at the last step

    Feng et al. 2025, Group-in-Group Policy Optimization, https://arxiv.org/abs/2505.10978. Steps
    are peers where group and state agree; a state seen once gives 0. The paper averages the outcome
    over trajectories, the released code over steps, so that long trajectories weigh more
    (`variant`). States are equal or not: the code's similarity threshold is left out. Steps that
    repeat earlier context ("copied") are no units. The mean over steps depends on how long each
    trajectory is, which the policy decides: `variant="repo"` is biased, and so is dividing by a
    deviation.
    """

    name: ClassVar[str] = "gigpo"
    source: ClassVar[str] = "Feng et al. 2025, arXiv:2505.10978"
    value: ClassVar[str] = "outcome; return from here"
    unit: ClassVar[str] = "trajectory; step"
    peers: ClassVar[str] = "task group; same state"
    carried: ClassVar[str] = "all sampled; step"
    scaling: ClassVar[str] = "mean (+ std)"

    w: float = 1.0
    """Weight of the step term, at least 0; 0 is GRPO in the same mode."""
    gamma: float = 0.95
    """Discount per step, in [0, 1]."""
    mode: Literal["mean_norm", "mean_std_norm"] = "mean_norm"
    """Divide both terms by their peers' deviation (ddof 1, eps 1e-6), or do not."""
    anchor: Literal["auto", "state", "seen"] = "auto"
    """What a state is: what the environment recorded, what the policy had last been shown, or the
    first where the batch has any and else the second."""
    returns: Literal["outcome", "rewards", "evidence"] = "outcome"
    """Returns of the outcome alone; of rewards per step, where in a trajectory that has any a step
    without one earned 0; or (ours) of the outcome and 1 for every step that makes a call, if all
    its judged calls are correct by evidence."""
    variant: Literal["paper", "repo"] = "paper"
    """Mean outcome over trajectories (paper) or over their steps (released code)."""

    def __post_init__(self) -> None:
        require(self.w >= 0, f"w must be at least 0; got {self.w:g}")
        require(0 <= self.gamma <= 1, f"gamma must lie in [0, 1]; got {self.gamma:g}")

    def terms(self, batch: Batch) -> list[Term]:
        scale = "std" if self.mode == "mean_std_norm" else "none"
        weight_S = batch.weight_K[batch.traj_S]
        unit_S = np.where(batch.untrainable_S == _COPIED, np.nan, 0.0)
        group_S = batch.group_K[batch.traj_S]
        if self.variant == "paper":
            episode = outcome_term(batch, scale=scale)
        else:
            episode = outcome_term(
                batch,
                value_U=batch.value_K[batch.traj_S] + unit_S,
                peer_U=group_S,
                unit_R=batch.steps_R,
                weight_U=weight_S,
                scale=scale,
            )
        step = outcome_term(
            batch,
            "step",
            value_U=self._returns(batch) + unit_S,
            peer_U=same(group_S, self._states(batch)),
            unit_R=batch.steps_R,
            weight_U=weight_S,
            scale=scale,
            weight=self.w,
        )
        return [episode, step]

    def _states(self, batch: Batch) -> Int64[np.ndarray, " S"]:
        recorded = bool((batch.state_S >= 0).any())
        if self.anchor == "state" and not recorded:
            raise MethodError(
                f"{self.name} needs recorded states for anchor 'state', and no step of the set has "
                "one; take anchor 'seen'"
            )
        return batch.seen_S if self.anchor == "seen" or not recorded else batch.state_S

    def _returns(self, batch: Batch) -> Float64[np.ndarray, " S"]:
        """Returns the discounted return from each step on; NaN where unscored or dropped."""
        own_S = batch.untrainable_S != _COPIED
        if self.returns == "rewards":
            reward_S = np.where(own_S, np.nan_to_num(batch.reward_S), 0.0)
            rewarded_S = batch.traj_S[~np.isnan(batch.reward_S)]
            scored_K = (np.bincount(rewarded_S, minlength=len(batch.ids)) > 0) & batch.kept_K
            require(scored_K.any(), f"{self.name} needs rewards per step, and no step has one")
        else:
            reward_S, scored_K = np.zeros(batch.traj_S.size), ~np.isnan(batch.value_K)
            last = np.full(len(batch.ids), -1)
            np.maximum.at(last, batch.traj_S[own_S], np.flatnonzero(own_S))
            ended = np.flatnonzero((last >= 0) & scored_K)
            reward_S[last[ended]] = batch.value_K[ended]
            if self.returns == "evidence":
                reward_S += own_S & (_share_correct(batch) == 1.0)
        return_S = _discounted(reward_S, batch.traj_S, np.where(own_S, self.gamma, 1.0))
        return np.where(scored_K[batch.traj_S], return_S, np.nan)


def _share_correct(batch: Batch) -> Float64[np.ndarray, " S"]:
    """Returns which share of each step's judged calls is correct; 0 where none is judged."""
    judged_C = ~np.isnan(batch.correct_C)
    step_C, n = batch.step_C[judged_C], batch.traj_S.size
    judged_S = np.bincount(step_C, minlength=n)
    return totals(batch.correct_C[judged_C], step_C, n) / np.maximum(judged_S, 1)


def _discounted(
    reward_S: Float64[np.ndarray, " S"],
    traj_S: Int64[np.ndarray, " S"],
    factor_S: Float64[np.ndarray, " S"],
) -> Float64[np.ndarray, " S"]:
    """Returns G_t = r_t + factor_t * G_{t+1} inside each trajectory, whose steps stand together."""
    return_S = np.zeros(reward_S.size)
    following, ahead = -1, 0.0
    for s in range(reward_S.size - 1, -1, -1):
        ahead = reward_S[s] + (factor_S[s] * ahead if traj_S[s] == following else 0.0)
        return_S[s], following = ahead, traj_S[s]
    return return_S

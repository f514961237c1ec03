"""Steps compared where they stood in the same state: a second, finer group inside the group."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, outcome_term, require
from assay.credit.facts import holds, need
from assay.credit.groups import called_S, following_S, paid_S, same, totals
from assay.errors import MethodError
from assay.kernels.returns import along
from assay.kernels.term import Term

Anchor = Literal["auto", "state", "seen", "calls"]
Returns = Literal["outcome", "rewards", "evidence"]


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
    reads: ClassVar[Reads] = "groups"
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
    anchor: Anchor = "auto"
    """What a state is: what the environment recorded; what the policy had last been shown; which
    calls it had made and what they answered, order and repetition aside (`calls`); or ("auto") the
    first where the batch has any and else the second."""
    returns: Returns = "outcome"
    """Returns of the outcome alone; of rewards per step, where in a trajectory that has any a step
    without one earned 0; or (ours) of the outcome and 1 for every step that makes a call, if all
    its judged calls are correct by evidence."""
    variant: Literal["paper", "repo"] = "paper"
    """Mean outcome over trajectories (paper) or over their steps (released code)."""

    score: str | None = None
    """With `returns="rewards"`: name of the score that stands for a step's reward."""

    def __post_init__(self) -> None:
        at_least_0(self, "w")
        require(0 <= self.gamma <= 1, f"gamma must lie in [0, 1]; got {self.gamma:g}")
        require(
            self.score is None or self.returns == "rewards",
            'score is read by returns="rewards" alone',
        )

    def terms(self, batch: Batch) -> list[Term]:
        scale = "std" if self.mode == "mean_std_norm" else "none"
        return_S = step_returns(batch, self.returns, self.gamma, self.name, self.score)
        group_S = batch.group_K[batch.traj_S]
        fields: dict[str, object] = {
            "peer_U": group_S,
            "vote_U": None,
            "unit_R": batch.steps_R,
            "weight_U": batch.weight_K[batch.traj_S],
            "scale": scale,
        }
        if self.variant == "paper":
            episode = outcome_term(batch, scale=scale)
        else:
            own_S = np.where(batch.own_S, batch.value_K[batch.traj_S], np.nan)
            episode = outcome_term(batch, value_U=own_S, **fields)
        fields["peer_U"] = same(group_S, states(batch, self.anchor, self.name))
        return [
            episode,
            outcome_term(batch, None, "step", value_U=return_S, weight=self.w, **fields),
        ]


def states(batch: Batch, anchor: Anchor, method: str) -> Int64[np.ndarray, " S"]:
    """Returns the state that each step is in, as `anchor` has it; -1: unknown."""
    recorded = holds(batch, "states")
    if anchor == "state" and not recorded:
        raise MethodError(
            f"{method} needs recorded states for anchor 'state', and no step of the set has one; "
            "take anchor 'seen' or 'calls'"
        )
    if anchor == "calls":
        need(batch, "calls", method)
        return called_S(batch)
    return batch.seen_S if anchor == "seen" or not recorded else batch.state_S


def step_returns(
    batch: Batch, kind: Returns, gamma: float, method: str, score: str | None = None
) -> Float64[np.ndarray, " S"]:
    """Returns the discounted return from each step on; NaN where unscored, dropped or no unit."""
    own_S, n = batch.own_S, len(batch.ids)
    if kind == "rewards":
        paid = paid_S(batch, score, method)
        reward_S = np.where(own_S, np.nan_to_num(paid), 0.0)
        rewarded = batch.traj_S[~np.isnan(paid)]
        scored_K = (np.bincount(rewarded, minlength=n) > 0) & batch.kept_K
    else:
        reward_S, scored_K = np.zeros(batch.traj_S.size), ~np.isnan(batch.value_K)
        last_K = np.full(n, -1)
        np.maximum.at(last_K, batch.traj_S[own_S], np.flatnonzero(own_S))
        ended = np.flatnonzero((last_K >= 0) & scored_K)
        reward_S[last_K[ended]] = batch.value_K[ended]
        if kind == "evidence":
            reward_S += _share_correct(batch) == 1.0
    return_S = along(reward_S, following_S(batch) >= 0, np.where(own_S, gamma, 1.0))
    return np.where(scored_K[batch.traj_S] & own_S, return_S, np.nan)


def _share_correct(batch: Batch) -> Float64[np.ndarray, " S"]:
    """Returns which share of each step's judged calls is correct; 0 where none is judged."""
    judged_C = ~np.isnan(batch.correct_C)
    step_C, n = batch.step_C[judged_C], batch.traj_S.size
    judged_S = np.bincount(step_C, minlength=n)
    return totals(batch.correct_C[judged_C], step_C, n) / np.maximum(judged_S, 1)

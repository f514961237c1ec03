"""Turns paid for themselves: the first one, on its tokens, or every one with those before it."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.facts import holds
from assay.credit.groups import following_S, paid_S, totals
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class MtGrpo(Method):
    """A = z(R) on all tokens + w * z(turn reward) on tokens before the first tool result.

        z(x) = (x - mean) / (std + eps), over the group

    Zeng et al. 2025, Reinforcing Multi-Turn Reasoning, https://arxiv.org/abs/2505.11821; ddof 1 and
    eps 1e-4 as in the released code. The turn reward is the rewards of the opening steps, or else
    the share of their calls that ran; a trajectory that calls nothing earns 0 there. Where no tool
    result occurs every token is before it; the released code gives such a trajectory z(R + turn
    reward) instead (`variant="repo"`). With `turns="every"` each step carries z of its own reward,
    over all paid steps of the group, and gamma times what the step after it carries: the shape of
    IGPO (2510.14967). Normalising per turn is biased where the policy decides whether there is a
    next turn; see docs/methods/mt_grpo.md.
    """

    name: ClassVar[str] = "mt_grpo"
    source: ClassVar[str] = "Zeng et al. 2025, arXiv:2505.11821"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "outcome; turn reward"
    unit: ClassVar[str] = "trajectory; trajectory or step"
    peers: ClassVar[str] = "task group; task group"
    carried: ClassVar[str] = "all sampled; before the first tool result"
    scaling: ClassVar[str] = "mean, std; mean, std"

    w: float = 1.0
    """Weight of the turn term, at least 0; 0 is GRPO with eps 1e-4."""
    turn: Literal["auto", "rewards", "ran"] = "auto"
    """Turn reward: the sum of rewards of the opening steps, the share of their calls that ran, or
    the first where any opening step of the batch has a reward and else the second."""
    score: str | None = None
    """Name of the score that stands for a step's reward. None: its reward."""
    turns: Literal["first", "every"] = "first"
    """Which turns are paid: what comes before the first tool result as one, or each step that has
    a reward or score."""
    gamma: float = 1.0
    """With `turns="every"`: share of what a step carries that goes to the one before, in [0, 1]."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-4
    """Added to the deviation, in units of the reward."""
    variant: Literal["paper", "repo"] = "paper"
    """A trajectory without a tool result: both terms on all its tokens, or z of their sum."""

    def __post_init__(self) -> None:
        at_least_0(self, "w")
        require(0 <= self.gamma <= 1, f"gamma must lie in [0, 1]; got {self.gamma:g}")
        require(self.gamma == 1 or self.turns == "every", 'gamma is read by turns="every" alone')
        require(self.score is None or self.turn != "ran", 'score is not read by turn="ran"')
        first = self.turns == "first"
        require(first or self.turn != "ran", 'turns="every" pays rewards or scores; not turn="ran"')
        require(first or self.variant == "paper", 'variant="repo" knows the first turn alone')
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        if self.turns == "every":
            return [outcome_term(batch, self), self._every(batch)]
        turn_K = self._turn_rewards(batch)
        all_R, before_R = batch.all_sampled_R, np.append(batch.opening_S, False)[batch.step_R]
        whole_R = np.zeros(all_R.size, bool)
        if self.variant == "repo":  # trajectories without a model step after a tool result
            later_K = np.bincount(batch.traj_S, ~batch.opening_S, len(batch.ids))
            whole_R = (later_K == 0)[batch.traj_R]
        apart_R = np.where(whole_R, -1, all_R)
        terms = [
            outcome_term(batch, self, unit_R=apart_R),
            outcome_term(
                batch,
                self,
                "turn",
                value_U=turn_K,
                unit_R=np.where(before_R, apart_R, -1),
                weight=self.w,
            ),
        ]
        if self.variant == "repo":
            both_K, whole_R = batch.value_K + turn_K, np.where(whole_R, all_R, -1)
            terms += [outcome_term(batch, self, "combined", value_U=both_K, unit_R=whole_R)]
        return terms

    def _every(self, batch: Batch) -> Term:
        """Returns the term of steps that carry their own reward and what comes after."""
        own_S = batch.own_S & batch.kept_K[batch.traj_S]
        return outcome_term(
            batch,
            self,
            "turn",
            value_U=np.where(own_S, paid_S(batch, self.score, self.name), np.nan),
            peer_U=batch.group_K[batch.traj_S],
            vote_U=None,
            unit_R=batch.steps_R,
            weight_U=batch.weight_K[batch.traj_S],
            weight=self.w,
            next_U=following_S(batch),
            decay=self.gamma,
        )

    def _turn_rewards(self, batch: Batch) -> Float64[np.ndarray, " K"]:
        """Returns each trajectory's turn reward; NaN where nobody paid or looked, or dropped."""
        n = len(batch.ids)
        value_S = batch.reward_S if self.score is None else paid_S(batch, self.score, self.name)
        paid = np.flatnonzero(batch.opening_S & ~np.isnan(value_S))
        any_paid = paid.size > 0
        if self.score is None:
            any_paid = holds(batch, "rewards of opening steps")
        if self.turn == "rewards" or (self.turn == "auto" and any_paid) or self.score is not None:
            require(any_paid, f"{self.name} needs rewards of opening steps, and none has one")
            value_K = totals(value_S[paid], batch.traj_S[paid], n)
            known_K = np.bincount(batch.traj_S[paid], minlength=n) > 0
            return np.where(known_K & batch.kept_K, value_K, np.nan)
        calls = np.flatnonzero(batch.opening_S[batch.step_C])
        traj, ran = batch.traj_S[batch.step_C[calls]], batch.ran_C[calls]
        known = ran >= 0
        require(
            holds(batch, "known calls of opening steps"),
            f"{self.name} needs a turn reward, and no opening step of the set has a reward or a "
            "call of which it is known whether it ran",
        )
        known_K = np.bincount(traj[known], minlength=n)
        share_K = totals(ran[known].astype(float), traj[known], n) / np.maximum(known_K, 1)
        silent_K = np.bincount(traj, minlength=n) == 0
        return np.where((silent_K | (known_K > 0)) & batch.kept_K, share_K, np.nan)

"""Two turns, two rewards: what happened before the first tool result is paid once more."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import Batch
from assay.credit.base import Method
from assay.credit.groups import require, totals
from assay.credit.outcome import check_scaling, outcome_term
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
    reward) instead (`variant="repo"`). Normalising per turn is biased where the policy decides
    whether there is a next turn; see docs/methods/mt_grpo.md.
    """

    name: ClassVar[str] = "mt_grpo"
    source: ClassVar[str] = "Zeng et al. 2025, arXiv:2505.11821"
    value: ClassVar[str] = "outcome; turn reward"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group; task group"
    carried: ClassVar[str] = "all sampled; before the first tool result"
    scaling: ClassVar[str] = "mean, std; mean, std"

    w: float = 1.0
    """Weight of the turn term, at least 0; 0 is GRPO with eps 1e-4."""
    turn: Literal["auto", "rewards", "ran"] = "auto"
    """Turn reward: the sum of rewards of the opening steps, the share of their calls that ran, or
    the first where any opening step of the batch has a reward and else the second."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-4
    """Added to the deviation, in units of the reward."""
    variant: Literal["paper", "repo"] = "paper"
    """A trajectory without a tool result: both terms on all its tokens, or z of their sum."""

    def __post_init__(self) -> None:
        require(self.w >= 0, f"w must be at least 0; got {self.w:g}")
        check_scaling(self.ddof, self.eps)

    def terms(self, batch: Batch) -> list[Term]:
        options = {"ddof": self.ddof, "eps": self.eps}
        turn_K = self._turn_rewards(batch)
        before_R = np.append(batch.opening_S, False)[batch.step_R]
        all_R, open_R = batch.all_sampled_R, np.where(before_R, batch.all_sampled_R, -1)
        if self.variant == "paper":
            return [
                outcome_term(batch, **options),
                outcome_term(
                    batch, "turn", value_U=turn_K, unit_R=open_R, weight=self.w, **options
                ),
            ]
        whole_R = _without_result(batch)[batch.traj_R]
        return [
            outcome_term(batch, unit_R=np.where(whole_R, -1, all_R), **options),
            outcome_term(
                batch,
                "turn",
                value_U=turn_K,
                unit_R=np.where(whole_R, -1, open_R),
                weight=self.w,
                **options,
            ),
            outcome_term(
                batch,
                "combined",
                value_U=batch.value_K + turn_K,
                unit_R=np.where(whole_R, all_R, -1),
                **options,
            ),
        ]

    def _turn_rewards(self, batch: Batch) -> Float64[np.ndarray, " K"]:
        """Returns each trajectory's turn reward; NaN where nobody paid or looked, or dropped."""
        n = len(batch.ids)
        paid_S = batch.opening_S & ~np.isnan(batch.reward_S)
        if self.turn == "rewards" or (self.turn == "auto" and paid_S.any()):
            require(paid_S.any(), f"{self.name} needs rewards of opening steps, and none has one")
            value_K = totals(batch.reward_S[paid_S], batch.traj_S[paid_S], n)
            known_K = np.bincount(batch.traj_S[paid_S], minlength=n) > 0
            return np.where(known_K & batch.kept_K, value_K, np.nan)
        calls = np.flatnonzero(batch.opening_S[batch.step_C])
        traj, ran = batch.traj_S[batch.step_C[calls]], batch.ran_C[calls]
        known = ran >= 0
        require(
            bool(known.any()),
            f"{self.name} needs a turn reward, and no opening step of the set has a reward or a "
            "call of which it is known whether it ran",
        )
        known_K = np.bincount(traj[known], minlength=n)
        share_K = totals(ran[known].astype(float), traj[known], n) / np.maximum(known_K, 1)
        silent_K = np.bincount(traj, minlength=n) == 0
        return np.where((silent_K | (known_K > 0)) & batch.kept_K, share_K, np.nan)


def _without_result(batch: Batch) -> Bool[np.ndarray, " K"]:
    """Returns which trajectories have no model step after a tool result."""
    return np.bincount(batch.traj_S, ~batch.opening_S, len(batch.ids)) == 0

"""Correct tool calls beside the outcome, paid on the call tokens: a signal in all-fail groups."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, outcome_term, require
from assay.credit.groups import totals
from assay.kernels.term import Term

Evidence = Literal["best", "ran", "sibling", "expert", "state"]


@final
@dataclass(frozen=True, slots=True)
class ToolPo(Method):
    """A = (R - mean R) on all tokens + l1 * (C - mean C) on call tokens, C counting correct calls.

    DeepAgent 2025, ToolPO, https://arxiv.org/abs/2510.21618, eq. 5 and 6; no deviation. The paper
    does not say what makes a call correct: we take evidence (`evidence`), and a call that nobody
    judged counts neither for nor against. The paper's memory-folding term (l2) needs paired runs
    and is left out. C is one number per trajectory, so a wrong call is rewarded together with the
    right ones beside it, and with "sum" a failing trajectory earns by calling often; "rate" does
    not pay for that, and `per="call"` credits each call for itself.
    """

    name: ClassVar[str] = "toolpo"
    source: ClassVar[str] = "DeepAgent 2025, arXiv:2510.21618"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "outcome; correct calls"
    peers: ClassVar[str] = "task group; task group"
    carried: ClassVar[str] = "all sampled; call tokens"
    scaling: ClassVar[str] = "mean; mean"
    needs: ClassVar[tuple[str, ...]] = ("calls",)

    action_reduce: Literal["sum", "rate"] = "sum"
    """C: how many judged calls are correct ("sum", the paper), or which share of them ("rate")."""
    per: Literal["trajectory", "call"] = "trajectory"
    """Who carries what: all calls of a trajectory its C (the paper), or (ours) each call its own
    correctness, 1 or 0, less the mean of the judged calls of the group; 0 where no other trajectory
    of the group has any."""
    l1: float = 1.0
    """Weight of the action term, at least 0."""
    evidence: Evidence = "best"
    """What makes a call correct. "best": a sibling, the expert or the state says so and it ran; one
    level: that level alone. "ran" is known for most logs and says least."""

    def __post_init__(self) -> None:
        at_least_0(self, "l1")
        require(
            self.per == "trajectory" or self.action_reduce == "sum",
            'action_reduce is read by per="trajectory" alone',
        )

    def terms(self, batch: Batch) -> list[Term]:
        if self.per == "call":
            return [outcome_term(batch, scale="none"), self._each(batch)]
        return [
            outcome_term(batch, scale="none"),
            outcome_term(
                batch,
                None,
                "action",
                value_U=self._actions(batch),
                unit_R=batch.call_tokens_R,
                scale="none",
                weight=self.l1,
            ),
        ]

    def _each(self, batch: Batch) -> Term:
        """Returns the term of calls, each compared with all that its group made."""
        traj_C = batch.traj_S[batch.step_C]
        group_C = batch.group_K[traj_C]
        correct_C = correct_calls(batch, self.evidence)
        correct_C = np.where(batch.kept_K[traj_C], correct_C, np.nan)
        judged_K = np.bincount(traj_C[~np.isnan(correct_C)], minlength=len(batch.ids)) > 0
        several_G = np.bincount(batch.group_K[judged_K], minlength=batch.n_groups) > 1
        return outcome_term(
            batch,
            None,
            "action",
            value_U=correct_C,
            peer_U=np.where(several_G[group_C], group_C, -1),
            vote_U=None,
            unit_R=np.where(batch.all_sampled_R >= 0, batch.call_R, -1),
            weight_U=batch.weight_K[traj_C],
            scale="none",
            weight=self.l1,
        )

    def _actions(self, batch: Batch) -> Float64[np.ndarray, " K"]:
        """Returns C of each trajectory; NaN where nobody judged its calls, or dropped."""
        correct_C, n = correct_calls(batch, self.evidence), len(batch.ids)
        traj_C = batch.traj_S[batch.step_C]
        judged_C = ~np.isnan(correct_C)
        total_K = totals(correct_C[judged_C], traj_C[judged_C], n)
        judged_K = np.bincount(traj_C[judged_C], minlength=n)
        calls_K = np.bincount(traj_C, minlength=n)
        if self.action_reduce == "sum":
            known_K, value_K = (judged_K > 0) | (calls_K == 0), total_K
        else:
            known_K, value_K = judged_K > 0, total_K / np.maximum(judged_K, 1)
        return np.where(known_K & batch.kept_K, value_K, np.nan)


def correct_calls(batch: Batch, evidence: Evidence) -> Float64[np.ndarray, " C"]:
    """Returns 1.0 for a correct call, 0.0 for a wrong one, NaN where nobody looked."""
    if evidence == "best":
        return batch.correct_C
    code_C = {
        "ran": batch.ran_C,
        "sibling": batch.sibling_C,
        "expert": batch.expert_C,
        "state": batch.on_path_C,
    }[evidence]
    return np.where(code_C < 0, np.nan, code_C.astype(float))

"""The majority's answer as a reward, where a verifier found it right; and when it is locked in.

Axes: K trajectories, G groups.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, final

import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import CATEGORIES, Batch
from assay.credit.base import Method, Reads, check_scaling, outcome_term, require
from assay.kernels.term import Term
from assay.records import Trajectory
from assay.verify.answers import SCORE, with_answer

_PASSED = [CATEGORIES.index(name) for name in ("true_success", "under_claim")]
_FAILED = [CATEGORIES.index(name) for name in ("honest_failure", "false_success")]
LOCKED: Final = 0.75
"""Share of a group's votes from which a wrong answer is locked in: there sampling no longer shows
the others, and whoever rewards the majority pays for it."""


@final
@dataclass(frozen=True, slots=True)
class Elections:
    """What each group answered most often."""

    answer_G: Float64[np.ndarray, " G"]
    """Number of the answer; NaN: none, or several as often."""
    share_G: Float64[np.ndarray, " G"]
    """Its share of the group's votes, those without an answer included; 0 where there is none."""
    right_G: Bool[np.ndarray, " G"]
    """Whether a check (E3, E4) passed one that gave it, and failed none."""
    wrong_G: Bool[np.ndarray, " G"]
    """Whether a check failed one that gave it."""
    agrees_K: Bool[np.ndarray, " K"]
    """Who gave it."""

    @property
    def locked_G(self) -> Bool[np.ndarray, " G"]:
        """Groups in which a wrong answer has `LOCKED` of the votes or more."""
        return self.wrong_G & (self.share_G >= LOCKED)


def elections(batch: Batch) -> Elections:
    """Returns what each group answered most often, each session counted once, by its last."""
    n, code_K = len(batch.ids), answers_K(batch)[batch.vote_K]
    votes_K = batch.kept_K & (batch.vote_K == np.arange(n))
    answer_G, share_G = np.full(batch.n_groups, np.nan), np.zeros(batch.n_groups)
    for g in np.unique(batch.group_K[votes_K]).tolist():
        of = code_K[votes_K & (batch.group_K == g)]
        value, count = np.unique(of[~np.isnan(of)], return_counts=True)
        if count.size and (count == count.max()).sum() == 1:
            answer_G[g], share_G[g] = value[count.argmax()], count.max() / of.size
    agrees_K = (code_K == answer_G[batch.group_K]) & batch.kept_K
    category_K = batch.category_K[batch.vote_K]
    passed_G, failed_G = (
        np.bincount(batch.group_K[agrees_K & np.isin(category_K, kinds)], minlength=batch.n_groups)
        > 0
        for kinds in (_PASSED, _FAILED)
    )
    return Elections(answer_G, share_G, passed_G & ~failed_G, failed_G, agrees_K)


def answers_K(batch: Batch) -> Float64[np.ndarray, " K"]:
    """Returns the number of what each trajectory answers last; NaN: nothing."""
    answer_K = np.full(len(batch.ids), np.nan)
    if SCORE in batch.score_names:
        code_S = batch.score_SJ[:, batch.score_names.index(SCORE)]
        said = np.flatnonzero(~np.isnan(code_S))
        answer_K[batch.traj_S[said]] = code_S[said]  # steps come in order
    return answer_K


@final
@dataclass(frozen=True, slots=True)
class Ttrl(Method):
    """A = (v - mean v) / std v,  v = 1 for the majority's answer, else 0, where a check passed it.

    TTRL 2025, https://arxiv.org/abs/2504.16084, rewards the majority's answer without any label.
    Where the majority is wrong that is an anti-signal, and it feeds itself. Ours is behind a
    verifier: a group is trained on only if a check (E3, E4) passed a trajectory that gave the
    majority's answer, and failed none. One check pays for a whole group, unscored trajectories
    included; of the groups that nobody checked, and of those whose majority is wrong or shared
    between two, nothing is learnt.
    """

    name: ClassVar[str] = "ttrl"
    source: ClassVar[str] = "TTRL 2025, arXiv:2504.16084"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "majority"
    carried: ClassVar[str] = "checked groups"
    needs: ClassVar[tuple[str, ...]] = ("answers",)

    votes: float = 0.0
    """Least share of the votes that the majority must have, in [0, 1]."""
    scale: Literal["std", "none"] = "std"
    """"none": centred alone."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of v."""

    def __post_init__(self) -> None:
        require(0 <= self.votes <= 1, f"votes must lie in [0, 1]; got {self.votes:g}")
        check_scaling(self)

    def prepared(self, record: Trajectory) -> Trajectory:
        return with_answer(record)

    def terms(self, batch: Batch) -> list[Term]:
        found = elections(batch)
        taught_K = (found.right_G & (found.share_G >= self.votes))[batch.group_K] & batch.kept_K
        carried_R = np.append(taught_K, False)[batch.all_sampled_R]
        return [
            outcome_term(
                batch,
                self,
                "majority",
                value_U=np.where(taught_K, found.agrees_K.astype(float), np.nan),
                unit_R=np.where(carried_R, batch.all_sampled_R, -1),
            )
        ]

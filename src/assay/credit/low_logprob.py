"""No teacher: the least likely tokens of failures pushed down, all by the same amount."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Bool

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.facts import need
from assay.credit.groups import all_failed, carried_N
from assay.credit.teaching import on_tokens, taught_term
from assay.kernels.constancy import bar
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class LowLogprob(Method):
    """A_t = A, and -w on the least likely `share` of a failure's tokens where all fail.

    The control of every method with a teacher: a 2026 paper, https://arxiv.org/abs/2608.31046,
    known to us from a note, finds that a fixed negative advantage on tokens of low log-probability
    does as well. A is GRPO's. Of the n trained tokens of a trajectory with a log-probability
    ceil(share n) are taken, of equal ones the first. `share` 1 is nsr inside dead groups.
    """

    name: ClassVar[str] = "low_logprob"
    source: ClassVar[str] = "control of 2026, arXiv:2608.31046"
    reads: ClassVar[Reads] = "outcomes"
    value: ClassVar[str] = "outcome; -1"
    unit: ClassVar[str] = "trajectory; token"
    peers: ClassVar[str] = "task group; nobody"
    carried: ClassVar[str] = "all sampled; least likely tokens of failures"
    scaling: ClassVar[str] = "mean, std; none"
    needs: ClassVar[tuple[str, ...]] = ("logprobs",)

    w: float = 0.25
    """What such a token costs, at least 0; 0 is GRPO."""
    share: float = 0.1
    """Share of a trajectory's tokens, in (0, 1]."""
    where: Literal["dead", "fails"] = "dead"
    """In failures of groups in which all fail alike, or in every failure."""
    pass_at: float = 1.0
    """An outcome at or above it is a pass."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the outcome."""

    def __post_init__(self) -> None:
        at_least_0(self, "w")
        require(0 < self.share <= 1, f"share must lie in (0, 1]; got {self.share:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        failed_K = batch.value_K < bar(self.pass_at)
        if self.where == "dead":
            failed_K = all_failed(batch, self.pass_at)
        low_N = on_tokens(batch, failed_K) & least_likely(batch, self.share, self.name)
        low = taught_term(batch, np.where(low_N, -1.0, np.nan), "low_logprob", self.w)
        return [outcome_term(batch, self), low]


def least_likely(batch: Batch, share: float, method: str) -> Bool[np.ndarray, " N"]:
    """Returns the least likely tokens of each trajectory, ceil(share n) of n."""
    need(batch, "logprobs", method)
    logprob_N = np.where(carried_N(batch), batch.logprob_N, np.nan)  # pyright: ignore[reportArgumentType, reportCallIssue]
    n = np.flatnonzero(~np.isnan(logprob_N))
    traj = np.repeat(batch.traj_R, batch.length_R)[n]
    order = np.lexsort((logprob_N[n], traj))  # stable: of equal ones the first
    size_K = np.bincount(traj, minlength=len(batch.ids))
    before_K = np.cumsum(size_K) - size_K
    rank = np.arange(n.size) - before_K[traj[order]]
    taken_K = np.ceil(share * size_K - 1e-9)
    low_N = np.zeros(logprob_N.size, bool)
    low_N[n[order[rank < taken_K[traj[order]]]]] = True
    return low_N

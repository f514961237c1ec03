"""GRPO-RoC: of twice the trajectories, half: wins by how cleanly they were made, losses by lot."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import ROLES, Batch
from assay.errors import UsageError
from assay.gate.base import Gate, Verdicts
from assay.gate.lots import members, uniform_K
from assay.kernels.constancy import bar

_ANSWER = ROLES.index("answer")


@final
@dataclass(frozen=True, slots=True)
class Roc(Gate):
    """Keeps `keep` of each group: about half of the losses, the other places for the wins.

    rStar2-Agent 2025, https://arxiv.org/abs/2508.20722, eq. 4 to 7. The paper draws floor(losses /
    2) losses evenly, and wins without putting back, each with a chance in proportion to 1 / (p +
    delta), p = p_err + p_format; the released code keeps the wins of least p, the first losses, and
    rounds both counts. Sampling twice as many is not done here. A filter, not credit: it favours
    clean wins that use tools, for a win without a call has p_err = 0.5. Where there are too few
    wins, losses fill up, and the other way round. Cut off trajectories are losses like others.
    Unscored ones are neither, and pass.
    """

    name: ClassVar[str] = "roc"

    keep: int | None = None
    """Trajectories that a group keeps; None: half of its scored ones, the middle one with them."""
    variant: Literal["paper", "repo"] = "paper"
    """The paper's lot, or the released code's order; the latter drops groups in which all are wins,
    or all losses, and those of fewer than `keep`, which the paper's keeps whole."""
    quota: int = 2
    """The released code's least number of wins and of losses, where there are as many."""
    delta: float = 0.01
    """Added to p, so that a win without a flaw has a chance that is a number; above 0."""
    pass_at: float = 1.0
    """A win has this outcome or above."""
    seed: int = 0
    """Of the lots, together with the trajectories' ids."""

    def __post_init__(self) -> None:
        """Refuses what is out of range."""
        for holds, message in (
            (self.keep is None or self.keep > 0, f"keep must be above 0; got {self.keep}"),
            (self.quota >= 0, f"quota must be at least 0; got {self.quota}"),
            (self.delta > 0, f"delta must be above 0; got {self.delta:g}"),
        ):
            if not holds:
                raise UsageError(f"gate roc: {message}")

    def __call__(self, batch: Batch) -> Verdicts:
        p_K, lot_K = penalty_K(batch), uniform_K(batch, self.seed)
        weight_K, reasons = np.ones(len(batch.ids)), ["ok"] * len(batch.ids)
        for scored in members(batch):
            won = batch.value_K[scored] >= bar(self.pass_at)
            wins, losses = scored[won], scored[~won]
            if self.variant == "repo":
                wins, order = wins[np.argsort(p_K[wins], kind="stable")], losses
            else:  # least -log(u) * p first is drawing by 1 / p without putting back
                odds = -np.log(lot_K[wins]) * (p_K[wins] + self.delta)
                wins, order = wins[np.argsort(odds)], losses[np.argsort(lot_K[losses])]
            n_losses, n_wins = self.counts(losses.size, wins.size)
            kept = np.append(order[:n_losses], wins[:n_wins])
            for k in np.setdiff1d(scored, kept).tolist():
                weight_K[k], reasons[k] = 0.0, "roc"
        voter_K = batch.vote_K  # outputs of one rollout go together
        return Verdicts(weight_K[voter_K], [reasons[k] for k in voter_K.tolist()])

    def counts(self, losses: int, wins: int) -> tuple[int, int]:
        """Returns how many losses and how many wins a group keeps."""
        n = losses + wins
        keep = -(-n // 2) if self.keep is None else self.keep
        if self.variant == "repo":
            if not losses or not wins or n < keep:
                return 0, 0
            few, many = round(losses * keep / n), round(wins * keep / n)  # halves to the even one
            if few + many != keep:
                few = losses * keep // n
            few = max(few, min(self.quota, losses))
            few = min(few, keep - min(self.quota, wins, keep))
        else:
            few = losses // 2
        few = min(max(few, keep - wins), losses, keep)
        return few, min(keep - few, wins)


def penalty_K(batch: Batch) -> Float64[np.ndarray, " K"]:
    """Returns p_err + p_format of each trajectory, in [0, 2].

    p_err is the share of its calls that did not run, 0.5 without a call; p_format is 1 without an
    answer, else (answers - 1) / steps, at most 1, and 0 where no trajectory of the batch marks its
    answers.
    """
    n, traj_C = len(batch.ids), batch.traj_S[batch.step_C]
    calls_K = np.bincount(traj_C, minlength=n)
    failed_K = np.bincount(traj_C[batch.ran_C == 0], minlength=n)
    p_err_K = np.where(calls_K > 0, failed_K / np.maximum(calls_K, 1), 0.5)
    marked = (batch.role_R == _ANSWER) & (batch.step_R >= 0)
    if not marked.any():
        return p_err_K
    answers_K = np.bincount(batch.traj_R[marked], minlength=n)
    steps_K: Int64[np.ndarray, " K"] = np.bincount(batch.traj_S[batch.own_S], minlength=n)
    repeated_K = np.minimum((answers_K - 1) / np.maximum(steps_K, 1), 1.0)
    return p_err_K + np.where(answers_K == 0, 1.0, repeated_K)

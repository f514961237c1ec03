"""A process reward model beside the outcome: bounded, and never worth more than the outcome."""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.groups import paid_S, passes, totals
from assay.errors import MethodError, hint
from assay.kernels.fusion import PARTS, WEIGHTS, Bound, bounded, printed, trajectory_score
from assay.kernels.term import Term

MOST: Final = 0.25
"""Of the outcome's range: what scores of steps may be worth in all."""


@final
@dataclass(frozen=True, slots=True)
class ReasonFlux(Method):
    """A = (1 - beta) (R - mean) + beta (r - mean), r of a step, or of its trajectory.

        r_t = sum_k w_k u_k,   u in [0, 1] from scores `align`, `quality`, `coherence` of the step
        r   = (mean_t r_t + alpha r_final) / (1 + alpha)                    of a trajectory

    ReasonFlux-PRM 2025, https://arxiv.org/abs/2506.18896. There w is the softmax of the components,
    which may be of any size, so that a less coherent step can be worth more (`form="printed"`), and
    beta is .75, so that a wrong answer by a pleasing path outranks a right one. Here components are
    bounded, weights stay, and beta is at most .25 of the outcome's range. A step without a score
    that has weight is not scored; a trajectory without any scored step gets the outcome alone where
    steps are credited, and nothing where trajectories are.
    """

    name: ClassVar[str] = "reasonflux"
    source: ClassVar[str] = "ReasonFlux-PRM 2025, arXiv:2506.18896"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "outcome; scores of a step, fused"
    unit: ClassVar[str] = "trajectory; step"
    peers: ClassVar[str] = "task group; steps of the task group"
    carried: ClassVar[str] = "all sampled; step"
    scaling: ClassVar[str] = "mean; mean"
    needs: ClassVar[tuple[str, ...]] = ("scores",)

    level: Literal["step", "trajectory"] = "step"
    """Credit each step for itself, or the trajectory for the mean of its steps."""
    form: Literal["bounded", "printed"] = "bounded"
    """How components are fused: ours, which never falls in any, or the paper's."""
    align: str = "align"
    """Name of the score that is the cosine to the final answer, in [-1, 1]."""
    quality: str = "quality"
    """Name of the score that a judge or a reward model gave, in [0, 1]."""
    coherence: str = "coherence"
    """Name of the score that is in nats: how well the step follows the one before."""
    weights: tuple[float, float, float] = WEIGHTS
    """Of align, quality and coherence, under "bounded"; a score of weight 0 is not read."""
    bound: Bound = "sigmoid"
    """How coherence gets into [0, 1]; "probability": it is the log of one."""
    beta: float = MOST
    """Share of scores beside the outcome: in [0, .25], under "printed" in [0, 1]."""
    gated: bool = False
    """Scores count in trajectories that passed, and nowhere else."""
    span: float = 1.0
    """The outcome's range, in whose units scores count; above 0."""
    final: str = ""
    """Under level "trajectory": a named part of the outcome, in [0, 1], that r_final is."""
    alpha: float = 0.8
    """Weight of r_final beside the mean of the steps; read where `final` is given."""
    pass_at: float = 1.0
    """Under `gated`, an outcome at or above it is a pass."""
    scale: Literal["none", "std"] = "none"
    """Divide the outcome (under level "trajectory" the whole value) by its deviation."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation."""

    def __post_init__(self) -> None:
        most = MOST if self.form == "bounded" else 1.0
        said = "" if self.form == "printed" else '; form "printed" takes up to 1'
        require(0 <= self.beta <= most, f"beta must lie in [0, {most:g}]; got {self.beta:g}{said}")
        require(0 < self.span < np.inf, f"span must be above 0; got {self.span:g}")
        require(
            not self.final or self.level == "trajectory",
            f'final {self.final!r} is read under level "trajectory" alone',
        )
        at_least_0(self, "alpha")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        worth_S = self._worth_S(batch)
        counts_K = np.full(len(batch.ids), True)
        if self.gated:
            counts_K = passes(batch, self.name, self.pass_at) == 1.0
        if self.level == "trajectory":
            worth_K = np.where(counts_K, self._worth_K(batch, worth_S), 0.0)
            value_K = (1.0 - self.beta) * batch.value_K + self.beta * self.span * worth_K
            return [outcome_term(batch, self, value_U=value_K)]
        counts_K = counts_K & ~np.isnan(batch.value_K)
        counts_S = counts_K[batch.traj_S] & batch.own_S
        return [
            outcome_term(batch, self, weight=1.0 - self.beta),
            outcome_term(
                batch,
                None,
                "steps",
                value_U=np.where(counts_S, worth_S, np.nan),
                peer_U=batch.group_K[batch.traj_S],
                vote_U=None,
                unit_R=batch.steps_R,
                weight_U=batch.weight_K[batch.traj_S],
                scale="none",
                weight=self.beta * self.span,
            ),
        ]

    def _worth_S(self, batch: Batch) -> Float64[np.ndarray, " S"]:
        """Returns what each step is worth; NaN: not all that has weight is known."""
        names = (self.align, self.quality, self.coherence)
        read = self.weights if self.form == "bounded" else (1.0,) * len(PARTS)
        part_SJ = np.stack(
            [
                paid_S(batch, name, self.name) if weight else np.zeros(batch.traj_S.size)
                for name, weight in zip(names, read, strict=True)
            ],
            1,
        )
        if self.form == "printed":
            return printed(part_SJ)
        return bounded(part_SJ, self.weights, self.bound)

    def _worth_K(
        self, batch: Batch, worth_S: Float64[np.ndarray, " S"]
    ) -> Float64[np.ndarray, " K"]:
        """Returns what each trajectory is worth by its own steps; NaN: none of them is scored."""
        at = batch.own_S & ~np.isnan(worth_S)
        n = len(batch.ids)
        count_K = np.bincount(batch.traj_S[at], minlength=n)
        sum_K = totals(worth_S[at], batch.traj_S[at], n)
        mean_K = sum_K / np.where(count_K > 0, count_K, np.nan)
        if not self.final:
            return mean_K
        if self.final not in batch.reward_names:
            raise MethodError(
                f"{self.name}: no outcome has a part {self.final!r}."
                f"{hint(self.final, batch.reward_names)} Known: {', '.join(batch.reward_names)}"
            )
        final_K = batch.reward_KJ[:, batch.reward_names.index(self.final)]
        whole = trajectory_score(mean_K, final_K, self.alpha)
        return np.asarray(whole) / (1.0 + self.alpha if self.form == "bounded" else 1.0)

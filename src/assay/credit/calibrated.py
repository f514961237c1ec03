"""Answers that are right, and stated as surely as they are: RLCR, and its two parts decoupled."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import ROLES, Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.groups import counts, means, passes, stated_K, sums, totals
from assay.kernels.proper import gives_up_below, scored
from assay.kernels.term import Term

_CONFIDENCE = ROLES.index("confidence")
_FLOOR = 0.005


@final
@dataclass(frozen=True, slots=True)
class Rlcr(Method):
    """A = R - mean R,  R = c - w (q - c)^2;  R = -w - missing where no confidence is stated.

    Damani et al. 2025, RLCR, https://arxiv.org/abs/2507.16806: correctness and a Brier score in one
    reward, on all tokens. c is 1 for a pass, else 0, and q the confidence stated last, in [0, 1].
    The paper takes w = 1, the edge at which giving up (answering wrong, stating 0) earns as much as
    the hardest attempts; ours is 1/2, and more than 1 is refused. Its code gives a malformed answer
    2 less than a right one that is stated so, 1 less than the worst: `missing` = 1. Not scaled, as
    in its code.
    """

    name: ClassVar[str] = "rlcr"
    source: ClassVar[str] = "RLCR, Damani et al. 2025, arXiv:2507.16806"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "pass - w (confidence - pass)^2"
    scaling: ClassVar[str] = "mean"
    needs: ClassVar[tuple[str, ...]] = ("stated confidence",)

    brier: float = 0.5
    """Weight of the Brier score, w, in [0, 1]."""
    missing: float = 1.0
    """How far a trajectory that states no confidence is below the worst that does, at least 0."""
    pass_at: float = 1.0
    """An outcome at or above it is a pass."""
    scale: Literal["none", "std"] = "none"
    """"std": divided by the deviation of the group."""
    ddof: int = 1
    """Degrees of freedom taken off that deviation."""
    eps: float = 1e-6
    """Added to it, in units of R."""

    def __post_init__(self) -> None:
        require(
            0 <= self.brier <= 1,
            f"brier must lie in [0, 1]; got {self.brier:g}: above 1 an answer that is wrong on "
            "purpose pays wherever the chance is below 1 - 1 / brier",
        )
        at_least_0(self, "missing")
        check_scaling(self)

    def gives_up_below(self, spread: float = 0.0) -> float:
        """Returns the chance of being right below which answering wrong and stating 0 earns more;
        see `assay.kernels.proper.gives_up_below`."""
        return gives_up_below(self.brier, spread)

    def terms(self, batch: Batch) -> list[Term]:
        pass_K = passes(batch, self.name, self.pass_at)
        q_K = stated_K(batch, self.name, strict=False)[batch.vote_K]
        r_K = np.where(np.isnan(q_K), -self.brier - self.missing,
                       scored(pass_K == 1, q_K, self.brier))  # fmt: skip
        return [outcome_term(batch, self, value_U=np.where(np.isnan(pass_K), np.nan, r_K))]


@final
@dataclass(frozen=True, slots=True)
class Dcpo(Method):
    """A = (c - mean c) / std c on tokens that state no confidence, c = -missing without one;
    A = w (s - mean s) / std s on those that do, s = -(q - t)^2, t = mix mean c + (1 - mix) c.

    DCPO 2026, https://arxiv.org/abs/2603.09117: what is stated moves no token of the answer, and
    the answer is taught as by GRPO. The target t is half the group's rate of passes, which is less
    noisy than an outcome, and half the own outcome. The squared error is that of its code, the
    paper has |q - t|; both parts are scaled apart, over their own trajectories. Ours: `floor`, for
    a deviation near 0 makes noise as large as an error, and `missing` in place of q = -1; and
    `confidence_scale` = "none", w (s - mean s), which teaches q = E[t]. Division by the deviation
    does not: a group in which all pass differs little in s and counts most, so that one number for
    all tasks ends above the rate of passes. `explore` is ours too, entropy as in REINFORCE
    (Williams and Peng 1991): it keeps levels in use that answers which get better will need.
    """

    name: ClassVar[str] = "dcpo"
    source: ClassVar[str] = "DCPO 2026, arXiv:2603.09117"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "pass; -(stated - target)^2"
    carried: ClassVar[str] = "all but stated; stated"
    scaling: ClassVar[str] = "mean, std; mean, std"
    needs: ClassVar[tuple[str, ...]] = ("stated confidence", "confidence tokens")

    mix: float = 0.5
    """Share of the group's rate of passes in the target, in [0, 1]."""
    calibration: float = 1.0
    """Weight of the part on confidence tokens, w, at least 0. Unscaled, 10 makes an error of .3
    beside one of .1 about as large as an answer."""
    confidence_scale: Literal["std", "none"] = "std"
    """"std": that part is divided by the deviation of s in the group, as in the paper."""
    missing: float = 1.0
    """How far below a failure a trajectory that states no confidence is, at least 0."""
    explore: float = 0.0
    """Worth of a nat of surprise, in squared probability, at least 0: s becomes
    -(q - t)^2 - explore log p(q). .01 keeps what lies within .1 of the target in use."""
    floor: float | None = None
    """Population deviation of s, in squared probability, below which a group's is not scaled up:
    its confidence gets 0. In [0, 1). None: 0.005 where it is scaled, else none."""
    pass_at: float = 1.0
    """An outcome at or above it is a pass."""
    ddof: int = 1
    """Degrees of freedom taken off the deviations."""
    eps: float = 1e-6
    """Added to the deviations."""

    def __post_init__(self) -> None:
        require(0 <= self.mix <= 1, f"mix must lie in [0, 1]; got {self.mix:g}")
        at_least_0(self, "calibration", "missing", "explore")
        if self.floor is not None:
            require(0 <= self.floor < 1, f"floor must lie in [0, 1); got {self.floor:g}")
            require(
                self.confidence_scale == "std",
                f"floor is of confidence_scale = 'std'; got floor = {self.floor:g} with "
                f"{self.confidence_scale!r}, where nothing is scaled up: leave it out",
            )
        check_scaling(self)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Log-probabilities too, where surprise is worth something."""
        return (*self.needs, "logprobs") if self.explore else self.needs

    @property
    def _least(self) -> float:
        if self.floor is None:
            return _FLOOR if self.confidence_scale == "std" else 0.0
        return self.floor

    def terms(self, batch: Batch) -> list[Term]:
        pass_K = passes(batch, self.name, self.pass_at)
        q_K = stated_K(batch, self.name, strict=False)[batch.vote_K]
        states_R = batch.role_R == _CONFIDENCE
        silent_K = np.isnan(q_K) & ~np.isnan(pass_K)
        target_K = self.mix * means(batch, pass_K)[batch.group_K] + (1.0 - self.mix) * pass_K
        s_K = -((q_K - target_K) ** 2)
        if self.explore:
            s_K = s_K + self.explore * _surprise_K(batch)
        differs_K = (_deviation_G(batch, s_K) >= self._least)[batch.group_K]
        return [
            outcome_term(
                batch,
                self,
                value_U=np.where(silent_K, -self.missing, pass_K),
                unit_R=np.where(states_R, -1, batch.all_sampled_R),
            ),
            outcome_term(
                batch,
                self,
                "confidence",
                value_U=s_K,
                unit_R=np.where(states_R, batch.all_sampled_R, -1),
                weight=self.calibration,
                weight_U=np.where(differs_K, batch.weight_K, 0.0),
                scale=self.confidence_scale,
            ),
        ]


def _surprise_K(batch: Batch) -> Float64[np.ndarray, " K"]:
    """Returns -log p of the tokens in which each trajectory states its confidence, in nats; NaN
    where that of one is not known."""
    states_N = np.repeat((batch.role_R == _CONFIDENCE) & (batch.all_sampled_R >= 0), batch.length_R)
    traj_N = np.repeat(batch.traj_R, batch.length_R)[states_N]
    logprob_N = np.zeros(0) if batch.logprob_N is None else batch.logprob_N[states_N]
    return -totals(logprob_N.astype(float), traj_N, len(batch.ids))


def _deviation_G(batch: Batch, value_K: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, " G"]:
    """Returns the population deviation of each group's values, each session counted once."""
    off_K = value_K - means(batch, value_K)[batch.group_K]
    return np.sqrt(sums(batch, off_K**2) / np.maximum(counts(batch, value_K), 1))

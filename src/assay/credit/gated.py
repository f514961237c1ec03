"""A teacher whose word the outcome bounds: it says where and how much, seldom which way.

D is that of `credit.teaching`. A *dead* group here is one in which all fail alike: none passes, and
no outcome differs from another (a lone failure too). Its advantage is 0 in every method that
compares, so a teacher that may only follow the outcome's sign is silent there.

Axes: N tokens, K trajectories.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from assay.batch import CATEGORIES, Batch
from assay.credit.base import at_least_0, outcome_term, require
from assay.credit.groups import all_failed
from assay.credit.teaching import (
    Against,
    Taught,
    advantage_N,
    on_tokens,
    taught_term,
)
from assay.kernels.term import Term

_VERIFIED = [CATEGORIES.index(name) for name in ("honest_failure", "false_success")]


@dataclass(frozen=True, slots=True)
class Gated(Taught):
    """GRPO's A beside the teacher's D."""

    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the outcome."""


@dataclass(frozen=True, slots=True)
class Routed(Gated):
    """Dead groups are told from others, and D is over a neutral hint."""

    needs: ClassVar[tuple[str, ...]] = ("told", "neutral")

    against: Against = "neutral"
    bound: float = 1.0
    w: float = 1.0
    """Weight of the teacher where it is heard, at least 0; 0 is GRPO, with `fail` 0 where there is
    one."""
    pass_at: float = 1.0
    """An outcome at or above it is a pass."""


@final
@dataclass(frozen=True, slots=True)
class Rlsd(Gated):
    """A_t = A [ (1 - lam) + lam clip( exp( sign(A) D_t ), 1 - eps_w, 1 + eps_w ) ].

    RLSD 2026, https://arxiv.org/abs/2604.03128: the outcome says which way, the teacher how much.
    A is GRPO's and D = log p_told - log pi_old. The paper lets lam decay over the run; ours stays.
    A token that no hint is about keeps A. Nothing is said where A is 0.
    """

    name: ClassVar[str] = "rlsd"
    source: ClassVar[str] = "RLSD 2026, arXiv:2604.03128"
    value: ClassVar[str] = "outcome; outcome * (gate - 1)"
    unit: ClassVar[str] = "trajectory; token"
    peers: ClassVar[str] = "task group; nobody"
    carried: ClassVar[str] = "all sampled; hinted steps"
    scaling: ClassVar[str] = "mean, std; none"
    needs: ClassVar[tuple[str, ...]] = ("told", "logprobs")

    lam: float = 0.5
    """Share of the gate, in [0, 1]; 0 is GRPO."""
    eps_w: float = 0.2
    """How far the gate may go from 1, in [0, 1]."""

    def __post_init__(self) -> None:
        require(0 <= self.lam <= 1, f"lam must lie in [0, 1]; got {self.lam:g}")
        require(0 <= self.eps_w <= 1, f"eps_w must lie in [0, 1]; got {self.eps_w:g}")
        Taught.__post_init__(self)

    def terms(self, batch: Batch) -> list[Term]:
        outcome = outcome_term(batch, self)
        a_N = advantage_N(batch, outcome)
        d_N = self.lesson_N(batch)
        tilt_N = np.exp(np.clip(np.sign(a_N) * d_N, -50.0, 50.0))  # or a large D overflows
        gate_N = np.clip(tilt_N, 1 - self.eps_w, 1 + self.eps_w)
        return [outcome, taught_term(batch, a_N * (gate_N - 1), weight=self.lam)]


@final
@dataclass(frozen=True, slots=True)
class Agreement(Routed):
    """A_t = A + w D_t [sign D_t = sign A] [|A| >= least]; in dead groups A = -fail, D_t < -margin.

    Ours, methods/agreement.md; the sign rule is SERL's (2026, https://arxiv.org/abs/2605.19447)
    with addition in place of its gate. A is GRPO's. The clause for dead groups asks for a failure
    that was verified (a check or a person, `verify.outcome`) and pushes hinted steps down alone:
    where the teacher finds a token of a failure likelier, nothing is said. `least` stands for a
    tenth of the running deviation of A, which is 1 where a group is alive.
    """

    name: ClassVar[str] = "agreement"
    source: ClassVar[str] = "after SERL 2026, arXiv:2605.19447"
    value: ClassVar[str] = "outcome; told less neutral log p; -1"
    unit: ClassVar[str] = "trajectory; token; token"
    peers: ClassVar[str] = "task group; nobody; nobody"
    carried: ClassVar[str] = "all sampled; hinted steps"
    scaling: ClassVar[str] = "mean, std; none; none"

    fail: float = 0.25
    """-A of a hinted step's token in a dead group where D < -margin; at least 0, 0 is off."""
    least: float = 0.1
    """Least |A| at which the teacher is heard, at least 0."""
    margin: float = 0.1
    """D of a dead group's token must lie below -margin, nats: a sign without size is chance."""

    def __post_init__(self) -> None:
        at_least_0(self, "fail", "least", "margin")
        Taught.__post_init__(self)

    def terms(self, batch: Batch) -> list[Term]:
        outcome = outcome_term(batch, self)
        a_N = advantage_N(batch, outcome)
        d_N = self.lesson_N(batch)
        verified_K = np.isin(batch.category_K, _VERIFIED)
        dead_N = on_tokens(batch, all_failed(batch, self.pass_at) & verified_K) & (
            d_N < -self.margin
        )
        a_N = np.where(dead_N, -self.fail, a_N)
        agrees_N = (np.sign(d_N) == np.sign(a_N)) & (abs(a_N) >= self.least) & (a_N != 0)
        return [
            outcome,
            taught_term(batch, np.where(agrees_N, d_N, np.nan), weight=self.w),
            taught_term(batch, np.where(dead_N, -1.0, np.nan), "all_fail", self.fail),
        ]


@final
@dataclass(frozen=True, slots=True)
class Routing(Routed):
    """A_t = A where a group is alive, w D_t where it is dead: live groups compare, dead ones learn
    from the teacher.

    I-SDPO 2026, https://arxiv.org/abs/2608.12957, known to us from a note: groups in which all fail
    distil, all others are GRPO's alone. Ours: sampled tokens, D over a neutral hint, and no loss
    besides; a group in which all pass gets 0. With `down` tokens are pushed down alone.
    """

    name: ClassVar[str] = "routing"
    source: ClassVar[str] = "I-SDPO 2026, arXiv:2608.12957"
    value: ClassVar[str] = "outcome; told less neutral log p"
    unit: ClassVar[str] = "trajectory; token"
    peers: ClassVar[str] = "task group; nobody"
    carried: ClassVar[str] = "all sampled; hinted steps of dead groups"
    scaling: ClassVar[str] = "mean, std; none"

    down: bool = False
    """Take D < 0 alone."""

    def terms(self, batch: Batch) -> list[Term]:
        d_N = self.lesson_N(batch)
        heard_N = on_tokens(batch, all_failed(batch, self.pass_at))
        if self.down:
            heard_N = heard_N & (d_N < 0)
        taught = taught_term(batch, np.where(heard_N, d_N, np.nan), weight=self.w)
        return [outcome_term(batch, self), taught]

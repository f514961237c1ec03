"""What a teacher says of sampled tokens: the same policy, told hints about the step.

    D = clip( log p_told - log p_other, -bound, bound )          nats, a token

p_other is the policy's own when it sampled, or the teacher's told a hint that says nothing: that
takes off what any added text does. D is about a token that was sampled, may be trained, stands in a
step with a hint, and is not spared:

    stop      the last sampled token of a step, which ends it
    commit    the first token of an answer, and the first behind a thought
    think     every token of a thought

"You were wrong" makes the end of a thought and of a turn less likely whatever was wrong, and a
policy taught there thinks without end (methods/opd.md). Axes: N tokens, R spans, K trajectories.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import ROLES, Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.facts import need
from assay.credit.groups import carried_N
from assay.kernels.term import Term
from assay.kernels.units import credited

Against = Literal["policy", "neutral"]
Spare = Literal["all", "stop", "none"]
_THINK, _ANSWER = ROLES.index("think"), ROLES.index("answer")


def facts_of(against: Against) -> tuple[str, ...]:
    """Returns the facts that `lesson_N` reads."""
    return ("told", "logprobs" if against == "policy" else "neutral")


def lesson_N(
    batch: Batch, against: Against, bound: float, spare: Spare, method: str
) -> Float64[np.ndarray, " N"]:
    """Returns D of each token, nats; NaN where the teacher says nothing.

    Raises:
        MethodError: the batch lacks what is compared; `method` is who asks.
    """
    for fact in facts_of(against):
        need(batch, fact, method)
    other_N = batch.logprob_N if against == "policy" else batch.neutral_N
    if batch.told_N is None or other_N is None:  # of a run, and no step of this batch has a hint
        return np.full(int(batch.length_R.sum()), np.nan)
    gap_N = batch.told_N - other_N
    heard_N = carried_N(batch) & ~spared_N(batch, spare)
    return np.where(heard_N, np.clip(gap_N, -bound, bound), np.nan)


def spared_N(batch: Batch, spare: Spare) -> Bool[np.ndarray, " N"]:
    """Returns which tokens no teacher may speak of."""
    end_R = np.cumsum(batch.length_R)
    spared = np.zeros(int(batch.length_R.sum()), bool)
    r = np.flatnonzero(batch.step_R >= 0)
    if spare == "none" or not r.size:
        return spared
    new = np.append(True, np.diff(batch.step_R[r]) != 0)
    spared[end_R[r[np.append(new[1:], True)]] - 1] = True
    if spare == "all":
        role = batch.role_R[r]
        before = np.where(new, -1, np.roll(role, 1))
        commits = ((role == _ANSWER) & (before != _ANSWER)) | (before == _THINK) & (role != _THINK)
        spared[(end_R - batch.length_R)[r[commits]]] = True
        spared |= np.repeat((batch.role_R == _THINK) & (batch.step_R >= 0), batch.length_R)
    return spared


def taught_term(
    batch: Batch, value_N: Float64[np.ndarray, " N"], name: str = "teacher", weight: float = 1.0
) -> Term:
    """Returns the term that gives each token its own value; NaN: not carried."""
    known_N = ~np.isnan(value_N)
    return Term(
        name=name,
        value_U=np.where(known_N, value_N, 0.0),
        unit_N=np.where(known_N, np.arange(value_N.size), -1),
        weight=weight,
        weight_U=batch.weight_K[np.repeat(batch.traj_R, batch.length_R)],
    )


def advantage_N(batch: Batch, term: Term) -> Float64[np.ndarray, " N"]:
    """Returns what a term by trajectory gives each token's trajectory, before the weights of the
    gates; NaN: unscored."""
    made = credited(term)
    scaled_K = np.clip(made.scaled_U, -term.cap, term.cap)
    return (term.weight * scaled_K)[np.repeat(batch.traj_R, batch.length_R)]


def on_tokens(batch: Batch, holds_K: Bool[np.ndarray, " K"]) -> Bool[np.ndarray, " N"]:
    """Returns, per token, what holds of its trajectory."""
    return np.repeat(holds_K[batch.traj_R], batch.length_R)


@dataclass(frozen=True, slots=True)
class Taught(Method):
    """A method that asks a teacher, and what it hears of it."""

    reads: ClassVar[Reads] = "outcomes"

    against: Against = "policy"
    """What is taken off log p_told: the "policy"'s own, or that of a "neutral" hint (ours)."""
    bound: float = float("inf")
    """Bound on |D|, nats, above 0."""
    spare: Spare = "all"
    """Tokens that are not taught: stop, commit and think ("all"), "stop" alone, or "none"."""

    def __post_init__(self) -> None:
        require(self.bound > 0, f"bound must be above 0; got {self.bound:g}")
        if hasattr(self, "w"):
            at_least_0(self, "w")
        check_scaling(self)

    @property
    def wanted(self) -> tuple[str, ...]:
        return facts_of(self.against)

    def lesson_N(self, batch: Batch) -> Float64[np.ndarray, " N"]:
        """Returns D of each token, see `lesson_N`."""
        return lesson_N(batch, self.against, self.bound, self.spare, self.name)


@final
@dataclass(frozen=True, slots=True)
class Opd(Taught):
    """A_t = D_t: on-policy distillation of the policy that was told a hint, sampled tokens alone.

    OpenClaw-RL 2026, https://arxiv.org/abs/2603.10165 (hindsight-guided OPD): D = log p_told - log
    pi_old, the teacher a frozen copy that sees the hint in the last user message. Ours: the teacher
    is the policy itself or its average, the hint stands before the untouched token ids, each turn
    has the hint that its own next observation gives, and stops, commitments and thoughts are
    spared. Outcomes are not read, so a wrong hint is learnt as well as a right one.
    """

    name: ClassVar[str] = "opd"
    source: ClassVar[str] = "OpenClaw-RL 2026, arXiv:2603.10165"
    value: ClassVar[str] = "told less own log p"
    unit: ClassVar[str] = "token"
    peers: ClassVar[str] = "nobody"
    carried: ClassVar[str] = "hinted steps"
    scaling: ClassVar[str] = "none"
    needs: ClassVar[tuple[str, ...]] = ("told", "logprobs")

    def terms(self, batch: Batch) -> list[Term]:
        return [taught_term(batch, self.lesson_N(batch))]


@final
@dataclass(frozen=True, slots=True)
class Additive(Taught):
    """A_t = R + w D_t: reward and teacher added up, whatever they say of each other.

    OpenClaw-RL 2026, https://arxiv.org/abs/2603.10165: R is the label of the turn, 1 or -1, with
    no baseline, and both weights are 1. Ours: R is 2 (outcome - 1/2) of the trajectory; `compare`
    "group" takes the group's z-score, as the later version does. A token of a failure rises where
    D outweighs R, so with wrong hints it learns what is wrong.
    """

    name: ClassVar[str] = "additive"
    source: ClassVar[str] = "OpenClaw-RL 2026, arXiv:2603.10165"
    value: ClassVar[str] = "outcome; told less own log p"
    unit: ClassVar[str] = "trajectory; token"
    peers: ClassVar[str] = "nobody or task group; nobody"
    carried: ClassVar[str] = "all sampled; hinted steps"
    scaling: ClassVar[str] = "constant or mean, std; none"
    needs: ClassVar[tuple[str, ...]] = ("told", "logprobs")

    w: float = 1.0
    """Weight of the teacher, at least 0."""
    compare: Literal["label", "group"] = "label"
    """R: 2 (outcome - 1/2) with no baseline, or GRPO's."""

    def terms(self, batch: Batch) -> list[Term]:
        label = {"baseline": "given", "given_U": 0.5, "weight": 2.0, "peer_U": None}
        flat = {**label, "scale": "none"} if self.compare == "label" else {}
        return [
            outcome_term(batch, None, **flat),
            taught_term(batch, self.lesson_N(batch), weight=self.w),
        ]

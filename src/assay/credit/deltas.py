"""Steps paid for what they change of a score, and for what comes after them, discounted."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.groups import following_S, last_steps, paid_S
from assay.kernels.returns import along
from assay.kernels.term import Term

STATE = "state"
"""Name of the score with which an environment says how good the state is after a step."""


@final
@dataclass(frozen=True, slots=True)
class ScoreDelta(Method):
    """A = z(R) + w * z(d_t over the steps of the group), d_t = s_t - s_(t-1) + gamma d_(t+1).

        z(x) = (x - mean) / (std + eps)

    s_t is the score that the environment gives the state after step t, s_0 is `first`. With gamma 0
    a step is paid for its own change alone, and over a trajectory changes add up to the last score
    less the first: shaping by a potential (Ng, Harada and Russell 1999). prime-rl proposes this
    contract, one state score a turn, as `turn_credit` (PrimeIntellect-ai/prime-rl#3282, 2026), with
    changes carried back by gamma^d; GAE (Schulman et al. 2015, https://arxiv.org/abs/1506.02438) is
    the same sum. The z over the group is ours. A step without a score changes nothing.
    """

    name: ClassVar[str] = "score_delta"
    source: ClassVar[str] = "Schulman et al. 2015, arXiv:1506.02438"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "outcome; change of a score"
    unit: ClassVar[str] = "trajectory; step"
    peers: ClassVar[str] = "task group; steps of the task group"
    carried: ClassVar[str] = "all sampled; step"
    scaling: ClassVar[str] = "mean, std; mean, std"
    needs: ClassVar[tuple[str, ...]] = ("scores",)

    w: float = 1.0
    """Weight of the changes, at least 0; 0 is GRPO."""
    score: str = STATE
    """Name of the score of steps that is the state's."""
    first: float = 0.0
    """Score where the task begins."""
    gamma: float = 0.0
    """Share of a change that goes to the step before, in [0, 1]."""
    scale: Literal["std", "none"] = "std"
    """Divide the changes by their deviation, or do not; the outcome always is."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the score."""

    def __post_init__(self) -> None:
        at_least_0(self, "w")
        require(0 <= self.gamma <= 1, f"gamma must lie in [0, 1]; got {self.gamma:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        score_S = paid_S(batch, self.score, self.name)
        change_S = score_S - before(batch, score_S, self.first)
        return [
            outcome_term(batch, self, scale="std"),
            _steps(batch, self, "change", _summed(batch, change_S, self.gamma), self.w),
        ]


@final
@dataclass(frozen=True, slots=True)
class Gae(Method):
    """A = z(sum_(u >= t) (gamma lam)^(u - t) x_u over the steps of the group), without a critic.

        x_t = r_t,   or   x_t = gamma s_t - s_(t-1)  with a score s of states in place of a value

    Schulman et al. 2015, Generalized Advantage Estimation, https://arxiv.org/abs/1506.02438. There
    x is r_t + gamma V_t - V_(t-1) with a learned value; here it is what is known of each step: its
    reward, a named score, or the change of a score, which for the last step is the outcome less the
    score before. lam 0 pays a step for itself, lam 1 for all that follows. The z over the group
    takes the place of a baseline: it is biased where the policy decides how many steps there are.
    A step of which nothing is known adds nothing.
    """

    name: ClassVar[str] = "gae"
    source: ClassVar[str] = "Schulman et al. 2015, arXiv:1506.02438"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "rewards or changes, discounted"
    unit: ClassVar[str] = "step"
    peers: ClassVar[str] = "steps of the task group"
    carried: ClassVar[str] = "step"

    of: Literal["delta", "score", "rewards"] = "delta"
    """What a step is paid: the change of the named score, that score, or its reward."""
    score: str = STATE
    """Name of the score that is read unless `of` is rewards."""
    first: float = 0.0
    """With `of="delta"`: score where the task begins."""
    gamma: float = 1.0
    """Discount per step, in [0, 1]."""
    lam: float = 0.95
    """How far what follows counts besides, in [0, 1]."""
    scale: Literal["std", "none"] = "std"
    """Divide by the deviation, or do not."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of what is paid."""

    def __post_init__(self) -> None:
        for name in ("gamma", "lam"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} must lie in [0, 1]; got {value:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        paid = paid_S(batch, None if self.of == "rewards" else self.score, self.name)
        if self.of == "delta":
            end_S = np.where(last_steps(batch), batch.value_K[batch.traj_S], self.gamma * paid)
            paid = end_S - before(batch, paid, self.first)
        return [_steps(batch, self, "gae", _summed(batch, paid, self.gamma * self.lam))]


def before(
    batch: Batch, score_S: Float64[np.ndarray, " S"], first: float
) -> Float64[np.ndarray, " S"]:
    """Returns the last score known before each step in its trajectory; `first` where none is."""
    place = np.arange(score_S.size)
    known = np.where(batch.own_S & ~np.isnan(score_S), place, -1)
    last = np.append(-1, np.maximum.accumulate(known))[:-1]
    same_traj = (last >= 0) & (batch.traj_S[last] == batch.traj_S)
    return np.where(same_traj, np.append(score_S, np.nan)[last], first)


def _summed(
    batch: Batch, paid_S: Float64[np.ndarray, " S"], decay: float
) -> Float64[np.ndarray, " S"]:
    """Returns what each own step and those after it were paid, discounted; NaN in trajectories in
    which nothing is known, or that were dropped."""
    known_S = batch.own_S & ~np.isnan(paid_S)
    some_K = np.bincount(batch.traj_S, known_S, len(batch.ids)) > 0
    total_S = along(
        np.where(known_S, paid_S, 0.0),
        following_S(batch) >= 0,
        np.where(batch.own_S, decay, 1.0),
    )
    return np.where((some_K & batch.kept_K)[batch.traj_S] & batch.own_S, total_S, np.nan)


def _steps(
    batch: Batch, by: Method, name: str, value_S: Float64[np.ndarray, " S"], weight: float = 1.0
) -> Term:
    """Returns the term of steps that are compared with all steps of their group."""
    return outcome_term(
        batch,
        by,
        name,
        value_U=value_S,
        peer_U=batch.group_K[batch.traj_S],
        vote_U=None,
        unit_R=batch.steps_R,
        weight_U=batch.weight_K[batch.traj_S],
        weight=weight,
    )

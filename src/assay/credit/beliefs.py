"""Steps paid for how much likelier they made the right answer."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.groups import following_S, last_steps, paid_S, same, turns
from assay.kernels.returns import along
from assay.kernels.term import Term

Absent = Literal["auto", "masked", "zero"]


@final
@dataclass(frozen=True, slots=True)
class DeltaBelief(Method):
    """A = X - mean X over the group + g_t - mean g_t over the group, g_t = sum_(u >= t) lam gain_u.

        X = win * R - turn_cost * T,   gain_t = max(log b_t - log b_(t-1), 0)

    with g_t = 0 for a trajectory that has no turn t: there is nothing left for it to gain. b_t is
    the belief in the right answer after step t (nats, `belief` of a step), b_0 the one before the
    first (`prior` of the trajectory), R the outcome, T the steps of the trajectory. Delta-Belief-RL
    2026, https://arxiv.org/abs/2602.12342, known to us from its project page and code. The paper
    takes z of r_t = X + lam gain_t over the steps of the group that are the same turn, ddof 1
    (`variant="paper"`): a step is paid for its own gain alone, what it lets later turns gain is not
    its own, and a turn that few reach is scaled by those few. That is no gradient of any return
    where the policy decides how many turns there are. The default, ours, is (G-1)/G times the
    gradient of E[X + lam sum gain] (docs/enumeration.md). In the released code (`variant="repo"`) a
    turn that a trajectory never took is a 0 among its peers, and the last turn of a success gains
    nothing; under "paper" the first are left out, and a step without a peer gets 0. Where a belief
    is missing the gain is 0. Cut at 0, a gain can be earned again and again by losing it in
    between; not cut, gains add up to log b_T - log b_0 whatever happened (`clip`).
    """

    name: ClassVar[str] = "delta_belief"
    source: ClassVar[str] = "Auzina et al. 2026, arXiv:2602.12342"
    reads: ClassVar[Reads] = "groups"
    needs: ClassVar[tuple[str, ...]] = ("beliefs",)
    value: ClassVar[str] = "outcome; gain of belief from here on"
    unit: ClassVar[str] = "trajectory; step"
    peers: ClassVar[str] = "task group; same turn of the task group"
    carried: ClassVar[str] = "all sampled; step"
    scaling: ClassVar[str] = "mean; mean"

    lam: float = 0.1
    """Weight of a gain, per nat, at least 0."""
    clip: bool = True
    """Whether a loss of belief counts as 0."""
    win: float = 1.0
    """What an outcome of 1 pays every turn, at least 0."""
    turn_cost: float = 0.05
    """Taken off every turn for each turn of its trajectory, at least 0."""
    absent: Absent = "auto"
    """Turns that a trajectory never took, for variants that compare turn by turn: left out
    ("masked"), or 0 among the others ("zero"). "auto": as the variant has them."""
    floor: float = -20.0
    """Beliefs below it count as it, nats: or one jump from nothing outweighs all others."""
    score: str | None = None
    """Name of a score of steps that is added, such as a penalty for what was invalid or asked
    before. None: nothing is."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of the reward."""
    variant: Literal["unbiased", "paper", "repo"] = "unbiased"
    """unbiased: returns, compared within the group. paper: the reward of a turn, compared with that
    turn of others. repo: so, absent turns are 0, and the last step of a trajectory with an outcome
    above 0 gains nothing."""

    def __post_init__(self) -> None:
        at_least_0(self, "lam", "win", "turn_cost")
        by_turn = self.variant != "unbiased"
        require(by_turn or self.absent == "auto", 'absent is not read by variant="unbiased"')
        require(self.floor <= 0, f"floor must be at most 0; got {self.floor:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        group_S = batch.group_K[batch.traj_S]
        peer_S, more = same(group_S, turns(batch)), {}
        if self.variant == "unbiased":
            return self._returns(batch, peer_S)
        reward_S = self._rewards(batch)
        if self.absent == "zero" or (self.absent == "auto" and self.variant == "repo"):
            more = _zeros(batch, peer_S, reward_S)
        return [
            outcome_term(
                batch,
                self,
                "turn",
                value_U=reward_S,
                peer_U=peer_S,
                vote_U=None,
                unit_R=batch.steps_R,
                weight_U=batch.weight_K[batch.traj_S],
                **more,
            )
        ]

    def _returns(self, batch: Batch, peer_S: Int64[np.ndarray, " S"]) -> list[Term]:
        """Returns the terms of `variant="unbiased"`; others count among their turn's peers, with 0
        where they have ended, so that every turn is compared with the whole group."""
        scored_S = batch.own_S & ~np.isnan(batch.value_K)[batch.traj_S]
        paid_now_S, ones_S = np.where(scored_S, self._gained(batch), 0.0), np.ones(peer_S.size)
        left_S = along(paid_now_S, following_S(batch) >= 0, ones_S)
        left_S = np.where(scored_S, left_S, np.nan)
        fields: dict[str, object] = {
            "value_U": left_S,
            "peer_U": peer_S,
            "vote_U": None,
            "unit_R": batch.steps_R,
            "weight_U": batch.weight_K[batch.traj_S],
            **_zeros(batch, peer_S, left_S),
        }
        return [
            outcome_term(batch, None, value_U=self._whole(batch), scale="none"),
            outcome_term(batch, None, "gain", scale="none", **fields),
        ]

    def _rewards(self, batch: Batch) -> Float64[np.ndarray, " S"]:
        """Returns what each step is paid; NaN where unscored or dropped."""
        return self._whole(batch)[batch.traj_S] + self._gained(batch)

    def _whole(self, batch: Batch) -> Float64[np.ndarray, " K"]:
        """Returns what all of a trajectory is paid for its outcome and its length."""
        turns_K = np.bincount(batch.traj_S[batch.own_S], minlength=batch.value_K.size)
        return self.win * batch.value_K - self.turn_cost * turns_K

    def _gained(self, batch: Batch) -> Float64[np.ndarray, " S"]:
        """Returns what each step is paid for itself."""
        gain_S, value_K = np.nan_to_num(gains(batch, self.floor)), batch.value_K
        if self.variant == "repo":
            gain_S[last_steps(batch) & (value_K > 0)[batch.traj_S]] = 0.0
        if self.clip:
            gain_S = np.maximum(gain_S, 0.0)
        paid = 0.0 if self.score is None else np.nan_to_num(paid_S(batch, self.score, self.name))
        return self.lam * gain_S + paid


@final
@dataclass(frozen=True, slots=True)
class Igpo(Method):
    """A_t = sum_{k >= t} gamma^(k-t) r_k, r of the last step z(R), of every other w * z(gain).

        gain_t = log b_t - log b_(t-1),   z(x) = (x - mean) / (std + eps) over the group, ddof 1

    IGPO 2025, https://arxiv.org/abs/2510.14967. Gains are compared with all gains of the group,
    outcomes with its outcomes. b is the belief in the right answer (nats, `belief` of a step,
    `prior` of the trajectory); the paper divides by the answer's tokens, which changes nothing
    within a task. The last step is the answer: what it did to the belief is not paid. A gain of
    which a belief is missing is left out. What was released first took differences of
    probabilities, a mean over the turns of the group that end at the same token, and no deviation
    (`variant="repo"`; its authors have replaced it, and we know it from what they said): a
    trajectory without a turn that ends there counts as 0 in the mean, and gets nothing itself.
    """

    name: ClassVar[str] = "igpo"
    source: ClassVar[str] = "IGPO 2025, arXiv:2510.14967"
    reads: ClassVar[Reads] = "groups"
    needs: ClassVar[tuple[str, ...]] = ("beliefs",)
    value: ClassVar[str] = "gain of belief; outcome"
    unit: ClassVar[str] = "step; trajectory"
    peers: ClassVar[str] = "steps of the task group; task group"
    carried: ClassVar[str] = "step and those before"
    scaling: ClassVar[str] = "mean, std; mean, std"

    w: float = 1.0
    """Weight of gains, at least 0; 0 is GRPO."""
    gamma: float = 1.0
    """Discount per step, in [0, 1]."""
    floor: float = -20.0
    """Beliefs below it count as it, nats."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation."""
    variant: Literal["paper", "repo"] = "paper"
    """What is compared, and with whom."""

    def __post_init__(self) -> None:
        at_least_0(self, "w")
        require(0 <= self.gamma <= 1, f"gamma must lie in [0, 1]; got {self.gamma:g}")
        require(self.floor <= 0, f"floor must be at most 0; got {self.floor:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        value_S, last_S = batch.value_K[batch.traj_S], last_steps(batch)
        group_S, repo = batch.group_K[batch.traj_S], self.variant == "repo"
        pays_S = batch.own_S & ~last_S & ~np.isnan(value_S)
        gain_S = np.where(pays_S, gains(batch, self.floor, chances=repo), np.nan)
        end_S = np.where(last_S, value_S, np.nan)
        fields: dict[str, object] = {
            "unit_R": batch.steps_R,
            "weight_U": batch.weight_K[batch.traj_S],
            "next_U": following_S(batch),
            "decay": np.where(batch.own_S, self.gamma, 1.0),
        }
        if repo:
            reward_S = np.where(last_S, end_S, self.w * gain_S)
            fields |= {"value_U": reward_S, "peer_U": same(group_S, _ends(batch)), "scale": "none"}
            fields |= _zeros(batch, same(group_S, _ends(batch)), reward_S)
            return [outcome_term(batch, self, "gain", vote_U=None, **fields)]
        fields["peer_U"] = group_S
        last_K = np.full(len(batch.ids), -1)
        last_K[batch.traj_S[last_S]] = np.flatnonzero(last_S)
        vote_S = last_K[batch.vote_K][batch.traj_S]
        return [
            outcome_term(batch, self, "outcome", value_U=end_S, vote_U=vote_S, **fields),
            outcome_term(batch, self, "gain", value_U=gain_S, vote_U=None, weight=self.w, **fields),
        ]


def gains(batch: Batch, floor: float, *, chances: bool = False) -> Float64[np.ndarray, " S"]:
    """Returns by how much each step changed the belief in the right answer; NaN: not known.

    Args:
        batch: with beliefs after steps, and before the first.
        floor: beliefs below it count as it, nats.
        chances: differences of probabilities, in [-1, 1], in place of nats.
    """
    traj_S = batch.traj_S
    after_S, prior_K = (np.maximum(each, floor) for each in (batch.belief_S, batch.prior_K))
    if chances:
        after_S, prior_K = np.exp(after_S), np.exp(prior_K)
    first_S = np.append(True, traj_S[1:] != traj_S[:-1])[: traj_S.size]
    return after_S - np.where(first_S, prior_K[traj_S], np.roll(after_S, 1))


def _ends(batch: Batch) -> Int64[np.ndarray, " S"]:
    """Returns at which token of its trajectory each step ends; -1: it has none."""
    size_K = np.bincount(batch.traj_R, batch.length_R, len(batch.ids)).astype(np.int64)
    start_K, at = np.cumsum(size_K) - size_K, np.flatnonzero(batch.step_R >= 0)
    end_S = np.full(batch.traj_S.size, -1)
    # spans come in order, and of equal places the last that is written stays
    end_S[batch.step_R[at]] = (np.cumsum(batch.length_R) - start_K[batch.traj_R])[at]
    return end_S


def _zeros(
    batch: Batch, peer_S: Int64[np.ndarray, " S"], value_S: Float64[np.ndarray, " S"]
) -> dict[str, object]:
    """Returns, as fields of a term, a 0 for each scored trajectory of a group that has no step
    among some peers."""
    at = np.flatnonzero(~np.isnan(value_S) & (peer_S >= 0))
    count_P = np.bincount(peer_S[at])
    group_P = np.zeros(count_P.size, np.int64)
    group_P[peer_S[at]] = batch.group_K[batch.traj_S[at]]
    size_G = np.bincount(batch.group_K[~np.isnan(batch.value_K)], minlength=batch.n_groups)
    missing_P = np.where(count_P > 0, size_G[group_P] - count_P, 0)
    peer_V = np.repeat(np.arange(count_P.size), missing_P)
    return {
        "baseline": "virtual",
        "virtual_value_V": np.zeros(peer_V.size),
        "virtual_peer_V": peer_V,
    }

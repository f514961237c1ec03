"""What methods ask of a batch: who passed, how large a group is, who is like whom.

Axes: K trajectories, G groups, S steps, C calls, N tokens.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.batch import UNTRAINABLE, Batch
from assay.credit.facts import need
from assay.errors import MethodError, hint
from assay.kernels.codes import numbered
from assay.kernels.constancy import CONSTANT, bar, extremes
from assay.kernels.groups import ALL_FAIL, CONSTANT_PARTIAL, SINGLE, fates

_UNTRUSTED = [UNTRAINABLE.index(reason) for reason in ("logprobs", "copied")]


def passes(batch: Batch, method: str, pass_at: float | None) -> Float64[np.ndarray, " K"]:
    """Returns 1.0 for a pass, 0.0 for a fail, NaN where unscored or dropped.

    Args:
        batch: the trajectories.
        method: who asks, for the message.
        pass_at: an outcome at or above it is a pass. None: outcomes must be 0 or 1 already, but
            for round-off.

    Raises:
        MethodError: `pass_at` is None and some outcome is neither 0 nor 1.
    """
    value_K = batch.value_K
    if pass_at is not None:
        return np.where(np.isnan(value_K), np.nan, (value_K >= bar(pass_at)).astype(float))
    rounded_K = np.round(value_K)
    other_K = ~np.isnan(value_K) & ~np.isin(rounded_K, (0.0, 1.0))
    other_K |= abs(value_K - rounded_K) > CONSTANT
    if other_K.any():
        k = int(np.flatnonzero(other_K)[0])
        raise MethodError(
            f"{method} needs outcomes of 0 or 1; trajectory {batch.ids[k]!r} has {value_K[k]:g}; "
            "say which outcomes pass with pass_at"
        )
    return rounded_K


def all_failed(batch: Batch, pass_at: float) -> Bool[np.ndarray, " K"]:
    """Returns the scored trajectories of groups in which none passes and no outcome differs, also
    where there is but one of them."""
    fate_G, dead_G = fates(batch.voted_K, batch.group_K, n_groups=batch.n_groups, pass_at=pass_at)
    failed_G = np.isin(fate_G, (ALL_FAIL, CONSTANT_PARTIAL, SINGLE)) & dead_G
    failed_K = batch.value_K < bar(pass_at)
    return failed_G[batch.group_K] & failed_K


def unaided_fates(
    batch: Batch, value_K: Float64[np.ndarray, " K"], pass_at: float
) -> tuple[Int64[np.ndarray, " G"], Bool[np.ndarray, " G"]]:
    """Returns the fate of each group by what was sampled without help, and whether it is dead.

    A rescued trajectory took the place of one of a group that was all alike: it stands for the
    least of the others, so that a failure that is left alone with it is no single one. Whoever says
    which groups are dead says it by this: audit, report, metrics.

    Args:
        batch: the trajectories.
        value_K: what is compared, NaN where nothing is: `voted_K`, or outcomes.
        pass_at: an outcome at or above it is a pass.
    """
    own_K, group_K, n = ~np.isnan(value_K) & ~batch.rescued_K, batch.group_K, batch.n_groups
    low_G, _ = extremes(value_K[own_K], group_K[own_K], n)
    stood_K = np.where(np.isinf(low_G), np.nan, low_G)[group_K]
    stands_K = np.where(batch.rescued_K, stood_K, value_K)
    return fates(stands_K, group_K, n_groups=n, pass_at=pass_at)


def counts(batch: Batch, value_K: Float64[np.ndarray, " K"]) -> Int64[np.ndarray, " G"]:
    """Returns how many members of each group have a value, each session counted once."""
    return np.bincount(batch.group_K[_votes(batch, value_K)], minlength=batch.n_groups)


def sums(batch: Batch, value_K: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, " G"]:
    """Returns the sum of the values of each group, those that are NaN left out, each session
    counted once."""
    votes_K = _votes(batch, value_K)
    return totals(value_K[votes_K], batch.group_K[votes_K], batch.n_groups)


def _votes(batch: Batch, value_K: Float64[np.ndarray, " K"]) -> Bool[np.ndarray, " K"]:
    return ~np.isnan(value_K) & (batch.vote_K == np.arange(value_K.size))


def totals(
    value_U: Float64[np.ndarray, " U"], owner_U: Int64[np.ndarray, " U"], n: int
) -> Float64[np.ndarray, " _"]:
    """Returns the sum of the values of each of n owners; NaN where one of them is NaN."""
    return np.bincount(owner_U, value_U, n).astype(float)  # of nothing it would be integer


def means(batch: Batch, value_K: Float64[np.ndarray, " K"]) -> Float64[np.ndarray, " G"]:
    """Returns the mean value of each group, those that are NaN left out; 0 where none is left."""
    return sums(batch, value_K) / np.maximum(counts(batch, value_K), 1)


def same(*codes: Int64[np.ndarray, " U"]) -> Int64[np.ndarray, " U"]:
    """Returns one number per combination of codes, -1 where any code is -1."""
    return np.where(np.any(np.stack(codes) < 0, axis=0), -1, numbered(*codes))


def carried_N(batch: Batch) -> Bool[np.ndarray, " N"]:
    """Returns which tokens are sampled, trainable and of a trajectory that was kept."""
    return np.repeat(batch.all_sampled_R >= 0, batch.length_R)


def trained_K(batch: Batch) -> Float64[np.ndarray, " K"]:
    """Returns how much of each trajectory may be trained: tokens, or characters (`measure`)."""
    owner_R = batch.all_sampled_R
    at = owner_R >= 0
    return totals(batch.length_R[at].astype(float), owner_R[at], len(batch.ids))


def rollout_lengths_K(batch: Batch) -> Float64[np.ndarray, " K"]:
    """Returns how much the policy wrote in the rollout that each trajectory votes for, all its
    scored outputs together: tokens, or characters (`measure`), trained or not; 0 where another
    votes."""
    scored_K = np.where(np.isnan(batch.value_K), 0.0, batch.wrote_K)
    return totals(scored_K, batch.vote_K, len(batch.ids))


def confidence_K(batch: Batch, method: str) -> Float64[np.ndarray, " K"]:
    """Returns exp(mean log-probability) of the tokens that each trajectory sampled, in (0, 1].

    Tokens without a log-probability are left out, and so are steps whose log-probabilities are not
    to be trusted or that repeat earlier ones. NaN where the trajectory is unscored or dropped.

    Raises:
        MethodError: a scored trajectory has no log-probability at all.
    """
    need(batch, "logprobs", method)
    logprob_N = batch.logprob_N if batch.logprob_N is not None else np.zeros(0)
    trusted_S = ~np.isin(batch.untrainable_S, _UNTRUSTED)
    read_R = np.append(trusted_S, False)[batch.step_R]
    read_N = np.repeat(read_R, batch.length_R) & ~np.isnan(logprob_N)
    traj_N = np.repeat(batch.traj_R, batch.length_R)[read_N]
    n = len(batch.ids)
    count_K = np.bincount(traj_N, minlength=n)
    scored_K = ~np.isnan(batch.value_K)
    bare_K = scored_K & (count_K == 0)
    if bare_K.any():
        k = int(np.flatnonzero(bare_K)[0])
        raise MethodError(
            f"{method} needs logprobs of every scored trajectory; {batch.ids[k]!r} has none; "
            "drop it or take a method that needs none"
        )
    mean_K = totals(logprob_N[read_N], traj_N, n) / np.maximum(count_K, 1)
    return np.where(scored_K, np.exp(mean_K), np.nan)


def stated_K(batch: Batch, method: str, *, strict: bool = True) -> Float64[np.ndarray, " K"]:
    """Returns the last confidence that each trajectory stated, in [0, 1].

    NaN where it is unscored or dropped, and, unless `strict`, where it states none.

    Raises:
        MethodError: no trajectory states any, or `strict`, and a scored one states none.
    """
    need(batch, "stated confidence", method)
    stated = np.flatnonzero(~np.isnan(batch.confidence_S))
    stated_K = np.full(len(batch.ids), np.nan)
    stated_K[batch.traj_S[stated]] = batch.confidence_S[stated]  # steps come in order
    scored_K = ~np.isnan(batch.value_K)
    silent_K = scored_K & np.isnan(stated_K)
    if strict and silent_K.any():
        k = int(np.flatnonzero(silent_K)[0])
        raise MethodError(
            f"{method} needs a stated confidence of every scored trajectory; {batch.ids[k]!r} has "
            "none; drop it or take a method that needs none"
        )
    return np.where(scored_K, stated_K, np.nan)


def paid_S(batch: Batch, score: str | None, method: str) -> Float64[np.ndarray, " S"]:
    """Returns what each step was paid: its reward, or its score of that name; NaN: nothing known.

    Raises:
        MethodError: no step has any, or there is no score of that name.
    """
    if score is None:
        need(batch, "rewards per step", method)
        return batch.reward_S
    need(batch, "scores", method)
    if score not in batch.score_names:
        raise MethodError(
            f"{method}: no step has a score {score!r}.{hint(score, batch.score_names)} "
            f"Known: {', '.join(batch.score_names)}"
        )
    return batch.score_SJ[:, batch.score_names.index(score)]


def following_S(batch: Batch) -> Int64[np.ndarray, " S"]:
    """Returns the step after each one in its trajectory; -1: it is the last."""
    s = np.arange(batch.traj_S.size)
    goes_on = np.append(batch.traj_S[1:] == batch.traj_S[:-1], False)[: s.size]
    return np.where(goes_on, s + 1, -1)


def called_S(batch: Batch) -> Int64[np.ndarray, " S"]:
    """Returns a number of the calls that each trajectory had made before a step, and what they
    answered: equal for equal sets, whatever their order and however often one was repeated.

    Sets are told apart by the sum of 64-bit hashes of what is in them.
    """
    pair_C = numbered(batch.key_C, batch.answer_C)
    own_C = numbered(batch.traj_S[batch.step_C], pair_C)
    new_C = np.diff(np.maximum.accumulate(own_C), prepend=-1) > 0
    sum_C = np.append(np.uint64(0), np.cumsum(np.where(new_C, _mixed(pair_C), np.uint64(0))))
    before_S = sum_C[np.searchsorted(batch.step_C, np.arange(batch.traj_S.size))]
    first_S = np.searchsorted(batch.traj_S, batch.traj_S)
    return numbered((before_S - before_S[first_S]).view(np.int64))


def _mixed(code_U: Int64[np.ndarray, " U"]) -> np.ndarray:
    """Returns 64 bits that look drawn at random for each code: the finaliser of splitmix64."""
    bits = (code_U.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))


def turns(batch: Batch) -> Int64[np.ndarray, " S"]:
    """Returns which of its trajectory's own steps each step is, from 0; -1: it was copied."""
    own_S, n = batch.own_S, len(batch.ids)
    count_K = np.bincount(batch.traj_S[own_S], minlength=n)
    before_K = np.cumsum(count_K) - count_K
    return np.where(own_S, np.cumsum(own_S) - 1 - before_K[batch.traj_S], -1)


def last_steps(batch: Batch) -> Bool[np.ndarray, " S"]:
    """Returns which step is the last own one of its trajectory."""
    count_K = np.bincount(batch.traj_S[batch.own_S], minlength=len(batch.ids))
    return batch.own_S & (turns(batch) == count_K[batch.traj_S] - 1)

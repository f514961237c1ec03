"""Answers to one task, ranked: by scores that votes gave, or by who beat whom.

Axes: U answers, M votes.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.errors import MethodError

Duels = Callable[[Sequence[tuple[int, int]]], Sequence[float]]
"""Of pairs, how much the first of each won: 1 it did, 0 the second did, 0.5 neither."""


def kept_votes(meta_M: Float64[np.ndarray, " M"], keep: int) -> Bool[np.ndarray, " M"]:
    """Returns which votes a filter keeps: the `keep` that it scores highest, the earlier of ties.

    The meta reward model of DeepSeek-GRM (Liu et al. 2025, https://arxiv.org/abs/2504.02495)
    keeps half. It helps where some votes are wrong in a way that it sees, not where they are noisy.

    Args:
        meta_M: what the filter gives each vote; NaN: nothing, and it goes first.
        keep: at least 1.

    Raises:
        MethodError: fewer than 1, or more than there are votes.
    """
    if not 1 <= keep <= meta_M.size:
        raise MethodError(
            f"kept_votes: got {keep} to keep of {meta_M.size} votes; expected 1 to it"
        )
    order = np.argsort(-np.where(np.isnan(meta_M), -np.inf, meta_M), kind="stable")
    return np.isin(np.arange(meta_M.size), order[:keep])


def summed_votes(score_MU: Float64[np.ndarray, "M U"]) -> Float64[np.ndarray, " U"]:
    """Returns the sum of the scores that votes gave each answer.

    DeepSeek-GRM, https://arxiv.org/abs/2504.02495: the finer scale of a sum beats a majority of
    who is first. A vote that left out an answer, NaN, is left out whole: a sum of fewer is lower.
    NaN throughout where no vote is whole.
    """
    whole_M = ~np.isnan(score_MU).any(1)
    some = np.zeros(score_MU.shape[1]) if whole_M.any() else np.full(score_MU.shape[1], np.nan)
    return some + score_MU[whole_M].sum(0)


def firsts(score_MU: Float64[np.ndarray, "M U"]) -> Float64[np.ndarray, " U"]:
    """Returns how many votes have each answer first; n that share a first place get 1 / n each.

    The expectation of drawing among them, which DeepSeek-GRM does. A vote with a NaN is none.
    """
    whole_M = ~np.isnan(score_MU).any(1)
    score = score_MU[whole_M]
    first = score == score.max(1, keepdims=True, initial=-np.inf)
    return (first / np.maximum(first.sum(1, keepdims=True), 1)).sum(0)


def bradley_terry(
    won_UU: Float64[np.ndarray, "U U"], prior: float = 0.5
) -> Float64[np.ndarray, " U"]:
    """Returns the strength of each answer: logits of winning, mean 0.

        P(i beats j) = 1 / (1 + exp(x_j - x_i)),     the x of greatest likelihood

    Bradley and Terry 1952; Newton's method on a convex loss, its step halved where it goes too far.
    It does not depend on the order of comparisons, as Elo does. With `prior` p every answer is
    given p wins over every other: who won or lost all is at a finite place.

    Args:
        won_UU: `won_UU[i, j]` times that i beat j; halves for ties. The diagonal is not read.
        prior: at least 0; 0 is plain likelihood.

    Raises:
        MethodError: a count or a prior that is negative or not finite; or prior 0 where some
            answers never lost to the others or were never compared, so that no finite strengths
            exist (Ford 1957).
    """
    won_UU = np.where(np.eye(len(won_UU), dtype=bool), 0.0, won_UU)
    if not (np.isfinite(won_UU).all() and (won_UU >= 0).all() and 0 <= prior < np.inf):
        raise MethodError("bradley_terry: expected counts and a prior, finite and at least 0")
    won_UU = np.where(np.eye(len(won_UU), dtype=bool), 0.0, won_UU + prior)
    if not _connected(won_UU):
        raise MethodError(
            "bradley_terry: with prior 0 every answer must have lost, directly or through others, "
            "to every other; give a prior above 0"
        )
    x_U = np.zeros(len(won_UU))
    for _ in range(200):
        step_U = _newton(won_UU, x_U)
        size, now = 1.0, _loss(won_UU, x_U)
        allowed = now + 1e-12 * abs(now)  # near the end a full step differs by rounding alone
        while _loss(won_UU, x_U - size * step_U) > allowed and size > 1e-12:
            size /= 2
        x_U = x_U - size * step_U
        if np.abs(step_U).max(initial=0.0) < 1e-10:
            break
    return x_U - x_U.mean() if x_U.size else x_U


def _loss(won_UU: Float64[np.ndarray, "U U"], x_U: Float64[np.ndarray, " U"]) -> float:
    """Returns minus the log-likelihood."""
    return float((won_UU * np.logaddexp(0.0, x_U[None, :] - x_U[:, None])).sum())


def _newton(
    won_UU: Float64[np.ndarray, "U U"], x_U: Float64[np.ndarray, " U"]
) -> Float64[np.ndarray, " U"]:
    """Returns Newton's step; strengths are known up to a constant, so its mean is held at 0."""
    p_UU = 1.0 / (1.0 + np.exp(np.clip(x_U[None, :] - x_U[:, None], -500, 500)))
    met_UU = won_UU + won_UU.T
    slope_U = -(won_UU - met_UU * p_UU).sum(1)
    curve_UU = met_UU * p_UU * (1.0 - p_UU)
    whole_UU = np.diag(curve_UU.sum(1)) - curve_UU
    return np.linalg.lstsq(whole_UU, slope_U)[0]


def _connected(won_UU: Float64[np.ndarray, "U U"]) -> bool:
    """Returns whether a chain of wins leads from every answer to every other."""
    reach_UU = (won_UU > 0) | np.eye(len(won_UU), dtype=bool)
    for _ in range(len(won_UU).bit_length()):  # chains twice as long each time
        reach_UU = reach_UU @ reach_UU
    return bool(reach_UU.all())


def win_rates(strength_U: Float64[np.ndarray, " U"]) -> Float64[np.ndarray, " U"]:
    """Returns how often each answer would beat one of the others, drawn evenly: in (0, 1).

        mean over j != i of 1 / (1 + exp(x_j - x_i))

    Their mean is 0.5. NaN of an answer that is alone.
    """
    gap_UU = strength_U[:, None] - strength_U[None, :]
    p_UU = 1.0 / (1.0 + np.exp(-np.clip(gap_UU, -500, 500)))
    others = len(strength_U) - 1
    return (p_UU.sum(1) - 0.5) / (others if others > 0 else np.nan)


def elo(
    met: Sequence[tuple[int, int, float]], count: int, k: float = 32.0, first: float = 1000.0
) -> Float64[np.ndarray, " U"]:
    """Returns ratings after comparisons in their order, on which they depend.

        r_a <- r_a + k (s - e),   r_b <- r_b - k (s - e),   e = 1 / (1 + 10^((r_b - r_a) / 400))

    Elo 1978; RRM, https://arxiv.org/abs/2505.14674, ranks by it. Prefer `bradley_terry`.

    Args:
        met: a, b and s, how much a won: 1, 0.5 or 0.
        count: of answers.
        k: how far one comparison moves.
        first: what all begin with.
    """
    rating = [first] * count
    for a, b, won in met:
        moved = k * (won - 1.0 / (1.0 + 10.0 ** ((rating[b] - rating[a]) / 400.0)))
        rating[a], rating[b] = rating[a] + moved, rating[b] - moved
    return np.array(rating, float)


def knockout(bracket: Sequence[int], duels: Duels) -> tuple[int, Int64[np.ndarray, " U"], int]:
    """Returns the winner, how many rounds each survived (a bye counts), and comparisons made.

    Neighbours meet; the odd one has a bye; n - 1 comparisons in ceil(log2 n) rounds. RRM,
    https://arxiv.org/abs/2505.14674. Where a duel has no winner the one that stands first in the
    bracket goes on: shuffle the bracket. Only the winner means much: the second best may meet it
    in the first round.

    Args:
        bracket: answers, 0 to n - 1, each once, in the order in which they meet.
        duels: all duels of a round at once.

    Raises:
        MethodError: an empty bracket, or one that is not each answer once.
    """
    if not bracket or sorted(bracket) != [*range(len(bracket))]:
        raise MethodError(f"knockout: got bracket {[*bracket]}; expected 0 to n - 1, each once")
    standing, made = [*bracket], 0
    survived_U = np.zeros(len(bracket), np.int64)
    while len(standing) > 1:
        pairs = [*zip(standing[::2], standing[1::2], strict=False)]
        won = duels(pairs)
        bye = standing[-1:] if len(standing) % 2 else []
        standing = [a if s >= 0.5 else b for (a, b), s in zip(pairs, won, strict=True)] + bye
        survived_U[standing] += 1
        made += len(pairs)
    return standing[0], survived_U, made

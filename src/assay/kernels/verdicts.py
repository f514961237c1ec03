"""Several votes on one thing: what they come to, how often they err together, what they are worth.

Axes: U units, M votes on each.
"""

from math import comb, exp, lgamma

import numpy as np
from jaxtyping import Float64

from assay.errors import MethodError

VALID = (-1.0, 0.0, 1.0)
"""A vote against, for neither, for. Anything else, as an answer that could not be read, is none."""


def majority(vote_UM: Float64[np.ndarray, "U M"]) -> Float64[np.ndarray, " U"]:
    """Returns what most votes on each unit say: -1, 0 or 1.

    NaN: nobody voted, or several answers have most votes. OpenClaw-RL 2026,
    https://arxiv.org/abs/2603.10165, writes 0 for all three and leaves 0 out of its loss; here a 0
    is what a majority said.
    """
    count_VU = np.stack([(vote_UM == valid).sum(1) for valid in VALID])
    clear_U = (count_VU == count_VU.max(0)).sum(0) == 1
    return np.where(clear_U, np.array(VALID)[count_VU.argmax(0)], np.nan)


def mean_vote(vote_UM: Float64[np.ndarray, "U M"]) -> Float64[np.ndarray, " U"]:
    """Returns the mean of the valid votes on each unit, in [-1, 1]; NaN: nobody voted."""
    valid_UM = np.isin(vote_UM, VALID)
    count_U = valid_UM.sum(1)
    total_U = np.where(valid_UM, vote_UM, 0.0).sum(1)
    return total_U / np.where(count_U > 0, count_U, np.nan)


def majority_error(error: float, votes: int, together: float = 0.0) -> float:
    """Returns how often a majority of an odd number of votes is wrong.

        sum_{k > m / 2} C(m, k) P(k are wrong)

    P is binomial where votes are independent, else beta-binomial with the intraclass correlation
    `together`: a = e (1 / t - 1), b = (1 - e) (1 / t - 1).

    Args:
        error: of one vote, in [0, 1].
        votes: m, odd.
        together: correlation of two votes' errors on one thing, in [0, 1].

    Raises:
        MethodError: an even number of votes, or a rate out of its range.
    """
    if votes < 1 or votes % 2 == 0:
        raise MethodError(f"votes must be an odd number of at least 1; got {votes}")
    if not (0 <= error <= 1 and 0 <= together <= 1):
        raise MethodError(f"error and together must lie in [0, 1]; got {error:g}, {together:g}")
    if together == 1.0 or error in (0.0, 1.0):
        return error
    wrong = range(votes // 2 + 1, votes + 1)
    if together == 0.0:
        return sum(comb(votes, k) * error**k * (1 - error) ** (votes - k) for k in wrong)
    size = 1 / together - 1
    a, b = error * size, (1 - error) * size
    whole = _log_beta(a, b)
    return sum(comb(votes, k) * exp(_log_beta(k + a, votes - k + b) - whole) for k in wrong)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def worth(votes: int, together: float) -> float:
    """Returns how many independent votes correlated ones are worth: m / (1 + (m - 1) together).

    Kish 1965, Survey Sampling. Seven votes of one prompt at a correlation of 0.53 are worth 1.67.
    """
    return votes / (1 + (votes - 1) * together)


def together(wrong_UM: Float64[np.ndarray, "U M"]) -> float:
    """Returns how much the errors of votes on one thing go together: intraclass correlation.

        (MSB - MSW) / (MSB + (m - 1) MSW)

    One-way analysis of variance, ICC(1,1) of Shrout and Fleiss 1979. Whoever knows no truth gives
    the votes in place of their errors, and gets their agreement, which is no less.

    Args:
        wrong_UM: 1 where a vote was wrong, 0 where it was right; no NaN.

    Returns:
        At most 1; below 0 where votes on one thing differ more than by chance. NaN: fewer than two
        units or votes, or all errors are alike.
    """
    n, m = wrong_UM.shape
    if n < 2 or m < 2:
        return float("nan")
    mean_U = wrong_UM.mean(1)
    between = m * float(((mean_U - mean_U.mean()) ** 2).sum()) / (n - 1)
    within = float(((wrong_UM - mean_U[:, None]) ** 2).sum()) / (n * (m - 1))
    spread = between + (m - 1) * within
    return (between - within) / spread if spread > 0 else float("nan")

"""Verdicts of judges that err, corrected: what they say of the outcome once their errors are known.

    rho0 = P(accepted | failed)      rho1 = P(rejected | passed)      J = 1 - rho0 - rho1

J is how much a verdict says (Youden 1950): 1 all, 0 nothing, below 0 the opposite. Nothing here
turns a judge of J < 0 round: whoever errs so much is left out. Rates are taken from above where
they are not known for sure (`rates.upper`): then failures are paid at most nothing.

Axes: U units (trajectories or steps), P peer sets.
"""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.kernels.constancy import ROUND_OFF

LEAST_J: Final = 0.2
"""Judges of less are left out: the variance of a corrected verdict goes with 1 / J^2."""
Values = Float64[np.ndarray, " U"]


def usable(
    seen_U: Values, rho0_U: Values, rho1_U: Values, least_j: float = LEAST_J
) -> Bool[np.ndarray, " U"]:
    """Returns which verdicts say something: there is one, and its judge has J >= `least_j`.

    A rate that is NaN is one that nobody knows, and its verdicts say nothing.
    """
    j_U = 1.0 - rho0_U - rho1_U
    return ~np.isnan(seen_U) & (j_U >= least_j - ROUND_OFF) & (j_U > ROUND_OFF)


def backward(seen_U: Values, rho0_U: Values, rho1_U: Values) -> Values:
    """Returns verdicts whose mean over the judge's errors is the outcome.

        x = (r - rho0) / J,    E[x | passed] = 1,  E[x | failed] = 0
        Var[x | passed] = rho1 (1 - rho1) / J^2,   Var[x | failed] = rho0 (1 - rho0) / J^2

    Cai et al. 2025, https://arxiv.org/abs/2510.00915. With rates that are not those of the judge

        E[x | failed] = (rho0 - rho0') / J',       E[x | passed] = (1 - rho1 - rho0') / J'

    so that a rho0' from above never pays a failure, and one from below does.

    Args:
        seen_U: 1 accepted, 0 rejected; NaN: no verdict, and none comes of it.
        rho0_U: false positives of the judge of each, in [0, 1].
        rho1_U: false negatives.

    Returns:
        In [-rho0 / J, (1 - rho0) / J]; NaN where J <= 0.
    """
    j_U = 1.0 - rho0_U - rho1_U
    return (seen_U - rho0_U) / np.where(j_U > 0, j_U, np.nan)


def forward(seen_U: Values, rho1_U: Values) -> Values:
    """Returns weights of the score function that need false negatives alone.

        w = rho1 where accepted, rho1 - 1 where rejected,      E[w | outcome] = J (outcome - 1)

    The direction of the true gradient, up to the factor J and a constant baseline, with less
    variance than `backward` and another factor for every judge: not for mixed judges. The name is
    of Cai et al. 2025, https://arxiv.org/abs/2510.00915, of which we know the abstract: the weights
    are derived, by the expectation above.
    """
    return seen_U + rho1_U - 1.0


def posterior(seen_U: Values, prior_U: Values, rho0_U: Values, rho1_U: Values) -> Values:
    """Returns the chance that the outcome is a pass, given the verdict.

        accepted  p (1 - rho1) / (p (1 - rho1) + (1 - p) rho0)
        rejected  p rho1 / (p rho1 + (1 - p) (1 - rho0))

    Bayes. Its mean is p whoever judges, so a lenient judge gives no bonus, and its variance is that
    of `backward` times the square of the gap between accepted and rejected times J, at most 1. What
    it costs: passes and failures differ by J * gap in the mean, another number for every judge and
    every p.

    Args:
        seen_U: 1 accepted, 0 rejected; NaN: no verdict.
        prior_U: p, pass rate of the task, in [0, 1].
        rho0_U: false positives.
        rho1_U: false negatives.

    Returns:
        In [0, 1]; NaN without a verdict, or where it is one that cannot come about.
    """
    yes_U = np.where(seen_U == 1.0, 1.0 - rho1_U, rho1_U) * prior_U
    no_U = np.where(seen_U == 1.0, rho0_U, 1.0 - rho0_U) * (1.0 - prior_U)
    total_U = yes_U + no_U
    return np.where(np.isnan(seen_U), np.nan, yes_U / np.where(total_U > 0, total_U, np.nan))


def true_rate(seen: Values, rho0: Values | float, rho1: Values | float) -> Values:
    """Returns the pass rate behind a rate of accepted ones: (seen - rho0) / J, clipped to [0, 1].

    0: false positives explain all that was accepted; 1: false negatives all that was rejected.
    """
    return np.clip((seen - rho0) / (1.0 - rho0 - rho1), 0.0, 1.0)


def weighed(
    seen_U: Values, rho0_U: Values, rho1_U: Values, least_j: float = LEAST_J
) -> tuple[Values, Values]:
    """Returns corrected verdicts and what each weighs in a mean: 0 where it says nothing.

        x = (r - rho0) / J,   w = J^2

    w is in proportion to the least that 1 / Var[x] can be, and depends on the judge and never on
    the verdict, so that a weighted mean stays without bias.
    """
    ok_U = usable(seen_U, rho0_U, rho1_U, least_j)
    x_U = np.where(ok_U, backward(seen_U, rho0_U, rho1_U), np.nan)
    return x_U, np.where(ok_U, (1.0 - rho0_U - rho1_U) ** 2, 0.0)


def others(
    value_U: Values,
    weight_U: Values,
    peer_U: Int64[np.ndarray, " U"],
    vote_U: Int64[np.ndarray, " U"] | None = None,
) -> Values:
    """Returns the weighted mean of the other peers' values.

        b_u = sum_{v != u} w_v x_v / sum_{v != u} w_v        over the peers of u

    Of other samples alone, so that taking it off leaves the gradient without bias, whatever the
    weights.

    Args:
        value_U: NaN: it counts nowhere.
        weight_U: at least 0; 0 counts nowhere.
        peer_U: units with the same number, from 0, are compared.
        vote_U: unit that counts for each one: it alone is taken out for it. None: itself.

    Returns:
        NaN where no other peer counts.
    """
    own_U = np.arange(value_U.size)
    vote_U = own_U if vote_U is None else vote_U
    counts_U = ~np.isnan(value_U)
    w_U = np.where(counts_U & (vote_U == own_U), weight_U, 0.0)
    x_U = np.where(counts_U, value_U, 0.0)
    n = int(peer_U.max(initial=-1)) + 1
    count_P = np.bincount(peer_U[w_U > 0], minlength=n)
    sum_P, weight_P = np.bincount(peer_U, w_U * x_U, n), np.bincount(peer_U, w_U, n)
    at_w_U = w_U[vote_U]
    left_U = weight_P[peer_U] - at_w_U
    some_U = count_P[peer_U] - (at_w_U > 0) > 0
    total_U = sum_P[peer_U] - at_w_U * x_U[vote_U]
    return total_U / np.where(some_U, left_U, np.nan)

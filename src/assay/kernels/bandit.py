"""Which domain to practise next, by what it still teaches and by how far that helps the others.

After Transfer-Aware Curriculum (TAC) 2026, https://arxiv.org/abs/2606.25178, as a reader's note
gives it; the paper's own form was not checked. Axes: D domains, M entries of a projected gradient.
"""

import numpy as np
from jaxtyping import Float64

from assay.errors import MethodError


def alignment(gradient_DM: Float64[np.ndarray, "D M"], domain: int) -> float:
    """Returns the mean cosine of a domain's gradient with those of the others, in [-1, 1].

    Args:
        gradient_DM: projected; a row of NaN: nothing is known of that domain.
        domain: whose gradient it is.

    NaN where its gradient, or that of every other domain, is unknown or 0.
    """
    size_D = np.sqrt((gradient_DM**2).sum(1))
    others = (size_D > 0) & (np.arange(size_D.size) != domain)
    if not size_D[domain] > 0 or not others.any():
        return np.nan
    unit_DM = gradient_DM[others] / size_D[others, None]
    return float((unit_DM @ gradient_DM[domain] / size_D[domain]).mean())


def scores(
    learnability_D: Float64[np.ndarray, " D"],
    alignment_D: Float64[np.ndarray, " D"],
    alpha: float,
) -> Float64[np.ndarray, " D"]:
    """Returns s_d = a_d (1 + alpha t_d): a mean |advantage|, t mean cosine.

    An alignment of NaN, unknown, counts as 0.
    """
    return learnability_D * (1.0 + alpha * np.nan_to_num(alignment_D))


def chances(
    score_D: Float64[np.ndarray, " D"], temperature: float, floor: float
) -> Float64[np.ndarray, " D"]:
    """Returns softmax(s / temperature), none of it below floor / D; they sum to 1.

    What lies below is raised to that, and the others share what is left in proportion, again until
    none lies below.

    Raises:
        MethodError: a temperature that is not above 0, or a floor outside [0, 1].
    """
    if not temperature > 0 or not 0 <= floor <= 1:
        raise MethodError(
            f"chances: got temperature {temperature:g} and floor {floor:g}; expected above 0, and "
            "in [0, 1]"
        )
    power_D = np.exp((score_D - score_D.max()) / temperature)
    chance_D, least = power_D / power_D.sum(), floor / score_D.size
    low_D = np.zeros(score_D.size, bool)
    while (below_D := ~low_D & (chance_D < least)).any():
        low_D |= below_D
        left_D = np.where(low_D, 0.0, power_D)
        left_D *= (1.0 - least * low_D.sum()) / max(left_D.sum(), np.finfo(float).tiny)
        chance_D = np.where(low_D, least, left_D)
    return chance_D / chance_D.sum()

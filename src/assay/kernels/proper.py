"""What a stated probability earns beside a right answer, and when giving up earns more.

R = c - w (q - c)^2 for an answer that is right (c = 1) or wrong (c = 0) and stated right with
probability q. Derived by us from the reward of RLCR, Damani et al. 2025,
https://arxiv.org/abs/2507.16806.
"""

from math import sqrt
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64

from assay.errors import MethodError

Rule = Literal["brier", "log"]


def scored(
    right_U: Bool[np.ndarray, " U"], stated_U: Float64[np.ndarray, " U"], weight: float
) -> Float64[np.ndarray, " U"]:
    """Returns c - w (q - c)^2, in [-w, 1]; NaN where nothing was stated.

    Args:
        right_U: was the answer right?
        stated_U: stated probability of that, in [0, 1].
        weight: of the Brier term, w.
    """
    return right_U - weight * (stated_U - right_U) ** 2


def honest_value(chance: float, weight: float, rule: Rule = "brier") -> float:
    """Returns what an answer that is right with a chance p earns on average, stated as p.

        p + w G(p),    G = -p (1 - p)  (brier),    G = p ln p + (1 - p) ln(1 - p)  (log, nats)

    Under "brier" it rises with p for w <= 1, so that the best answer is the likeliest one. Under
    "log" it falls for small p whatever w: a bounded rule is needed.

    Raises:
        MethodError: a chance outside [0, 1], or a weight below 0.
    """
    _check(chance, weight, 0.0)
    if rule == "brier":
        return chance - weight * chance * (1.0 - chance)
    return chance + weight * sum(p * np.log(p) for p in (chance, 1.0 - chance) if p > 0)


def margin(chance: float, weight: float, spread: float = 0.0) -> float:
    """Returns by how much an attempt earns more than answering wrong on purpose and stating 0.

        (1 - w) p + w p^2 - w spread^2

    Args:
        chance: of the attempt being right, p.
        weight: of the Brier term.
        spread: root mean square of the stated confidence around p; 0: it states p exactly.

    Raises:
        MethodError: a chance outside [0, 1], a weight or a spread below 0.
    """
    _check(chance, weight, spread)
    return honest_value(chance, weight) - weight * spread**2


def gives_up_below(weight: float, spread: float = 0.0) -> float:
    """Returns the chance of being right below which answering wrong and stating 0 earns more: the
    root of `margin`, in [0, 1]; 0: it never does.

        (w - 1 + sqrt((1 - w)^2 + 4 w^2 spread^2)) / (2 w)

    At w = 1 it is `spread`; at w > 1 at least 1 - 1/w, however exact what is stated.

    Raises:
        MethodError: a weight or a spread below 0.
    """
    _check(0.0, weight, spread)
    if weight == 0:
        return 0.0
    root = weight - 1.0 + sqrt((1.0 - weight) ** 2 + 4.0 * (weight * spread) ** 2)
    return min(root / (2.0 * weight), 1.0)


def _check(chance: float, weight: float, spread: float) -> None:
    if not 0 <= chance <= 1:
        raise MethodError(f"chance must lie in [0, 1]; got {chance:g}")
    for name, value in (("weight", weight), ("spread", spread)):
        if not value >= 0:
            raise MethodError(f"{name} must be at least 0; got {value:g}")

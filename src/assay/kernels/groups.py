"""What became of each group: which ones can teach, and why the others cannot.

Axes: K trajectories, G groups.
"""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.kernels.units import CONSTANT, ROUND_OFF

FATES: Final = ("mixed", "all_fail", "all_pass", "constant_partial", "single", "unscored")
"""Codes of `fates` in order. `mixed`: some pass and some fail; `all_fail`: none passes;
`constant_partial`: none passes and all have the same score above 0; `single`: one scored member."""
MIXED, ALL_FAIL, ALL_PASS, CONSTANT_PARTIAL, SINGLE, UNSCORED = range(len(FATES))


def fates(
    outcome_K: Float64[np.ndarray, " K"],
    group_K: Int64[np.ndarray, " K"],
    *,
    n_groups: int,
    pass_at: float = 1.0,
) -> tuple[Int64[np.ndarray, " G"], Bool[np.ndarray, " G"]]:
    """Returns the fate of each group and whether it is dead: no outcome differs from another.

    A group where none passes but outcomes differ is `all_fail` and not dead: GRPO ranks it.

    Args:
        outcome_K: verified outcome; NaN is unscored and counts nowhere.
        group_K: group of each trajectory, in [0, n_groups).
        n_groups: how many groups there are, empty ones included.
        pass_at: a trajectory passes at this outcome or above.
    """
    scored_K = ~np.isnan(outcome_K)
    group, outcome = group_K[scored_K], outcome_K[scored_K]
    count_G = np.bincount(group, minlength=n_groups)
    passed_G = np.bincount(group, outcome >= pass_at, n_groups)
    high_G, low_G = np.full(n_groups, -np.inf), np.full(n_groups, np.inf)
    np.maximum.at(high_G, group, outcome)
    np.minimum.at(low_G, group, outcome)
    spread = float(outcome.max(initial=-np.inf) - outcome.min(initial=np.inf))
    with np.errstate(invalid="ignore"):
        tolerance_G = np.maximum(
            CONSTANT * max(spread, 0.0), ROUND_OFF * np.maximum(abs(high_G), abs(low_G))
        )
        constant_G = ~(high_G - low_G > tolerance_G)
    fate_G = np.full(n_groups, MIXED)
    fate_G[passed_G == 0] = ALL_FAIL
    fate_G[passed_G == count_G] = ALL_PASS
    fate_G[(passed_G == 0) & constant_G & (low_G > 0)] = CONSTANT_PARTIAL
    fate_G[count_G == 1] = SINGLE
    fate_G[count_G == 0] = UNSCORED
    return fate_G, constant_G | (count_G < 2)

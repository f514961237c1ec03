"""What became of each group: which ones can teach, and why the others cannot.

Axes: K trajectories, G groups.
"""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.kernels.constancy import bar, constant, extremes

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

    A group where none passes but outcomes differ is `all_fail` and not dead: GRPO ranks it. Of a
    group whose outcomes do not differ all pass or none, so none is both mixed and dead.

    Args:
        outcome_K: verified outcome; NaN is unscored and counts nowhere, as do all of a session
            but the one that votes (`Batch.voted_K`).
        group_K: group of each trajectory, in [0, n_groups).
        n_groups: how many groups there are, empty ones included.
        pass_at: a trajectory passes at this outcome or above (`kernels.constancy.bar`).
    """
    scored_K = ~np.isnan(outcome_K)
    group, outcome = group_K[scored_K], outcome_K[scored_K]
    count_G = np.bincount(group, minlength=n_groups)
    low_G, high_G = extremes(outcome, group, n_groups)
    constant_G = constant(low_G, high_G)
    passed_G = np.bincount(group, outcome >= bar(pass_at), n_groups)
    passed_G = np.where(constant_G, np.where(high_G >= bar(pass_at), count_G, 0), passed_G)
    fate_G = np.full(n_groups, MIXED)
    fate_G[passed_G == 0] = ALL_FAIL
    fate_G[passed_G == count_G] = ALL_PASS
    fate_G[(passed_G == 0) & constant_G & (low_G > 0)] = CONSTANT_PARTIAL
    fate_G[count_G == 1] = SINGLE
    fate_G[count_G == 0] = UNSCORED
    return fate_G, constant_G | (count_G < 2)


def voters(
    session_K: Int64[np.ndarray, " K"], stands_K: Bool[np.ndarray, " K"]
) -> Int64[np.ndarray, " K"]:
    """Returns the trajectory that votes for each one: the last of its session that stands.

    Args:
        session_K: rollout of which each trajectory is an output; -1: of one of its own.
        stands_K: which may vote. Where none of a session does, its last one is named.
    """
    voter_K = np.arange(session_K.size)
    shared = np.flatnonzero(session_K >= 0)
    if shared.size:
        last = np.full(int(session_K.max()) + 1, -1)
        last[session_K[shared]] = shared  # of equal places the last that is written stays
        standing = shared[stands_K[shared]]
        last[session_K[standing]] = standing
        voter_K[shared] = last[session_K[shared]]
    return voter_K

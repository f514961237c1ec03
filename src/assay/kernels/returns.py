"""What comes after counts too: returns along chains of units.

Axes: U units (steps, turns, nodes).
"""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.errors import AlignmentError

_LONG: Final = 1024
"""Rows longer than this are looked ahead in by doubling: so many rounds would take longer."""


def returns(
    value_U: Float64[np.ndarray, " U"],
    next_U: Int64[np.ndarray, " U"],
    decay: Float64[np.ndarray, " U"] | float = 1.0,
) -> Float64[np.ndarray, " U"]:
    """Returns G_u = value_u + decay_u * G_next(u), in units of the value.

    A NaN counts nothing; G_u is NaN where the unit and all that come after it are NaN. Units need
    no order, several may have the same next one, and the work is U times the log of the longest
    chain: each round doubles how far every unit has looked ahead.

    Args:
        value_U: what each unit earned itself.
        next_U: the unit after each one, in [0, U); -1: none.
        decay: factor on what comes after a unit.

    Raises:
        AlignmentError: `next_U` points at no unit, or in a circle.
    """
    n = value_U.size
    if n and not -1 <= next_U.min() <= next_U.max() < n:
        raise AlignmentError(f"next_U must lie in [-1, {n}); got {next_U.min()} to {next_U.max()}")
    scored_U = ~np.isnan(value_U)
    total_U, ahead_U = np.where(scored_U, value_U, 0.0), next_U.copy()
    factor_U = np.broadcast_to(decay, n).astype(float)
    for _ in range(n.bit_length() + 1):
        looks = np.flatnonzero(ahead_U >= 0)
        if looks.size == 0:
            return np.where(scored_U, total_U, np.nan)
        at = ahead_U[looks]
        total_U[looks] += factor_U[looks] * total_U[at]
        scored_U[looks] |= scored_U[at]
        factor_U[looks] *= factor_U[at]
        ahead_U[looks] = ahead_U[at]
    raise AlignmentError("next_U goes in a circle; expected chains that end")


def along(
    value_U: Float64[np.ndarray, " U"],
    goes_on_U: Bool[np.ndarray, " U"],
    decay_U: Float64[np.ndarray, " U"],
) -> Float64[np.ndarray, " U"]:
    """Returns G_u = value_u + decay_u * G_(u+1), as `returns` does, of units that stand in rows.

    Args:
        value_U: what each unit earned itself; no NaN.
        goes_on_U: is the next unit the one after it?
        decay_U: factor on what comes after a unit.
    """
    last = np.flatnonzero(~goes_on_U)
    size = np.diff(last, prepend=-1)
    total_U = value_U.copy()
    for end, count in zip(last[size > _LONG], size[size > _LONG], strict=True):
        row = slice(end + 1 - count, end + 1)
        next_U = np.append(np.arange(1, count), -1)
        total_U[row] = returns(value_U[row], next_U, decay_U[row])
    short = size <= _LONG
    order = np.argsort(-size[short], kind="stable")
    at, size = last[short][order], size[short][order]
    longest = int(size.max(initial=0))
    longer = size.size - np.cumsum(np.bincount(size, minlength=longest))  # than each size
    for back in range(1, longest):
        at = at[: longer[back]] - 1
        total_U[at] += decay_U[at] * total_U[at + 1]
    return total_U

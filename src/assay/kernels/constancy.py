"""When values are the same: one tolerance for constant groups and for passes.

Axes: P peer sets, U units.
"""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

CONSTANT: Final = 1e-6
"""Peers whose values spread over no more than this share of the value range are constant, and an
outcome that lies no more than this share of the bar below it passes."""
ROUND_OFF: Final = 1e-12
"""...or over no more than this share of their magnitude."""


def bar(pass_at: float) -> float:
    """Returns the least outcome that passes at `pass_at`: pass_at - max(1e-6 |pass_at|, 1e-12).

    Weights of .7, .2 and .1 add up to a pass at 1. Whoever asks whether something passes compares
    with it, and with nothing else.
    """
    return pass_at - max(CONSTANT * abs(pass_at), ROUND_OFF)


def extremes(
    value: Float64[np.ndarray, " _"], peer: Int64[np.ndarray, " _"], n_peers: int
) -> tuple[Float64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Returns the least and the greatest value of each peer set; of an empty one inf and -inf."""
    low_P, high_P = np.full(n_peers, np.inf), np.full(n_peers, -np.inf)
    np.minimum.at(low_P, peer, value)
    np.maximum.at(high_P, peer, value)
    return low_P, high_P


def constant(
    low_P: Float64[np.ndarray, " P"],
    high_P: Float64[np.ndarray, " P"],
    value_range: float | None = None,
) -> Bool[np.ndarray, " P"]:
    """Returns which peer sets are constant, by range and never by deviation; empty ones are.

    Args:
        low_P: least value of each peer set.
        high_P: greatest value of each.
        value_range: spread that values can have. None: as seen over all peer sets.
    """
    if value_range is None:
        value_range = float(high_P.max(initial=-np.inf) - low_P.min(initial=np.inf))
    value_range = value_range if np.isfinite(value_range) else 0.0
    size_P = np.maximum(abs(high_P), abs(low_P))
    return high_P - low_P <= np.maximum(CONSTANT * value_range, ROUND_OFF * size_P)

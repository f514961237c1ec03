"""Numbers per run, step or token, cut per trajectory and written as briefly as JSON allows."""

from typing import Any, final

import numpy as np
from jaxtyping import Int64

DIGITS = 6
"""Significant digits of every number that a page shows."""


@final
class Packed:
    """An array cut into trajectories; `packed[k]` is the piece of trajectory k, packed.

    A piece is one value where all are equal (also where there are none), else `{"v": values,
    "n": counts}` where equal neighbours make that shorter, else a list. NaN is null.
    """

    def __init__(self, values: np.ndarray, start_K: Int64[np.ndarray, " _"]) -> None:
        self._values = significant(values) if values.dtype.kind == "f" else values
        self._start: list[int] = start_K.tolist()
        same = self._values[1:] == self._values[:-1]
        if values.dtype.kind == "f":
            same |= np.isnan(self._values[1:]) & np.isnan(self._values[:-1])
        self._edges = np.flatnonzero(~same) + 1  # where a value differs from the one before it
        first = np.searchsorted(self._edges, start_K[:-1], "right")
        last = np.searchsorted(self._edges, start_K[1:], "left")
        self._edge = list(zip(first.tolist(), last.tolist(), strict=True))
        at = np.minimum(start_K[:-1], max(self._values.size - 1, 0))
        self._first = listed(self._values[at]) if self._values.size else [None] * at.size

    def __getitem__(self, k: int) -> Any:
        """Returns the piece of trajectory k."""
        first, last = self._edge[k]
        if first >= last:
            return self._first[k]
        begin, end = self._start[k], self._start[k + 1]
        if 2 * (last - first + 1) < end - begin:
            edges = np.concatenate([[begin], self._edges[first:last], [end]])
            return {"v": listed(self._values[edges[:-1]]), "n": np.diff(edges).tolist()}
        return listed(self._values[begin:end])


def significant(values: np.ndarray) -> np.ndarray:
    """Returns the values rounded to six significant digits; NaN stays, -0 becomes 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
    exponent = np.where(np.isfinite(exponent), np.clip(exponent, -200, 200), 0.0)
    factor = 10.0 ** (DIGITS - 1 - exponent)
    return np.round(values * factor) / factor + 0.0


def listed(values: np.ndarray) -> list[Any]:
    """Returns a list with None for NaN; whole floats become integers, which are shorter."""
    if values.dtype.kind != "f":
        return values.tolist()
    return [None if v != v else int(v) if v.is_integer() else v for v in values.tolist()]

"""Numbers for what is equal: the first thing is 0, the next one that differs is 1, and so on."""

import numpy as np
from jaxtyping import Int64

_SPARSE, _FEW_SPARSE, _FEW = 8, 64, 1 << 23
"""Codes that lie further apart than this, on average, are sorted; others are looked up. The second
is for tables of at most the third, whose size does not matter."""


def numbered(*columns: Int64[np.ndarray, " _"]) -> Int64[np.ndarray, " _"]:
    """Returns one code per distinct row of the columns, in the order in which rows appear."""
    code, count = _dense(columns[0])
    for column in columns[1:]:
        other, more = _dense(column)
        code, count = _dense(code * more + other)
    n = code.size
    first = np.empty(count, np.int64)
    first[code[::-1]] = np.arange(n - 1, -1, -1)  # of equal places the last that is written stays
    rank = np.empty(count, np.int64)
    rank[np.argsort(first)] = np.arange(count)
    return rank[code]


def _dense(values: Int64[np.ndarray, " _"]) -> tuple[Int64[np.ndarray, " _"], int]:
    """Returns each value's place among the distinct ones, ascending, and how many there are."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, -1)
    reach = high - low + 1
    if reach > (_FEW_SPARSE if reach <= _FEW else _SPARSE) * values.size:
        distinct, code = np.unique(values, return_inverse=True)
        return code, distinct.size
    there = np.zeros(reach, bool)
    there[values - low] = True
    distinct = np.flatnonzero(there)
    place = np.empty(reach, np.int64)
    place[distinct] = np.arange(distinct.size)
    return place[values - low], distinct.size

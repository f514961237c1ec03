"""Numbers per span, step or token, cut per trajectory and written as briefly as JSON allows."""

from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int64

DIGITS = 6
"""Significant digits of every number that a page shows."""


def packed(values: np.ndarray, start_K: Int64[np.ndarray, " _"]) -> list[str]:
    """Returns the JSON of an array's piece of each trajectory: values[start_K[k] : start_K[k + 1]].

    A piece is one value where all are equal, null where there are none, else `{"n": counts, "v":
    values}` where equal neighbours make that shorter, else a list. NaN is null.
    """
    begins = np.ones(values.size, bool)  # where a run of equal values of one trajectory begins
    begins[1:] = values[1:] != values[:-1]
    if values.dtype.kind == "f":
        begins[1:] &= ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    begins[start_K[start_K < values.size]] = True
    at = np.flatnonzero(begins)
    text, first_K = _texts(values[at]), np.searchsorted(at, start_K)
    if at.size == start_K.size - 1 and (np.diff(first_K) == 1).all():
        return text  # one value in each
    size = np.diff(at, append=values.size)
    each = np.repeat(np.array(text, object), size).tolist()
    count, first, start = (numbers.tolist() for numbers in (size, first_K, start_K))
    pieces: list[str] = []
    for k, (begin, end) in enumerate(pairwise(first)):
        if end - begin <= 1:
            pieces.append(text[begin] if begin < end else "null")
        elif 2 * (end - begin) < start[k + 1] - start[k]:
            counts = ",".join(map(str, count[begin:end]))
            pieces.append(f'{{"n":[{counts}],"v":[{",".join(text[begin:end])}]}}')
        else:
            pieces.append(f"[{','.join(each[start[k] : start[k + 1]])}]")
    return pieces


def _texts(values: np.ndarray) -> list[str]:
    """Returns each value as JSON; whole floats become integers, which are shorter."""
    different, code = np.unique(values, return_inverse=True)
    if values.dtype.kind == "f":
        different = significant(different)
    words = ["null" if v is None else str(v) for v in listed(different)]
    return [words[each] for each in code.tolist()]


def significant(values: np.ndarray) -> np.ndarray:
    """Returns the values rounded to six significant digits; NaN stays, -0 becomes 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
    exponent = np.where(np.isfinite(exponent), np.clip(exponent, -200, 200), 0.0)
    factor = 10.0 ** (DIGITS - 1 - exponent)
    return np.round(values * factor) / factor + 0.0


def decimals(value: float | None, low: float | None = None, high: float | None = None) -> int:
    """Returns with how many decimals a number and its interval are told: two, or up to four where
    less would tell an end as 0 that is not; of a number alone, the number."""
    ends = (value,) if low is None or high is None else (low, high)
    told = [abs(end) for end in ends if end is not None and abs(end) >= 0.5e-4]
    return next(d for d in (2, 3, 4) if d == 4 or all(round(end, d) for end in told))


def listed(values: np.ndarray) -> list[Any]:
    """Returns a list with None for NaN; whole floats become integers, which are shorter."""
    if values.dtype.kind != "f":
        return values.tolist()
    return [None if v != v else int(v) if v.is_integer() else v for v in values.tolist()]

"""Where trajectories' rows stand, and trajectories in parts that keep equal ones together."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int64

from assay.batch.mapped import AT_ONCE

Place = slice | Int64[np.ndarray, " _"]
"""Where rows stand: a stretch, or the numbers of the rows."""


def starts(
    traj_S: Int64[np.ndarray, " S"], step_C: Int64[np.ndarray, " C"], n: int
) -> dict[str, Int64[np.ndarray, " _"]]:
    """Returns where the steps (S) and calls (C) of each of n trajectories begin, and the end."""
    start_S = np.searchsorted(traj_S, np.arange(n + 1))
    return {"S": start_S, "C": np.searchsorted(step_C, start_S)}


def add_rows(
    sum_K: Int64[np.ndarray, " K"], traj: Int64[np.ndarray, " _"], size: Any = None
) -> None:
    """Adds rows of ascending trajectories to sums, which are looked at as far as the rows reach.

    Args:
        sum_K: of each trajectory.
        traj: trajectory of each row.
        size: what each row counts. None: 1.
    """
    low = int(traj[0]) if traj.size else 0
    more = np.bincount(traj - low, size).astype(np.int64)
    sum_K[low : low + more.size] += more


def together(
    code_K: Int64[np.ndarray, " K"], size_K: Int64[np.ndarray, " K"], most: int = AT_ONCE
) -> Iterator[Int64[np.ndarray, " _"]]:
    """Yields trajectories, ascending, in parts of about `most` rows; none shares a code with one of
    another part.

    Args:
        code_K: of each trajectory, from 0.
        size_K: rows of each.
        most: a part has no more, and those of its last code.
    """
    size_P = np.bincount(code_K, size_K)
    part_P = ((np.cumsum(size_P) - size_P) // most).astype(np.int64)
    part_K = part_P[code_K]
    order = np.argsort(part_K, kind="stable")
    cuts = np.flatnonzero(np.diff(part_K[order])) + 1
    yield from np.split(order, cuts) if order.size else ()


def place(start_K: Int64[np.ndarray, " _"], ks: Int64[np.ndarray, " _"]) -> Place:
    """Returns where the rows of trajectories stand, which begin and end at `start_K`."""
    begin, size = start_K[ks], start_K[ks + 1] - start_K[ks]
    total = int(size.sum())
    low, high = (int(start_K[ks[0]]), int(start_K[ks[-1] + 1])) if ks.size else (0, 0)
    if total == high - low:
        return slice(low, high)
    return np.repeat(begin - (np.cumsum(size) - size), size) + np.arange(total)

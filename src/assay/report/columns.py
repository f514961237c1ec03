"""Numbers per span, token or step, kept on disk and read back a few trajectories at a time."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Int64
from xxhash import xxh3_128_digest

from assay.batch import Batch
from assay.report.pack import packed
from assay.report.store import Spool


class _Column(NamedTuple):
    number: int
    """In the spool."""
    dtype: np.dtype
    axis: str


@final
class Columns:
    """Arrays of one entry per span (R), token (N) or step (S). Equal ones are kept once."""

    def __init__(self, batch: Batch, spool: Spool) -> None:
        ks = np.arange(len(batch.ids) + 1)
        start_R = np.searchsorted(batch.traj_R, ks)
        start_N = np.append(0, np.cumsum(batch.length_R))[start_R]
        self.start_of = {"R": start_R, "N": start_N, "S": np.searchsorted(batch.traj_S, ks)}
        self._spool, self._spans = spool, batch.length_R.size
        self._known: dict[bytes, int] = {}
        self._columns: list[_Column] = []

    def add(self, values: np.ndarray, *, per_step: bool = False) -> int:
        """Keeps an array and returns its number; without `per_step` it is by span or token."""
        axis = "S" if per_step else "R" if values.size == self._spans else "N"
        data = np.ascontiguousarray(values).data
        digest = xxh3_128_digest(data) + f"{values.dtype}{axis}".encode()
        if digest not in self._known:
            self._known[digest] = len(self._columns)
            number = self._spool.add(data.cast("B")) if values.size else -1
            self._columns.append(_Column(number, values.dtype, axis))
        return self._known[digest]

    def of(self, ks: Sequence[int]) -> Callable[[int], list[str]]:
        """Returns, by a column's number, the JSON of what each of some trajectories has of it.

        Args:
            ks: ascending.
        """
        places = {axis: _place(start_K, np.array(ks)) for axis, start_K in self.start_of.items()}

        @cache
        def pieces(number: int) -> list[str]:
            at, dtype, axis = self._columns[number]
            low, high, taken, start_K = places[axis]
            if low == high:
                return ["null"] * len(ks)
            part = self._spool.part(at, low * dtype.itemsize, high * dtype.itemsize)
            values = np.frombuffer(part, dtype)
            return packed(values if taken is None else values[taken], start_K)

        return pieces


class _Place(NamedTuple):
    """Where some trajectories' entries lie on an axis."""

    low: int
    high: int
    taken: Int64[np.ndarray, " _"] | None
    """Which of [low, high) are theirs; None: all."""
    start_K: Int64[np.ndarray, " _"]


def _place(start_K: Int64[np.ndarray, " _"], ks: Int64[np.ndarray, " _"]) -> _Place:
    size = start_K[ks + 1] - start_K[ks]
    begin = np.append(0, np.cumsum(size))
    low, high = int(start_K[ks[0]]), int(start_K[ks[-1] + 1])
    if begin[-1] == high - low:
        return _Place(low, high, None, begin)
    taken = np.repeat(start_K[ks] - low - begin[:-1], size) + np.arange(begin[-1])
    return _Place(low, high, taken, begin)

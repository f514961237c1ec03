"""Numbers per span, token or step, kept on disk and read back a few trajectories at a time."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Int64
from xxhash import xxh3_128

from assay.batch.blocks import Block, Blocks
from assay.batch.mapped import room, stretches
from assay.batch.parts import place
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

    def __init__(self, blocks: Blocks, spool: Spool) -> None:
        self.start_of = {**blocks.start, "N": blocks.start_N}
        self._spool = spool
        self._known: dict[bytes, int] = {}
        self._columns: list[_Column] = []

    def size(self, axis: str) -> int:
        """Returns how many entries an array by span (R), token (N) or step (S) has."""
        return int(self.start_of[axis][-1])

    def add(self, values: np.ndarray, axis: str) -> int:
        """Keeps an array by span, token or step, and returns its number."""
        digest = xxh3_128(f"{values.dtype}{axis}".encode())
        for at in stretches(values.size):
            digest.update(np.ascontiguousarray(values[at]).data)
        if (known := self._known.get(digest.digest())) is not None:
            return known
        pieces = (np.ascontiguousarray(values[at]).data.cast("B") for at in stretches(values.size))
        self._known[digest.digest()] = len(self._columns)
        self._columns.append(_Column(self._spool.add_all(pieces), values.dtype, axis))
        return len(self._columns) - 1

    def of(self, ks: Int64[np.ndarray, " _"]) -> Callable[[int], list[str]]:
        """Returns, by a column's number, the JSON of what each of some trajectories has of it.

        Args:
            ks: ascending.
        """
        places = {axis: _place(start_K, ks) for axis, start_K in self.start_of.items()}

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


@final
class Arriving:
    """Columns that come block by block, by name."""

    def __init__(self, columns: Columns) -> None:
        """Begins without any."""
        self._columns = columns
        self._arrays: dict[tuple[str, ...], tuple[np.ndarray, str]] = {}

    def put(
        self,
        block: Block,
        name: tuple[str, ...],
        values: np.ndarray,
        *,
        per_step: bool = False,
        wanted: bool = True,
        otherwise: float = 0.0,
    ) -> None:
        """Takes what a block has of a column; without `per_step` it is by span or token.

        Args:
            block: of the batch.
            name: of the column.
            values: in the block's order.
            per_step: it is by step.
            wanted: a column that no block wants is left out.
            otherwise: what all values are in a block that does not want it.
        """
        if name not in self._arrays:
            if not wanted:
                return
            axis = "R" if values.size == block.batch.length_R.size else "N"
            axis = "S" if per_step else axis
            begun = room(self._columns.size(axis), values.dtype)
            if otherwise:
                begun[:] = otherwise
            self._arrays[name] = begun, axis
        array, axis = self._arrays[name]
        array[{"S": block.S, "R": block.R, "N": block.N}[axis]] = values

    def keep(self) -> dict[tuple[str, ...], int]:
        """Keeps all that came; returns the number of each."""
        kept = {name: self._columns.add(*each) for name, each in self._arrays.items()}
        self._arrays.clear()
        return kept


class _Place(NamedTuple):
    """Where some trajectories' entries lie on an axis."""

    low: int
    high: int
    taken: Int64[np.ndarray, " _"] | None
    """Which of [low, high) are theirs; None: all."""
    start_K: Int64[np.ndarray, " _"]


def _place(start_K: Int64[np.ndarray, " _"], ks: Int64[np.ndarray, " _"]) -> _Place:
    low, high, at = int(start_K[ks[0]]), int(start_K[ks[-1] + 1]), place(start_K, ks)
    begin = np.append(0, np.cumsum(start_K[ks + 1] - start_K[ks]))
    return _Place(low, high, None if isinstance(at, slice) else at - low, begin)

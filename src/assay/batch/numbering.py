"""Numbers for what is equal among more entries than are to be in memory at once."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Final, final

import numpy as np
from jaxtyping import Int64

from assay.batch import mapped
from assay.batch.mapped import let_go, room, stretches
from assay.batch.parallel import Fork, LostError, processes
from assay.kernels.codes import numbered

_SHORT: Final = 1 << 16
"""So many piles have numbers of two bytes."""
_WORTH_IT: Final = 1 << 19
"""Entries that a process must have to number, at least."""


def taken(source: Int64[np.ndarray, " _"], at: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """Returns `source[at]`."""
    made = room(at.size, np.int64)
    for some in stretches(at.size):
        made[some] = source[at[some]]
    return made


def numbered_apart(
    *columns: Int64[np.ndarray, " N"], known: Int64[np.ndarray, " N"] | None = None
) -> Int64[np.ndarray, " N"]:
    """Returns what `numbered(*columns)` does; -1 wherever `known` is below 0.

    Rows are put into piles by their last column, so that equal ones are in one pile, and each pile
    is numbered by itself.
    """
    made = room(columns[-1].size, np.int64)
    _number(made, columns, known)
    return made


@final
class Later:
    """Numbers that nobody needs yet: on another core meanwhile, where it is worth it."""

    def __init__(self) -> None:
        """Begins without any."""
        self._jobs: list[Callable[[], None]] = []
        self._shared, self._size = True, 0
        self._fork: Fork[None] | None = None

    def numbered(
        self, *columns: Int64[np.ndarray, " N"], known: Int64[np.ndarray, " N"] | None = None
    ) -> Int64[np.ndarray, " N"]:
        """Returns an array that holds `numbered_apart(*columns, known=known)` after `end`."""
        made = room(columns[-1].size, np.int64)
        self._jobs.append(partial(_number, made, columns, known))
        self._shared &= mapped.is_shared(made)
        self._size += made.size
        return made

    def begin(self) -> None:
        """Begins, if another core can see where they are to be."""
        if self._shared and processes(self._size, _WORTH_IT) > 1:
            self._fork = Fork(self._all)

    def end(self) -> None:
        """Waits for them; what a killed process was to do is done here."""
        if self._fork is None:
            self._all()
            return
        with closing(self._fork):
            try:
                self._fork.answer()
            except LostError:
                self._all()

    def _all(self) -> None:
        for job in self._jobs:
            job()


def _number(
    made: Int64[np.ndarray, " N"],
    columns: tuple[Int64[np.ndarray, " N"], ...],
    known: Int64[np.ndarray, " N"] | None,
) -> None:
    first = room(made.size, np.int64)
    for at in _piles(columns[-1]):
        code = numbered(*(column[at] for column in columns))
        begins = np.empty(int(code.max(initial=-1)) + 1, np.int64)
        begins[code[::-1]] = at[::-1]  # of equal places the last that is written stays
        first[at] = begins[code]
    _rank(made, first, known)


def _piles(key: Int64[np.ndarray, " N"]) -> Iterator[Int64[np.ndarray, " _"]]:
    """Yields where the entries of each pile are, ascending: all are looked at twice, however many
    piles there are."""
    piles = -(-key.size // mapped.AT_ONCE)
    size_P = np.zeros(piles, np.int64)
    for some in stretches(key.size):
        size_P += np.bincount(key[some] % piles, minlength=piles)
    end_P = np.cumsum(size_P)
    free_P, order = end_P - size_P, room(key.size, np.int64)
    for some in stretches(key.size):
        pile = (key[some] % piles).astype(np.uint16 if piles <= _SHORT else np.int64)
        here_P = np.bincount(pile, minlength=piles)
        within = np.arange(pile.size) - np.repeat(np.cumsum(here_P) - here_P, here_P)
        by = np.argsort(pile, kind="stable")  # of short numbers in linear time
        order[np.repeat(free_P, here_P) + within] = by + some.start
        free_P += here_P
    for end, size in zip(end_P.tolist(), size_P.tolist(), strict=True):
        yield order[end - size : end]


def _rank(
    made: Int64[np.ndarray, " N"],
    first: Int64[np.ndarray, " N"],
    known: Int64[np.ndarray, " N"] | None,
) -> None:
    """Finds, from where each entry's like is first, its number in the order of appearance."""
    rank, count = room(first.size, np.int64), 0
    for some in stretches(first.size):
        here = first[some]
        new = here == np.arange(some.start, some.stop)
        rank[some] = np.cumsum(new) + (count - 1)
        count += int(new.sum())
    for some in stretches(first.size):
        made[some] = rank[first[some]]
        if known is not None:
            made[some][known[some] < 0] = -1
    let_go()

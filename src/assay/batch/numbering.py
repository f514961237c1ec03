"""Numbers for what is equal among more entries than are to be in memory at once."""

import numpy as np
from jaxtyping import Int64

from assay.batch import mapped
from assay.batch.mapped import let_go, room, stretches
from assay.kernels.codes import numbered


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
    key, n = columns[-1], columns[-1].size
    piles = -(-n // mapped.AT_ONCE)
    first = room(n, np.int64)
    for pile in range(piles):
        at = np.concatenate(
            [np.flatnonzero(key[some] % piles == pile) + some.start for some in stretches(n)]
        )
        code = numbered(*(column[at] for column in columns))
        begins = np.empty(int(code.max(initial=-1)) + 1, np.int64)
        begins[code[::-1]] = at[::-1]  # of equal places the last that is written stays
        first[at] = begins[code]
    return _ranked(first, known)


def _ranked(
    first: Int64[np.ndarray, " N"], known: Int64[np.ndarray, " N"] | None
) -> Int64[np.ndarray, " N"]:
    """Returns, from where each entry's like is first, its number in the order of appearance."""
    rank, count = room(first.size, np.int64), 0
    for some in stretches(first.size):
        here = first[some]
        new = here == np.arange(some.start, some.stop)
        rank[some] = np.cumsum(new) + (count - 1)
        count += int(new.sum())
    made = room(first.size, np.int64)
    for some in stretches(first.size):
        made[some] = rank[first[some]]
        if known is not None:
            made[some][known[some] < 0] = -1
    let_go()
    return made

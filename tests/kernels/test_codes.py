"""Numbers for what is equal, by hand and by a dictionary."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.kernels.codes import numbered

FAR = 2**62
NEAR_AND_FAR = st.sampled_from([-3, -1, 0, 1, 2, 900, FAR, -FAR])


def test_in_order_of_appearance():
    assert numbered(np.array([7, 3, 7, 9, 3])).tolist() == [0, 1, 0, 2, 1]


def test_rows_of_two_columns():
    # (1, 5) (1, 6) (2, 5) (1, 5): a pair is one thing, whatever its parts are
    pairs = numbered(np.array([1, 1, 2, 1]), np.array([5, 6, 5, 5]))
    assert pairs.tolist() == [0, 1, 2, 0]
    # two of the first and three of the second: (1, 7) is not (2, 5)
    more = numbered(np.array([1, 1, 1, 2]), np.array([5, 6, 7, 5]))
    assert more.tolist() == [0, 1, 2, 3]


def test_nothing_has_no_number():
    assert numbered(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


def test_hashes_lie_far_apart():
    hashes = np.array([FAR, -FAR, FAR + 1, FAR])
    assert numbered(hashes).tolist() == [0, 1, 2, 0]


@given(st.lists(st.tuples(NEAR_AND_FAR, NEAR_AND_FAR, NEAR_AND_FAR), max_size=40))
def test_as_a_dictionary_numbers(rows: list[tuple[int, int, int]]):
    known: dict[tuple[int, int, int], int] = {}
    expected = [known.setdefault(row, len(known)) for row in rows]
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    assert numbered(*columns).tolist() == expected

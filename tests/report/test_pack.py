"""Packing loses nothing but digits: unpacked by a few lines written apart from it."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.report.pack import Packed, significant


def unpacked(packed: Any, n: int) -> list[Any]:
    if isinstance(packed, list):
        return packed
    if isinstance(packed, dict):
        return [v for v, times in zip(packed["v"], packed["n"], strict=True) for _ in range(times)]
    return [packed] * n


def test_pieces_by_hand():
    # three trajectories: all equal; one that pays to count (6 values, 2 stretches); one not
    values = np.array([0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, np.nan, 3.0, 4.0])
    packed = Packed(values, np.array([0, 2, 8, 10]))
    assert packed[0] == 0.5
    assert packed[1] == {"v": [1, None], "n": [5, 1]}
    assert packed[2] == [3, 4]


def test_a_trajectory_without_runs_has_an_empty_piece():
    packed = Packed(np.array([1.0, 2.0]), np.array([0, 0, 2, 2]))
    assert unpacked(packed[0], 0) == []
    assert packed[1] == [1, 2]
    assert unpacked(packed[2], 0) == []
    assert Packed(np.zeros(0), np.array([0, 0]))[0] is None


def test_six_digits_are_kept_and_minus_zero_is_zero():
    rounded = significant(np.array([123456.789, -0.000123456789, -0.0, np.nan, 1e300]))
    np.testing.assert_array_equal(rounded, [123457.0, -0.000123457, 0.0, np.nan, 1e300])
    assert str(rounded[2]) == "0.0"


@given(st.lists(st.lists(st.sampled_from([0, 1, 7]), max_size=9), min_size=1, max_size=6))
def test_pieces_come_back(pieces: list[list[int]]):
    start = np.cumsum([0, *map(len, pieces)])
    packed = Packed(np.array([v for piece in pieces for v in piece], np.int64), start)
    assert [unpacked(packed[k], len(piece)) for k, piece in enumerate(pieces)] == pieces

"""Packing loses nothing but digits: unpacked by a few lines written apart from it."""

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.report.pack import decimals, packed, significant


def pieces_of(values: np.ndarray, start: list[int]) -> list[Any]:
    return [json.loads(piece) for piece in packed(values, np.array(start))]


def unpacked(piece: Any, n: int) -> list[Any]:
    if isinstance(piece, list):
        return piece
    if isinstance(piece, dict):
        return [v for v, times in zip(piece["v"], piece["n"], strict=True) for _ in range(times)]
    return [piece] * n


def test_pieces_by_hand():
    # three trajectories: all equal; one that pays to count (6 values, 2 stretches); one not
    values = np.array([0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, np.nan, 3.0, 4.0])
    pieces = pieces_of(values, [0, 2, 8, 10])
    assert pieces == [0.5, {"v": [1, None], "n": [5, 1]}, [3, 4]]


def test_a_trajectory_without_runs_has_an_empty_piece():
    pieces = pieces_of(np.array([1.0, 2.0]), [0, 0, 2, 2])
    assert unpacked(pieces[0], 0) == []
    assert pieces[1] == [1, 2]
    assert unpacked(pieces[2], 0) == []
    assert pieces_of(np.zeros(0), [0, 0]) == [None]


def test_six_digits_are_kept_and_minus_zero_is_zero():
    rounded = significant(np.array([123456.789, -0.000123456789, -0.0, np.nan, 1e300]))
    np.testing.assert_array_equal(rounded, [123457.0, -0.000123457, 0.0, np.nan, 1e300])
    assert str(rounded[2]) == "0.0"


@given(st.lists(st.lists(st.sampled_from([0, 1, 7]), max_size=9), min_size=1, max_size=6))
def test_pieces_come_back(pieces: list[list[int]]):
    values = np.array([v for piece in pieces for v in piece], np.int64)
    found = pieces_of(values, np.cumsum([0, *map(len, pieces)]).tolist())
    both = zip(found, pieces, strict=True)
    assert [unpacked(one, len(piece)) for one, piece in both] == pieces


def test_an_end_that_is_not_0_is_not_told_as_0():
    assert decimals(0.25, 0.125, 0.5) == 2
    assert decimals(0.001, -0.25, 0.25) == 2, "the number is: its interval says that it may be"
    assert decimals(0.0094, 0.00047, 0.0183) == 4
    assert decimals(0.25, 0.0, 0.004) == 3
    assert decimals(0.25, 1e-17, 0.5) == 2, "a rounding error is 0"
    assert (decimals(0.004), decimals(None)) == (3, 2)

"""Pairs of options: vectors by hand, laws, an oracle in plain Python."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import MethodError
from assay.kernels.rlag import p_right, pairs, weight

NAN = float("nan")
OPEN = np.array([[-1.0, -3.0, -2.0], [-4.0, -0.5, NAN], [-2.0, -2.0, -9.0]])
CLOSED = np.array([[-5.0, -3.0, -4.0], [-6.0, -2.0, NAN], [-7.0, -1.0, -1.0]])
RIGHT = np.array([0, 0, 1])


def test_pairs_by_hand():
    # with the context -1, -.5, and of two -2 the first; without it -3, -2, and of two -1 the first
    made = pairs(OPEN, CLOSED, RIGHT)
    assert made.chosen_Q.tolist() == [0, 1, 0]
    assert made.rejected_Q.tolist() == [1, 1, 1]
    told = pairs(OPEN, CLOSED, RIGHT, by="right")
    assert told.chosen_Q.tolist() == [0, 0, 1]
    assert told.rejected_Q.tolist() == [1, 1, 1]


def test_what_questions_count_by_hand():
    chosen = np.array([0, 1, 0])
    assert weight(chosen, OPEN, RIGHT, by="none").tolist() == [1.0, 1.0, 1.0]
    assert weight(chosen, OPEN, RIGHT, by="right").tolist() == [1.0, 0.0, 0.0]
    # e^-1 / (e^-1 + e^-3 + e^-2) = .665241; e^-4 / (e^-4 + e^-.5) = .029312;
    # e^-2 / (2 e^-2 + e^-9) = 1 / (2 + e^-7) = .499772
    expected = [0.665241, 0.029312, 0.499772]
    np.testing.assert_allclose(weight(chosen, OPEN, RIGHT, by="weighted"), expected, atol=1e-6)


def test_a_random_option_is_one_of_the_question_s_and_repeats_with_its_seed():
    wide = np.where(np.arange(6) < 4, np.zeros((4000, 6)), NAN)
    right = np.zeros(4000, np.int64)
    drawn = pairs(wide, wide, right, by="random", seed=(1, 2)).chosen_Q
    count = np.bincount(drawn, minlength=6)
    assert count[4:].tolist() == [0, 0]
    assert (abs(count[:4] - 1000) < 150).all()  # 5.5 deviations of sqrt(4000 3/16)
    assert drawn.tolist() == pairs(wide, wide, right, by="random", seed=(1, 2)).chosen_Q.tolist()
    assert drawn.tolist() != pairs(wide, wide, right, by="random", seed=(1, 3)).chosen_Q.tolist()


@pytest.mark.parametrize(
    ("open_", "closed", "right"),
    [
        ([[NAN, NAN]], [[NAN, NAN]], [0]),
        ([[-1.0, NAN]], [[-1.0, -2.0]], [0]),
        ([[-1.0, NAN]], [[-1.0, NAN]], [1]),
        ([[-1.0, -2.0]], [[-1.0, -2.0]], [2]),
        ([[-1.0, -2.0]], [[-1.0, -2.0]], [-1]),
    ],
)
def test_what_is_no_question_is_refused(open_, closed, right):
    with pytest.raises(MethodError, match=r"^rlag: "):
        pairs(np.array(open_), np.array(closed), np.array(right))


def test_a_right_option_that_is_none_is_refused_where_it_is_weighed():
    with pytest.raises(MethodError, match="none of its question's"):
        p_right(np.array([[-1.0, NAN]]), np.array([1]))


SCORES = st.lists(
    st.lists(st.floats(-30, 0), min_size=1, max_size=5), min_size=1, max_size=6
).flatmap(lambda rows: st.tuples(st.just(rows), st.randoms(use_true_random=False)))


def padded(rows):
    width = max(map(len, rows))
    return np.array([[*row, *[NAN] * (width - len(row))] for row in rows])


@given(SCORES)
def test_as_an_oracle_in_plain_python_says(drawn):
    rows, chance = drawn
    other = [[-30 * chance.random() for _ in row] for row in rows]
    right = [chance.randrange(len(row)) for row in rows]
    made = pairs(padded(rows), padded(other), np.array(right))
    assert made.chosen_Q.tolist() == [row.index(max(row)) for row in rows]
    assert made.rejected_Q.tolist() == [row.index(max(row)) for row in other]
    share = [
        math.exp(row[r]) / math.fsum(map(math.exp, row)) for row, r in zip(rows, right, strict=True)
    ]
    np.testing.assert_allclose(p_right(padded(rows), np.array(right)), share, rtol=1e-9)


@given(SCORES)
def test_a_constant_for_all_options_and_more_padding_change_nothing(drawn):
    rows, chance = drawn
    right = np.array([chance.randrange(len(row)) for row in rows])
    score = padded(rows)
    wide = np.concatenate([score, np.full((len(rows), 2), NAN)], 1)
    assert pairs(wide, wide, right) is not None
    np.testing.assert_allclose(p_right(wide - 3.0, right), p_right(score, right), rtol=1e-9)
    same = pairs(wide, wide, right)
    assert (same.chosen_Q == same.rejected_Q).all()


@given(SCORES)
def test_weights_lie_between_0_and_1_and_the_filter_keeps_what_is_right(drawn):
    rows, chance = drawn
    right = np.array([chance.randrange(len(row)) for row in rows])
    score = padded(rows)
    for by in ("none", "right", "weighted"):
        found = weight(pairs(score, score, right).chosen_Q, score, right, by=by)
        assert ((found >= 0) & (found <= 1)).all()
    told = pairs(score, score, right, by="right")
    assert weight(told.chosen_Q, score, right, by="right").tolist() == [1.0] * len(rows)

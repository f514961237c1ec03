"""Orders of tasks: by hand, against all permutations, and laws."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import MethodError
from assay.kernels.transfer import (
    MOST,
    backward_error,
    backward_transfer,
    best_order,
    plan,
    predicted,
    shrunk,
)

STAR = np.array([0.6, 0.7, 0.5])
GAIN = np.array([[0.0, 0.03, 0.01], [-0.06, 0.0, 0.02], [-0.02, -0.08, 0.0]])
NONE = np.zeros((3, 3))
few = settings(max_examples=40, deadline=None)


def drawn(seed, tasks):
    gain = np.random.default_rng(seed).normal(-0.02, 0.04, (tasks, tasks))
    np.fill_diagonal(gain, 0.0)
    return gain


def test_backward_transfer_by_hand():
    # (.50 - .60 + .72 - .70) / 2 = -.04
    score = np.array([[0.60, 0.20, 0.10], [0.55, 0.70, 0.15], [0.50, 0.72, 0.65]])
    assert backward_transfer(score) == pytest.approx(-0.04, abs=1e-12)
    with pytest.raises(MethodError, match="2 stages of 3 tasks"):
        backward_transfer(score[:2])
    with pytest.raises(MethodError, match="1 stages of 1 tasks"):
        backward_transfer(np.ones((1, 1)))


def test_the_error_of_backward_transfer_by_hand():
    # three domains of two tasks: the first changes by .2 and .4, variance .02; the second by 0 and
    # -.2, the same: sqrt(.01 + .01) / 2
    score = np.zeros((3, 3, 2))
    score[0, 0], score[1, 1], score[2, 2] = (0.1, 0.2), (0.5, 0.5), (0.3, 0.9)
    score[2, 0], score[2, 1] = (0.3, 0.6), (0.5, 0.3)
    assert backward_error(score) == pytest.approx(np.sqrt(0.02) / 2, abs=1e-12)
    with pytest.raises(MethodError, match="2 stages of 3 domains of 2 tasks"):
        backward_error(score[:2])
    for few in (score[:, :, :1], score[:1, :1]):
        with pytest.raises(MethodError, match="at least 2 of each"):
            backward_error(few)


@few
@given(seed=st.integers(0, 99))
def test_it_is_the_deviation_of_backward_transfer_over_tasks(seed):
    """Tasks drawn anew: the deviation of backward transfer is what one draw says of it."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(400, 3, 3, 20))
    seen = np.std([backward_transfer(each.mean(2)) for each in drawn])
    assert np.mean([backward_error(each) for each in drawn[:50]]) == pytest.approx(seen, rel=0.2)


def test_finals_of_every_order_by_hand():
    # ABC: A .6 - .06 - .02, B .7 - .08, C .5: mean (.52 + .62 + .5)/3
    expected = {
        (0, 1, 2): 0.546667,
        (0, 2, 1): 0.58,
        (1, 0, 2): 0.576667,
        (1, 2, 0): 0.586667,
        (2, 0, 1): 0.59,
        (2, 1, 0): 0.62,
    }
    for order, mean in expected.items():
        assert predicted(order, STAR, GAIN).mean() == pytest.approx(mean, abs=1e-6)
    np.testing.assert_allclose(predicted((2, 1, 0), STAR, GAIN), [0.6, 0.73, 0.53], atol=1e-12)


def test_the_best_order_by_hand():
    made = plan(STAR, GAIN, NONE)
    assert made.order == (2, 1, 0)
    np.testing.assert_allclose(made.final_B, [0.6, 0.73, 0.53], atol=1e-12)
    # at random the six means: 3.5 / 6 = .583333; and .62 less that
    assert made.gain == pytest.approx(0.62 - 0.583333, abs=1e-6)
    assert (made.low, made.high) == (made.gain, made.gain)
    # C changes by .03 after its stage, B by .03: mean .03
    assert made.backward == pytest.approx(0.03, abs=1e-12)


def test_the_interval_by_hand():
    # errors of .01 on six pairs: 1.959964 sqrt(6e-4) / 6 = .008002
    made = plan(STAR, GAIN, np.full((3, 3), 0.01))
    assert made.high - made.gain == pytest.approx(0.008002, abs=1e-6)
    # with .025 four pairs are within an error of 0 and count nothing: A-C, B-C, C-A, and no more
    made = plan(STAR, GAIN, np.full((3, 3), 0.025))
    assert made.high - made.gain == pytest.approx(1.959964 * np.sqrt(3 * 0.025**2) / 6, abs=1e-6)


def test_what_is_within_its_error_is_none():
    gain = np.array([[0.5, 0.02], [-0.02, 0.5]])
    found = shrunk(gain, np.array([[0.0, 0.03], [0.02, 0.0]]))
    np.testing.assert_array_equal(found, [[0.0, 0.0], [-0.02, 0.0]])


@few
@given(seed=st.integers(0, 9999), tasks=st.integers(1, 6))
def test_no_permutation_is_better(seed, tasks):
    gain, star = drawn(seed, tasks), np.zeros(tasks)
    best = max(
        sum(gain[o[j], o[i]] for i in range(tasks) for j in range(i + 1, tasks))
        for o in permutations(range(tasks))
    )
    order = best_order(gain)
    assert sorted(order) == list(range(tasks))
    assert predicted(order, star, gain).sum() == pytest.approx(best, abs=1e-12)


@few
@given(seed=st.integers(0, 9999), tasks=st.integers(2, 5))
def test_what_is_said_of_random_orders_is_their_mean(seed, tasks):
    gain, star = drawn(seed, tasks), np.full(tasks, 0.5)
    means = [predicted(o, star, gain).mean() for o in permutations(range(tasks))]
    made = plan(star, gain, np.zeros((tasks, tasks)))
    assert made.gain == pytest.approx(max(means) - np.mean(means), abs=1e-12)


@few
@given(seed=st.integers(0, 9999))
def test_names_of_tasks_say_nothing(seed):
    gain = drawn(seed, 5)
    turn = np.random.default_rng(seed).permutation(5)
    order = best_order(gain)
    moved = best_order(gain[np.ix_(turn, turn)])
    assert tuple(int(turn[at]) for at in moved) == order


def test_without_transfer_the_order_is_as_given():
    assert best_order(np.zeros((4, 4))) == (0, 1, 2, 3)


def test_fifteen_tasks_are_few_enough():
    order = best_order(drawn(0, MOST))
    assert sorted(order) == list(range(MOST))
    with pytest.raises(MethodError, match="16 tasks; expected 1 to 15"):
        best_order(np.zeros((16, 16)))
    with pytest.raises(MethodError, match="0 tasks"):
        best_order(np.zeros((0, 0)))


def test_one_task_has_no_order():
    with pytest.raises(MethodError, match=r"plan: 1 tasks, transfers \(1, 1\)"):
        plan(STAR[:1], GAIN[:1, :1], NONE[:1, :1])

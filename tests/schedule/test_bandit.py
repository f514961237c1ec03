"""The bandit by hand: each domain once, then by what was seen; and what it remembers."""

import numpy as np
import pytest

from assay.kernels.bandit import chances
from assay.schedule.bandit import Bandit
from assay.schedule.named import order_of
from assay.schedule.order import Seen
from assay.schedule.settings import Schedule

NAN = np.nan
OPEN = np.ones(3, bool)


def bandit(**given):
    return Bandit(Schedule(mode="tac", **given), 3)


def seen(at, value, gradient=None):
    learnability_D = np.full(3, NAN)
    learnability_D[at] = value
    return Seen(learnability_D, None if gradient is None else np.array(gradient, float))


def taught(**given):
    """Learnability .5 .4 .6; gradients (3, 4), (1, 0), (0, -2), in this order."""
    order = bandit(**given)
    for at, value, gradient in ((0, 0.5, [3, 4]), (1, 0.4, [1, 0]), (2, 0.6, [0, -2])):
        order.learnt(seen(at, value, gradient))
    return order


def test_each_domain_comes_once_to_begin_with():
    order = bandit()
    for at in (0, 1, 2):
        np.testing.assert_array_equal(order.weights(0.0, OPEN), np.eye(3)[at])
        order.learnt(seen(at, 0.5))
    np.testing.assert_allclose(order.weights(0.0, OPEN), np.full(3, 1 / 3))
    fresh = bandit()
    np.testing.assert_array_equal(fresh.weights(0.0, np.array([False, True, True])), [0, 1, 0])


def test_alignment_is_a_running_mean_of_the_last_cosines():
    order = taught(memory=0.75)
    # the first had nothing to compare with; (1, 0) with (3, 4): .6; (0, -2) with (3, 4): -.8, with
    # (1, 0): 0, mean -.4
    np.testing.assert_allclose(order.facts()["alignment"], [NAN, 0.6, -0.4])
    # (0, 1) now, with (1, 0): 0, with (0, -2): -1, mean -.5: its first
    order.learnt(seen(0, 0.5, [0, 1]))
    # (0, 3) with (0, 1): 1, with (0, -2): -1, mean 0: .75 of .6
    order.learnt(seen(1, 0.4, [0, 3]))
    np.testing.assert_allclose(order.facts()["alignment"], [-0.5, 0.45, -0.4])


def test_chances_follow_both_and_alpha_falls():
    order = taught(floor=0.0)
    # .5, .4 (1 + .6), .6 (1 - .4)
    expected = chances(np.array([0.5, 0.64, 0.36]), 1.0, 0.0)
    np.testing.assert_allclose(order.weights(0.0, OPEN), expected)
    # halfway alpha is .5: .4 * 1.3, .6 * .8; at the end, and after it, learnability alone
    expected = chances(np.array([0.5, 0.52, 0.48]), 1.0, 0.0)
    np.testing.assert_allclose(order.weights(0.5, OPEN), expected)
    for done in (1.0, 1.5):
        expected = chances(np.array([0.5, 0.4, 0.6]), 1.0, 0.0)
        np.testing.assert_allclose(order.weights(done, OPEN), expected)
    # without the second, the others in proportion
    found = order.weights(1.0, np.array([True, False, True]))
    np.testing.assert_allclose(found, [expected[0], 0, expected[2]] / (expected[0] + expected[2]))


def test_settings_are_its_own():
    order = taught(alpha=0.0, temperature=0.1, floor=0.3)
    expected = chances(np.array([0.5, 0.4, 0.6]), 0.1, 0.3)
    np.testing.assert_allclose(order.weights(0.0, OPEN), expected)


def test_a_batch_without_a_gradient_says_nothing_of_alignment():
    order = taught()
    before = order.facts()["alignment"]
    order.learnt(seen(2, 0.0))
    np.testing.assert_array_equal(order.facts()["alignment"], before)
    assert order.learnability == [0.5, 0.4, 0.0]
    assert order.gradients[2] == [0.0, -2.0]


def test_all_it_saw_is_remembered():
    order, other = taught(), bandit()
    other.restore(order.state())
    assert other == order
    other.learnt(seen(0, 0.1, [1, 1]))
    assert other != order
    np.testing.assert_allclose(order.weights(0.2, OPEN), taught().weights(0.2, OPEN))


def test_settings_ask_for_it():
    order = order_of(Schedule(mode="tac", alpha=0.5), ("a", "b"))
    assert order == Bandit(Schedule(mode="tac", alpha=0.5), 2)
    assert order.whole
    assert order.reads_gradients
    with pytest.raises(ValueError, match="unpack"):
        order.learnt(Seen(np.array([0.1, 0.2])))

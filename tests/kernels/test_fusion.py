"""Components of a step fused: vectors by hand, and the law that the printed form breaks."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import MethodError
from assay.kernels.fusion import bounded, coherence, printed, trajectory_score

NAN = float("nan")


def close(got, expected, atol=1e-6):
    np.testing.assert_allclose(got, expected, atol=atol)


@pytest.mark.parametrize(
    ("coherent", "worth"),
    # w of (.6, .8, -.5): exp(-.2, 0, -1.3) = .818731, 1, .272532 over 2.091263
    # r = .391501 * .6 + .478180 * .8 + .130319 * -.5 = .552285
    [(1.0, 0.8265), (0.0, 0.5693), (-0.45, 0.5521), (-0.5, 0.552285), (-2.0, 0.6223),
     (-6.0, 0.705860)],
)  # fmt: skip
def test_as_printed(coherent, worth):
    close(printed(np.array([[0.6, 0.8, coherent]])), [worth], 6e-5)


def test_as_printed_less_coherence_can_be_worth_more():
    worth = printed(np.array([[0.6, 0.8, -0.5], [0.6, 0.8, -6.0]]))
    close(worth, [0.552285, 0.705860])
    assert worth[1] > worth[0]
    close(printed(np.array([[800.0, 0.0, 0.0]])), [800.0])


def test_bounded_by_hand():
    # (1 + .6) / 2 = .8, .8, 1 / (1 + e^.5) = .377541: .3 * .8 + .5 * .8 + .2 * .377541
    close(bounded(np.array([[0.6, 0.8, -0.5]])), [0.715508])
    # e^-.5 = .606531: .64 + .121306
    close(bounded(np.array([[0.6, 0.8, -0.5]]), bound="probability"), [0.761306])
    close(bounded(np.array([[0.6, 0.8, 3.0]]), bound="probability"), [0.84])
    close(bounded(np.array([[-1.0, 0.0, -2000.0], [1.0, 1.0, 2000.0]])), [0.0, 1.0])
    close(bounded(np.array([[0.6, 0.8, -0.5]]), weights=(1.0, 1.0, 0.0)), [0.8])


def test_what_is_not_known_is_not_fused_unless_it_weighs_nothing():
    part = np.array([[0.6, 0.8, NAN]])
    close(bounded(part), [NAN])
    close(printed(part), [NAN])
    close(bounded(part, weights=(1.0, 1.0, 0.0)), [0.8])


@pytest.mark.parametrize(
    ("part", "said"),
    [([1.1, 0.5, 0], "align of step 0"), ([-1.1, 0.5, 0], "align"), ([0, 1.1, 0], "quality"),
     ([0, -0.1, 0], r"quality of step 0 is -0.1; expected \[0, 1\]")],
)  # fmt: skip
def test_a_component_out_of_range_is_refused(part, said):
    with pytest.raises(MethodError, match=said):
        bounded(np.array([part], float))


@pytest.mark.parametrize("weights", [(1.0,), (0.0, 0.0, 0.0), (1.0, -1.0, 1.0), (NAN, 1.0, 1.0)])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(MethodError, match="expected three"):
        bounded(np.zeros((1, 3)), weights=weights)


unit = st.floats(0.0, 1.0)
parts = st.tuples(st.floats(-1.0, 1.0), unit, st.floats(-30.0, 30.0))


@given(parts, parts, st.tuples(unit, unit, st.floats(0.01, 1.0)), st.sampled_from(
    ["sigmoid", "probability"]))  # fmt: skip
def test_bounded_never_falls_in_any_component(one, other, weights, bound):
    low, high = np.minimum(one, other), np.maximum(one, other)
    worth = bounded(np.stack([low, high]), weights, bound)
    assert 0.0 <= worth[0] <= worth[1] + 1e-12
    assert worth[1] <= 1.0 + 1e-12


def test_coherence_by_hand():
    # tau .1: e^7 / (e^7 + e^1 + e^2 + e^3) is exp(-.027160); without itself 7 - log(30.19)
    others = np.array([0.1, 0.2, 0.3])
    close(coherence(0.7, others), -0.027160)
    close(coherence(0.7, others, itself=False), 3.592394)
    close(coherence(0.7, others), log(exp(7) / (exp(7) + exp(1) + exp(2) + exp(3))))
    close(coherence(0.7, np.zeros(0)), 0.0)
    close(coherence(1.0, np.zeros(1), tau=1.0), log(exp(1) / (exp(1) + 1)))
    close(coherence(0.7, others, tau=1e-3, itself=False), 400.0)


def test_coherence_with_nothing_to_compare():
    with pytest.raises(MethodError, match="0 others"):
        coherence(0.7, np.zeros(0), itself=False)
    with pytest.raises(MethodError, match="tau 0"):
        coherence(0.7, np.zeros(1), tau=0.0)


def test_the_score_of_a_trajectory():
    assert trajectory_score(np.mean([0.6, 0.4, 0.8]), 0.5) == pytest.approx(1.0)  # .6 + .8 * .5
    assert trajectory_score(0.6, 0.5, alpha=0.1) == pytest.approx(0.65)

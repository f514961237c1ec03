"""Scores and chances of a bandit over domains: by hand, against an oracle, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import softmax

from assay.errors import MethodError
from assay.kernels.bandit import alignment, chances, scores

NAN = np.nan
few = settings(max_examples=80, deadline=None)
some = st.lists(st.floats(0, 3), min_size=2, max_size=6)


def test_scores_by_hand():
    # .5 (1 + .3) = .65, .4 (1 + .1) = .44, .6 (1 - .4) = .36
    found = scores(np.array([0.5, 0.4, 0.6]), np.array([0.3, 0.1, -0.4]), 1.0)
    np.testing.assert_allclose(found, [0.65, 0.44, 0.36], atol=1e-12)
    # alpha .5: .5 * 1.15, .4 * 1.05, .6 * .8; what is unknown counts as 0
    found = scores(np.array([0.5, 0.4, 0.6]), np.array([0.3, NAN, -0.4]), 0.5)
    np.testing.assert_allclose(found, [0.575, 0.4, 0.48], atol=1e-12)


def test_chances_by_hand():
    # e^.65, e^.44, e^.36 = 1.915541, 1.552707, 1.433329, sum 4.901577
    found = chances(np.array([0.65, 0.44, 0.36]), 1.0, 0.0)
    np.testing.assert_allclose(found, [0.390801, 0.316777, 0.292422], atol=1e-6)
    # a floor of .5 / 3 = .166667 holds already
    np.testing.assert_allclose(chances(np.array([0.65, 0.44, 0.36]), 1.0, 0.5), found, atol=1e-12)


def test_what_lies_below_the_floor_is_raised_to_it():
    # softmax .7 .2 .1; floor .6 / 3 = .2: the third is .2, the others share .8 as 7 to 2:
    # .622222, .177778; so the second is below now: .2, and .6 is left
    score_D = np.log([0.7, 0.2, 0.1])
    np.testing.assert_allclose(chances(score_D, 1.0, 0.6), [0.6, 0.2, 0.2], atol=1e-12)
    # floor .45 / 3 = .15: the third .15, the others .85 as 7 to 2
    expected = [0.85 * 7 / 9, 0.85 * 2 / 9, 0.15]
    np.testing.assert_allclose(chances(score_D, 1.0, 0.45), expected, atol=1e-12)
    # temperature 1/2 squares: .49 .04 .01 by .54
    np.testing.assert_allclose(chances(score_D, 0.5, 0.0), np.array([49, 4, 1]) / 54, atol=1e-12)
    np.testing.assert_allclose(chances(score_D, 1e-9, 0.5), [4 / 6, 1 / 6, 1 / 6], atol=1e-12)


def test_alignment_by_hand():
    # (3, 4) by 5; with (1, 0): .6; with (0, -2): -.8; mean -.1
    gradient_DM = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, -2.0]])
    assert alignment(gradient_DM, 0) == pytest.approx(-0.1, abs=1e-12)
    # (1, 0) with (3, 4): .6; with (0, -2): 0; mean .3
    assert alignment(gradient_DM, 1) == pytest.approx(0.3, abs=1e-12)
    # one that is unknown, or nothing, is left out
    for nothing in (NAN, 0.0):
        gradient_DM[2] = nothing
        assert alignment(gradient_DM, 0) == pytest.approx(0.6, abs=1e-12)
        assert np.isnan(alignment(gradient_DM, 2))
    assert np.isnan(alignment(gradient_DM[:1], 0))


@pytest.mark.parametrize(("temperature", "floor"), [(0.0, 0.5), (-1.0, 0.5), (1.0, 1.1), (1, -0.1)])
def test_what_is_out_of_range_is_refused(temperature, floor):
    with pytest.raises(MethodError, match="expected above 0, and in"):
        chances(np.ones(2), float(temperature), floor)


@few
@given(score=some, temperature=st.floats(0.1, 3), floor=st.floats(0, 0.99))
def test_chances_are_those_of_a_multiplier(score, temperature, floor):
    """max(floor / D, c softmax), c such that they sum to 1."""
    plain = softmax(np.array(score) / temperature)
    least = floor / len(score)

    def over(c):
        return np.maximum(least, c * plain).sum() - 1

    expected = np.maximum(least, brentq(over, 0, 1.0 + 1e-9, xtol=1e-14) * plain)
    np.testing.assert_allclose(chances(np.array(score), temperature, floor), expected, atol=1e-9)


@few
@given(score=some, temperature=st.floats(0.01, 3), floor=st.floats(0, 1), seed=st.integers(0, 99))
def test_laws_of_chances(score, temperature, floor, seed):
    score_D = np.array(score)
    found = chances(score_D, temperature, floor)
    assert found.sum() == pytest.approx(1)
    assert (found >= floor / score_D.size - 1e-12).all()
    assert (np.diff(found[np.argsort(score_D)]) >= -1e-12).all(), "a better one has no less"
    np.testing.assert_allclose(chances(score_D + 7.0, temperature, floor), found, atol=1e-9)
    turn = np.random.default_rng(seed).permutation(score_D.size)
    np.testing.assert_allclose(chances(score_D[turn], temperature, floor), found[turn], atol=1e-12)


@few
@given(seed=st.integers(0, 999), scale=st.floats(0.01, 100))
def test_laws_of_alignment(seed, scale):
    gradient_DM = np.random.default_rng(seed).normal(size=(4, 6))
    found = alignment(gradient_DM, 1)
    assert -1 <= found <= 1
    turned = gradient_DM @ np.linalg.qr(np.random.default_rng(seed).normal(size=(6, 6)))[0]
    assert alignment(turned, 1) == pytest.approx(found, abs=1e-9)
    gradient_DM[2] *= scale
    assert alignment(gradient_DM, 1) == pytest.approx(found, abs=1e-9)
    gradient_DM[1] *= -scale
    assert alignment(gradient_DM, 1) == pytest.approx(-found, abs=1e-9)

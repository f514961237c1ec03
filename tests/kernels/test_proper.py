"""What a stated probability earns, by hand and against a search; when giving up earns more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import MethodError
from assay.kernels.proper import gives_up_below, honest_value, margin, scored

chances = st.floats(0, 1)
weights = st.floats(0, 3)
unhurried = settings(deadline=None)


def test_rewards_by_hand():
    # (c, q): 1 - .1^2, 1 - .9^2, -.9^2, -.1^2, 0, 1
    right = np.array([1, 1, 0, 0, 0, 1], bool)
    stated = np.array([0.9, 0.1, 0.9, 0.1, 0.0, 1.0])
    expected = [0.99, 0.19, -0.81, -0.01, 0.0, 1.0]
    np.testing.assert_allclose(scored(right, stated, 1.0), expected, atol=1e-12)
    # half the penalties: 1 - .005, 1 - .405, -.405, -.005
    half = [0.995, 0.595, -0.405, -0.005, 0.0, 1.0]
    np.testing.assert_allclose(scored(right, stated, 0.5), half, atol=1e-12)
    assert np.isnan(scored(np.array([True]), np.array([np.nan]), 0.5))[0]


def test_what_honesty_is_worth_by_hand():
    # brier, w = 1: p^2; w = 2: p - 2 p (1 - p)
    found = [honest_value(p, 1.0) for p in (0.1, 0.3, 0.5, 0.9)]
    np.testing.assert_allclose(found, [0.01, 0.09, 0.25, 0.81], atol=1e-12)
    found = [honest_value(p, 2.0) for p in (0.1, 0.3, 0.5, 0.9)]
    np.testing.assert_allclose(found, [-0.08, -0.12, 0.0, 0.72], atol=1e-12)
    # log, w = 1, at .5: .5 + ln .5 = -.193147; at .1: .1 + .1 ln .1 + .9 ln .9 = -.225083
    found = [honest_value(p, 1.0, "log") for p in (0.1, 0.3, 0.5, 0.9)]
    np.testing.assert_allclose(found, [-0.225083, -0.310864, -0.193147, 0.574917], atol=1e-6)
    assert (honest_value(0.0, 1.0, "log"), honest_value(1.0, 1.0, "log")) == (0.0, 1.0)


def test_margins_by_hand():
    # (1 - w) p + w p^2, w = .5 at .05: .025 + .00125
    for w, expected in (
        (0.5, [0.02625, 0.08625, 0.32625]),
        (1.0, [0.0025, 0.0225, 0.2025]),
        (2.0, [-0.045, -0.105, -0.045]),
    ):
        np.testing.assert_allclose([margin(p, w) for p in (0.05, 0.15, 0.45)], expected, atol=1e-12)
    # less w spread^2
    found = [margin(0.15, 1.0, spread) for spread in (0.0, 0.1, 0.2)]
    np.testing.assert_allclose(found, [0.0225, 0.0125, -0.0175], atol=1e-12)


def test_giving_up_by_hand():
    # w = 2: -p + 2 p^2 = 0 at .5; w = 1: p^2 = spread^2
    assert gives_up_below(2.0) == pytest.approx(0.5, abs=1e-12)
    assert gives_up_below(1.0, 0.2) == pytest.approx(0.2, abs=1e-12)
    # w = .5, spread .3: .5 p + .5 p^2 = .045, p = (-1 + sqrt(1.36)) / 2 = .083095
    assert gives_up_below(0.5, 0.3) == pytest.approx(0.083095, abs=1e-6)
    assert gives_up_below(0.5) == gives_up_below(1.0) == gives_up_below(0.0, 0.4) == 0.0
    assert gives_up_below(1.0, 3.0) == 1.0


@unhurried
@given(p=chances, w=weights, spread=st.floats(0, 0.5))
def test_it_gives_up_where_the_margin_is_below_0(p, w, spread):
    edge = gives_up_below(w, spread)
    if abs(p - edge) > 1e-6:
        assert (margin(p, w, spread) < 0) == (p < edge) or abs(margin(p, w, spread)) < 1e-9


@unhurried
@given(p=chances, w=weights, q=chances)
def test_nothing_earns_more_than_what_is_true(p, w, q):
    both = scored(np.array([True, False]), np.array([q, q]), w)
    assert p * both[0] + (1 - p) * both[1] <= honest_value(p, w) + 1e-12
    # what is lost is w (q - p)^2, which is what `margin` takes off
    assert honest_value(p, w) - (p * both[0] + (1 - p) * both[1]) == pytest.approx(
        w * (q - p) ** 2, abs=1e-9
    )


def test_what_is_refused():
    for call in (
        lambda: honest_value(1.1, 1.0),
        lambda: margin(0.5, -1.0),
        lambda: gives_up_below(1.0, -0.1),
        lambda: margin(float("nan"), 1.0),
    ):
        with pytest.raises(MethodError, match=r"chance must lie|must be at least 0"):
            call()

"""Predicted pass rates: by hand, against the integral of the posterior, and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from assay.kernels.difficulty import predicted

few = settings(max_examples=40, deadline=None)


def one(passed, tried, mean, strength):
    return float(predicted(np.array([float(passed)]), np.array([float(tried)]), mean, strength)[0])


def test_by_hand():
    # (1 + 2 * .5) / (8 + 2) = .2; nothing known: the mean; (8 + 2 * .2) / 10 = .84
    found = predicted(np.array([1.0, 0.0]), np.array([8.0, 0.0]), 0.5, 2.0)
    np.testing.assert_allclose(found, [0.2, 0.5], atol=1e-12)
    assert one(8, 8, 0.2, 2.0) == pytest.approx(0.84, abs=1e-12)
    assert one(0.5, 4, 0.25, 4.0) == pytest.approx(1.5 / 8, abs=1e-12)


@few
@given(
    tried=st.integers(0, 12), share=st.floats(0, 1), mean=st.floats(0.1, 0.9),
    strength=st.floats(2.5, 9),
)  # fmt: skip
def test_it_is_the_mean_of_the_posterior(tried, share, mean, strength):
    """Of a rate with a beta law of this mean and weight, after so many passes and failures."""
    passed = int(share * tried)
    a, b = strength * mean, strength * (1 - mean)

    def weight(x, power):
        return x ** (a + passed - 1 + power) * (1 - x) ** (b + tried - passed - 1)

    top, below = (quad(weight, 0, 1, args=(power,), limit=200)[0] for power in (1, 0))
    assert one(passed, tried, mean, strength) == pytest.approx(top / below, abs=1e-4)


@few
@given(tried=st.integers(1, 20), mean=st.floats(0, 1), strength=st.floats(0.1, 9))
def test_laws(tried, mean, strength):
    told = [one(passed, tried, mean, strength) for passed in range(tried + 1)]
    assert (np.diff(told) > 0).all()
    assert all(min(mean, n / tried) - 1e-12 <= p <= max(mean, n / tried) + 1e-12
               for n, p in enumerate(told))  # fmt: skip
    turned = [1 - one(tried - n, tried, 1 - mean, strength) for n in range(tried + 1)]
    np.testing.assert_allclose(turned, told, atol=1e-12)

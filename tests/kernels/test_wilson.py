"""Intervals of rates by hand, and against scipy."""

from math import hypot

import pytest
from scipy.stats import binomtest

from assay.errors import MethodError
from assay.kernels.wilson import apart, wilson

# z = 1.959964, z^2 = 3.841459. 8/10: d = 1.384146, c = (.8 + .192073) / d = .716740,
# r = z sqrt(.016 + .009604) / d = .226575: .4902 and .9433. 3/3: d = 2.280486, low = c - r =
# (1 + .640243 - .640243) / d = 1 / d = .438503, high 1
V21 = {
    (0, 0): (0.0, 1.0),
    (3, 3): (0.438503, 1.0),
    (8, 10): (0.490162, 0.943318),
    (1, 8): (0.022422, 0.470936),
    (40, 60): (0.540552, 0.772732),
}


@pytest.mark.parametrize(("counts", "ends"), V21.items())
def test_by_hand(counts: tuple[int, int], ends: tuple[float, float]) -> None:
    assert wilson(*counts) == pytest.approx(ends, abs=1e-4)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_against_scipy(level: float) -> None:
    for total in (1, 2, 7, 64):
        for passed in range(total + 1):
            ends = binomtest(passed, total).proportion_ci(level, method="wilson")
            assert wilson(passed, total, level=level) == pytest.approx((ends.low, ends.high))


def test_refuses_more_passes_than_there_are() -> None:
    with pytest.raises(MethodError, match="3 of 2"):
        wilson(3, 2)


def test_difference_by_hand() -> None:
    """Newcombe's own example (method 10): 56/70 less 48/80 is .2, .0524 to .3339."""
    ends = apart(48 / 80, wilson(48, 80), 56 / 70, wilson(56, 70))
    assert ends == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_a_side_that_is_known_adds_nothing() -> None:
    low, high = wilson(8, 10)
    assert apart(0.5, (0.5, 0.5), 0.8, (low, high)) == pytest.approx((low - 0.5, high - 0.5))
    assert apart(0.5, (0.2, 0.5), 0.8, (0.8, 0.8))[1] == pytest.approx(0.3 + hypot(0, 0.3))

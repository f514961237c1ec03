"""Tango's bound by hand, against a maximum likelihood that is searched for, and by enumeration."""

from math import comb, log, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import MethodError
from assay.kernels.paired import Pairs, compared


def test_by_hand() -> None:
    """n = 100, b = 4, c = 10, delta = -.1: d = -.06. B = 14 - (200 - 4 + 10)(-.1) = 34.6;
    B^2 = 1197.16, 8 n c delta (1 - delta) = 8000 x -.11 = -880, root sqrt(317.16) = 17.8090;
    q = 52.4090 / 400 = .1310225; variance (.262045 - .1 - .01) / 100 = .00152045, error .0389930;
    z = .04 / .0389930 = 1.02583."""
    assert Pairs(4, 10, 100).difference == pytest.approx(-0.06)
    assert Pairs(4, 10, 100).z(-0.1) == pytest.approx(1.02583, abs=1e-4)


def test_where_no_pair_differs_the_bound_is_a_closed_form() -> None:
    """b = c = 0: B = -2 n delta and q = -delta for delta < 0, the variance (-delta - delta^2) / n,
    so z = sqrt(n (-delta) / (1 + delta)) = Z at delta = -Z^2 / (n + Z^2): 1.644854^2 = 2.705543,
    over 102.705543 it is .0263427."""
    assert Pairs(0, 0, 100).lower(0.95) == pytest.approx(-0.0263427, abs=1e-7)
    assert Pairs(0, 0, 100).holds(0.03)
    assert not Pairs(0, 0, 100).holds(0.02)
    assert Pairs(0, 0, 0).lower() == -1.0
    assert not Pairs(0, 0, 0).holds(0.5)


def test_pairs_are_counted() -> None:
    each = [(True, True), (True, False), (False, True), (False, True), (False, False)]
    assert compared(each) == Pairs(better=2, worse=1, tasks=5)
    for wrong in ((3, 3, 5), (-1, 0, 2), (0, -1, 2)):
        with pytest.raises(MethodError, match="expected counts"):
            Pairs(*wrong)


def searched(b: int, c: int, n: int, delta: float) -> float:
    """z with the q of the largest likelihood on a fine grid: shares nothing with the formula."""
    grid = np.linspace(max(0.0, -delta), (1 - delta) / 2, 400_001)[1:-1]
    total = b * np.log(grid + delta) + c * np.log(grid) + (n - b - c) * np.log1p(-2 * grid - delta)
    q = grid[np.nanargmax(total)]
    return ((b - c) / n - delta) / sqrt((2 * q + delta - delta**2) / n)


@pytest.mark.parametrize(
    ("b", "c", "n", "delta"), [(4, 10, 100, -0.1), (1, 0, 40, -0.05), (9, 30, 64, -0.2)]
)
def test_the_likeliest_q_is_found(b: int, c: int, n: int, delta: float) -> None:
    assert Pairs(b, c, n).z(delta) == pytest.approx(searched(b, c, n, delta), abs=1e-3)


counts = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 80)).map(
    lambda t: Pairs(t[0], t[1], t[0] + t[1] + t[2] + 1)
)


@given(counts, st.sampled_from([0.9, 0.95, 0.99]))
def test_laws(seen: Pairs, level: float) -> None:
    """The bound lies below the difference, z is at its quantile there, and a task more that got
    worse in place of one that is alike only lowers it."""
    low = seen.lower(level)
    assert -1.0 <= low <= seen.difference
    if low > -1.0 + 1e-9:
        assert seen.z(low + 1e-7) <= NormalDist().inv_cdf(level) + 1e-3
    assert seen.lower(0.99) <= seen.lower(0.9)
    if seen.better + seen.worse < seen.tasks:
        assert Pairs(seen.better, seen.worse + 1, seen.tasks).lower(level) <= low + 1e-9


def passes_at(margin: float, differ: float, n: int) -> float:
    """How often a policy that is worse by exactly a margin passes, over all outcomes: b, c of a
    multinomial with p_worse - p_better = margin and p_worse + p_better = differ."""
    up, down = (differ - margin) / 2, (differ + margin) / 2
    total = 0.0
    for b in range(n + 1):
        if up == 0 and b:
            break
        for c in range(n - b + 1):
            chance = log(comb(n, b)) + log(comb(n - b, c)) + c * log(down)
            chance += (b * log(up) if b else 0.0) + (n - b - c) * log(1 - differ)
            if chance > -25 and Pairs(b, c, n).holds(margin):
                total += float(np.exp(chance))
    return total


@pytest.mark.parametrize("differ", [0.1, 0.2, 0.4])
def test_at_the_margin_it_passes_as_often_as_its_level_says(differ: float) -> None:
    """Tango's bound is asymptotic: over 48 tasks it passes at most 6.5 % where 5 % is meant."""
    assert passes_at(0.1, differ, 48) <= 0.065

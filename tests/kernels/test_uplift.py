"""Uplift by hand and by enumeration: how often useless hints are admitted."""

from math import comb, isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import MethodError
from assay.kernels.uplift import FEWEST, Uplift


def test_by_hand() -> None:
    """14 of 20 against 8 of 20: .7 - .4 = .3; error sqrt(.7 x .3 / 20 + .4 x .6 / 20) = .15;
    bound .3 - 1.281552 x .15 = .1077672 > 0."""
    found = Uplift(14, 8, 20)
    assert found.value == pytest.approx(0.3)
    assert found.error == pytest.approx(0.15)
    assert found.lower == pytest.approx(0.1077672, abs=1e-6)
    assert found.admits


@pytest.mark.parametrize(
    ("told", "neutral", "pairs", "admits"),
    [
        (8, 8, 20, False),
        (0, 0, 20, False),
        (20, 20, 20, False),
        (20, 0, 20, True),
        (10, 8, 20, False),  # .1 - 1.281552 x .1575 < 0
        (15, 0, 15, False),  # too few to conclude anything
        (16, 0, 16, True),
        (8, 14, 20, False),
    ],
)
def test_who_is_admitted(told: int, neutral: int, pairs: int, admits: bool) -> None:
    assert Uplift(told, neutral, pairs).admits == admits


def test_nothing_played_says_nothing() -> None:
    nothing = Uplift(0, 0, 0)
    assert all(map(isnan, (nothing.value, nothing.error, nothing.lower)))
    assert not nothing.admits
    for wrong in ((3, 0, 2), (0, 3, 2), (-1, 0, 2)):
        with pytest.raises(MethodError, match="expected passes between"):
            Uplift(*wrong)


def test_what_was_seen_before_counts_less() -> None:
    """10 of 20 and 4 of 20 at a half: 5 and 2 of 10; with 8 and 8 of 16 it is 13 and 10 of 26."""
    later = Uplift(10, 4, 20).after(Uplift(8, 8, 16), 0.5)
    assert (later.told, later.neutral, later.pairs) == (13, 10, 26)
    assert later.value == pytest.approx(3 / 26)


@pytest.mark.parametrize("pairs", [FEWEST, 20, 32, 64])
def test_useless_hints_are_rarely_admitted(pairs: int) -> None:
    """All outcomes of pairs that pass alike at p, with and without: the worst p admits 13.5 %."""
    seen = np.arange(pairs + 1)
    ways = np.array([comb(pairs, int(k)) for k in seen], float)
    admits = np.array(
        [[Uplift(a, b, pairs).admits for b in range(pairs + 1)] for a in range(pairs + 1)]
    )
    worst = 0.0
    for p in np.linspace(0.01, 0.99, 99):
        chance = ways * p**seen * (1 - p) ** (pairs - seen)
        worst = max(worst, float((np.outer(chance, chance) * admits).sum()))
    assert 0.09 < worst < 0.135


@given(st.integers(1, 60), st.data())
def test_laws(pairs: int, data: st.DataObject) -> None:
    told, neutral = (data.draw(st.integers(0, pairs)) for _ in range(2))
    found, back = Uplift(told, neutral, pairs), Uplift(neutral, told, pairs)
    assert found.value == -back.value
    assert found.error == back.error
    assert found.lower <= found.value
    assert not (found.admits and back.admits)
    # as many pairs again, alike: the same uplift, known better by the root of two
    twice = found.after(found, 1.0)
    assert twice.value == pytest.approx(found.value)
    assert twice.error == pytest.approx(found.error / sqrt(2))

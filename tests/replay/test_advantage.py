"""The true advantage of a step and its interval."""

import numpy as np
import pytest

from assay.records import Value
from assay.replay.advantage import difference, known, value_of, verdict


def shares(passed: int, total: int) -> Value:
    return value_of([1.0] * passed + [0.0] * (total - passed))


def test_shares_have_newcombes_interval():
    # Newcombe 1998, table II, method 10: 56/70 less 48/80 is .2, [.0524, .3339]
    found = difference(shares(48, 80), shares(56, 70))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    # 10/10 less 0/10: Wilson's [0, .2775] and [.7225, 1]: 1 - sqrt(2) .2775 = .6075
    found = difference(shares(0, 10), shares(10, 10))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 0.6075, 1.0), abs=5e-5)


def test_the_end_of_a_trajectory_is_known_exactly():
    # 32 of 32 passed before, and it did pass: Wilson's interval of 32/32 begins at 32/(32 + z^2),
    # so the step may have been worth up to z^2 / (32 + z^2) = 3.8415 / 35.8415 = .10718
    found = difference(shares(32, 32), known(1.0))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.0, 0.0, 0.10718), abs=5e-5)
    assert verdict(found) == "open"
    # 8 of 32 passed before, and it passed: Wilson's interval of .25 is [.1325, .4211]
    found = difference(shares(8, 32), known(1.0))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((1 - 0.4211, 1 - 0.1325), abs=1e-4)
    assert verdict(found) == "good"
    found = difference(shares(32, 32), known(0.0))
    assert verdict(found) == "bad"


def test_other_outcomes_have_welchs_interval():
    # before .2 .4 .6 (mean .4, variance .04), after .5 .7 .9 .7 (mean .7, variance .08/3):
    # standard error sqrt(.04/3 + .08/12) = sqrt(.02) = .141421;
    # degrees (.02)^2 / (.013333^2/2 + .006667^2/3) = .0004 / .0001037 = 3.857;
    # t(.975, 3.857) = 2.8177, by the tables' t(3) = 3.1824 and t(4) = 2.7764
    found = difference(value_of([0.2, 0.4, 0.6]), value_of([0.5, 0.7, 0.9, 0.7]))
    assert found is not None
    assert found.value == pytest.approx(0.3)
    half = (found.high - found.low) / 2
    assert 2.7764 * 0.141421 < half < 3.1824 * 0.141421
    # against a known end there is one variance, and degrees K - 1: t(.975, 2) = 4.3027;
    # 4.3027 x sqrt(.04 / 3) = .49683
    found = difference(value_of([0.2, 0.4, 0.6]), known(0.5))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.1 - 0.49683, 0.1 + 0.49683), abs=1e-4)


def test_outcomes_that_are_all_one_leave_room_for_others():
    # 4 times .5: up to z^2 / (4 + z^2) = .48990 of the futures may end at 0 or 1: .5 +- .24495
    found = difference(value_of([0.5] * 4), known(0.5))
    assert found is not None
    assert (found.low, found.high) == pytest.approx((-0.24495, 0.24495), abs=1e-4)


def test_what_nobody_scored_has_no_advantage():
    assert value_of([None, None]) == Value(mean=None, count=0)
    assert value_of([None, 1.0]) == Value(mean=1.0, count=1, passed=1)
    assert difference(value_of([None]), known(1.0)) is None
    assert verdict(None) == "unscored"


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.5), (0.2, 0.5), (0.9, 0.97), (0.05, 0.0)])
def test_intervals_cover_the_truth_at_their_level(before: float, after: float):
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        found = difference(
            *(value_of((rng.random(32) < p).astype(float).tolist()) for p in (before, after))
        )
        assert found is not None
        held += found.low <= after - before <= found.high
    # 600 draws at .95 have a standard error of .009
    assert held / 600 >= 0.92

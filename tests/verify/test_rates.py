"""Rates of error from audits: by hand, against scipy, and bounds that hold as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from assay.errors import DataError
from assay.kernels.noise import backward
from assay.verify.rates import (
    EXACT,
    Audits,
    Rates,
    audits_for,
    prevalence,
    rates,
    upper,
)


@pytest.mark.parametrize(
    ("of", "bound"), [(20, 0.1391), (50, 0.0582), (100, 0.0295), (300, 0.0099)]
)
def test_none_seen_is_not_none(of, bound):
    assert upper(0, of, 0.95) == pytest.approx(1 - 0.05 ** (1 / of), abs=1e-9)
    assert upper(0, of, 0.95) == pytest.approx(bound, abs=5e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.floats(0, 1), st.floats(0.5, 0.99))
def test_an_upper_bound_is_that_of_the_beta_distribution(of, share, level):
    wrong = min(int(share * of), of - 1)
    assert upper(wrong, of, level) == pytest.approx(
        beta.ppf(level, wrong + 1, of - wrong), abs=1e-9
    )


def test_an_upper_bound_of_nothing_is_one():
    assert upper(0, 0) == upper(3, 3) == 1.0
    for bad in ((-1, 3, 0.9), (4, 3, 0.9), (0, 3, 1.0), (0, 3, 0.0)):
        with pytest.raises(DataError, match="expected 0 <= wrong <= total"):
            upper(*bad)


def test_rates_of_audits_drawn_alike():
    # 40 failures, 4 of them accepted: the bound of 4 of 40; 18 passes, 2 rejected: 3/20
    found = rates(Audits(16, 4, 2, 36))
    assert found.rho0 == pytest.approx(beta.ppf(0.9, 5, 36), abs=1e-9)
    assert found.rho1 == pytest.approx(0.15, abs=1e-12)
    assert (found.failed, found.trust) == (40, "calibrated")
    assert found.j == pytest.approx(1 - found.rho0 - 0.15, abs=1e-12)


def test_rates_of_audits_drawn_apart():
    # 40 of the accepted, 10 failed; 50 of the rejected, 5 passed; it accepts .4.
    # Bounds at .95: f+ = beta(.95; 11, 30), p- = beta(.95; 6, 45);
    # rho0 = f+ .4 / (f+ .4 + (1 - p-) .6)
    found = rates(Audits(30, 10, 5, 45, accepted_share=0.4))
    bad, good = beta.ppf(0.95, 11, 30), beta.ppf(0.95, 6, 45)
    assert found.rho0 == pytest.approx(bad * 0.4 / (bad * 0.4 + (1 - good) * 0.6), abs=1e-9)
    # means 11/42 and 6/52: rho1 = 6/52*.6 / (6/52*.6 + 31/42*.4)
    assert found.rho1 == pytest.approx((3.6 / 52) / (3.6 / 52 + 12.4 / 42), abs=1e-12)
    # what it never accepts it cannot accept wrongly, however little was looked at
    assert rates(Audits(0, 0, 5, 45, accepted_share=0.0)).rho0 == 0.0
    # and of nothing at all everything is feared
    assert rates(Audits()) == Rates(1.0, 0.5, 0.0)
    assert rates(Audits(accepted_share=1.0)).rho0 == 1.0
    assert rates(Audits(accepted_share=0.0)).rho0 == 1.0


def test_trust():
    assert rates(Audits(20, 0, 0, 19)).trust == "uncalibrated"
    assert rates(Audits(20, 0, 0, 20)).trust == "calibrated"
    assert rates(Audits(20, 60, 0, 20)).trust == "quarantined"
    assert Rates(0.4, 0.4).trust == "calibrated"  # J .2
    assert Rates(0.41, 0.4).trust == "quarantined"
    assert Rates(0.9, 0.9).trust == "quarantined"  # never turned round
    assert EXACT.trust == "calibrated"
    assert Rates(1.0, 1.0, 0.0).trust == "uncalibrated"
    assert Rates(0.2, 0.1).fell(Rates(0.1, 0.04))  # .86 to .70
    assert not Rates(0.2, 0.1).fell(Rates(0.1, 0.06))  # .84 to .70


def test_no_counts_are_refused():
    for bad in ({"accepted_failed": -1}, {"accepted_share": 1.5}):
        with pytest.raises(DataError, match="audits: got counts"):
            Audits(**bad)


@pytest.mark.parametrize(("audits", "low", "high"), [(100, 0.5170, 0.6830), (20, 0.4540, 0.7460)])
def test_the_rate_behind_a_judge_s(audits, low, high):
    # .6 accepted of 500, rho0 .15, rho1 .1: (.6 - .15)/.75 = .6. Of 100 audits each: variance
    # (.24/500 + .16*.1275/100 + .36*.09/100)/.5625 = .001792, deviation .04233, times 1.96 .08297
    found = prevalence(0.6, 0.15, 0.1, n=500, failed=audits, passed=audits)
    assert found[0] == pytest.approx(0.6, abs=1e-12)
    assert found[2:] == pytest.approx((low, high), abs=5e-5)
    for bad in ({"n": 0}, {"failed": 0}, {"passed": 0}):
        with pytest.raises(DataError, match="prevalence"):
            prevalence(0.6, 0.15, 0.1, **{"n": 500, "failed": 20, "passed": 20, **bad})
    with pytest.raises(DataError, match="expected J above 0"):
        prevalence(0.6, 0.5, 0.5, n=500, failed=20, passed=20)


def test_how_many_audits_see_it():
    assert audits_for(0.5) == 5  # 1 - .5^5 = .969, 1 - .5^4 = .9375
    assert audits_for(0.0243) == 122
    assert audits_for(0.5, 0.5) == 1
    for bad in ((0.0, 0.95), (1.0, 0.95), (0.1, 1.0)):
        with pytest.raises(DataError, match="audits_for"):
            audits_for(*bad)


@pytest.mark.parametrize("apart", [False, True])
def test_a_bound_holds_as_often_as_it_says_and_then_pays_no_failure(apart):
    # true rho0 .15, rho1 .1, pass rate .4: the bound covers at least nine times in ten, and where
    # it does a failure is paid at most nothing
    rng = np.random.default_rng(1)
    covered, accepts = 0, 0.4 * 0.9 + 0.6 * 0.15
    for _ in range(1_000):
        if apart:
            bad = int(rng.binomial(60, 0.6 * 0.15 / accepts))
            good = int(rng.binomial(60, 0.4 * 0.1 / (1 - accepts)))
            found = rates(Audits(60 - bad, bad, good, 60 - good, accepted_share=accepts))
        else:
            passed = int(rng.binomial(120, 0.4))
            wrong_yes, wrong_no = rng.binomial([120 - passed, passed], [0.15, 0.1]).tolist()
            found = rates(Audits(passed - wrong_no, wrong_yes, wrong_no, 120 - passed - wrong_yes))
        covered += found.rho0 >= 0.15
        yes, no = backward(np.array([1.0, 0.0]), np.full(2, found.rho0), np.full(2, found.rho1))
        assert (0.15 * yes + 0.85 * no <= 1e-12) == (found.rho0 >= 0.15)
    assert covered >= 900

"""Corrected verdicts, by hand, by enumeration of what a judge can say, and as laws."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.kernels.noise import (
    backward,
    forward,
    others,
    posterior,
    true_rate,
    usable,
    weighed,
)

NAN = float("nan")


def array(*values):
    return np.array(values, float)


# Eight trajectories of one task, pass rate .3: four judged by A (rho0 .30, rho1 .05), three by B
# (.02, .20), one by C (.55, .40); the seventh has no verdict.
SEEN = array(1, 1, 0, 0, 1, 0, NAN, 1)
RHO0, RHO1 = array(*[0.3] * 4, *[0.02] * 3, 0.55), array(*[0.05] * 4, *[0.2] * 3, 0.4)


def test_a_verdict_is_worth_what_its_judge_is_worth():
    # rho0 .2, rho1 .1: J = .7.  accepted (1 - .2)/.7 = 8/7, rejected -.2/.7 = -2/7
    x = backward(array(1, 0), array(0.2, 0.2), array(0.1, 0.1))
    np.testing.assert_allclose(x, [8 / 7, -2 / 7], atol=1e-12)
    # of passes .9 are accepted, of failures .2: means .9*8/7 - .1*2/7 = 1 and .2*8/7 - .8*2/7 = 0
    np.testing.assert_allclose(
        [0.9 * x[0] + 0.1 * x[1], 0.2 * x[0] + 0.8 * x[1]], [1, 0], atol=1e-12
    )
    # accepted and rejected lie 1/J apart: variances .1*.9/.49 and .2*.8/.49
    apart = (x[0] - x[1]) ** 2
    np.testing.assert_allclose(array(0.09, 0.16) * apart, [0.183673, 0.326531], atol=1e-6)


def test_forward_weights_need_false_negatives_alone():
    # rho1 .1: accepted .1, rejected .1 - 1 = -.9
    w = forward(array(1, 0), array(0.1, 0.1))
    np.testing.assert_allclose(w, [0.1, -0.9], atol=1e-12)
    # of passes: .9*.1 - .1*.9 = 0; of failures with rho0 .2: .2*.1 - .8*.9 = -.7 = -J
    np.testing.assert_allclose(
        [0.9 * w[0] + 0.1 * w[1], 0.2 * w[0] + 0.8 * w[1]], [0, -0.7], atol=1e-12
    )


def test_mixed_judges_by_hand():
    x, w = weighed(SEEN, RHO0, RHO1)
    # A: J .65, accepted .7/.65, rejected -.3/.65.  B: J .78, accepted .98/.78, rejected -.02/.78.
    # C: J .05 is below .2
    by_hand = [0.7 / 0.65] * 2 + [-0.3 / 0.65] * 2 + [0.98 / 0.78, -0.02 / 0.78, NAN, NAN]
    np.testing.assert_allclose(x, by_hand, atol=1e-12)
    np.testing.assert_allclose(w, [0.4225] * 4 + [0.6084] * 2 + [0, 0], atol=1e-12)
    # all of A: sum w x = .65 (.7 + .7 - .3 - .3) = .52; of B .78 (.98 - .02) = .7488: 1.2688; sum w
    # 2.9068.  First: (1.2688 - .65*.7) / (2.9068 - .4225) = .8138/2.4843 = .327577, and 1.076923
    # less that is .749346
    advantage = x - others(x, w, np.zeros(8, np.int64))
    expected = [0.749346, 0.749346, -1.050759, -1.050759, 1.036953, -0.584465, NAN, NAN]
    np.testing.assert_allclose(advantage, expected, atol=1e-6)


def test_posteriors_by_hand():
    # p .3.  A accepts .3*.95 = .285 passes and .7*.3 = .21 failures: .285/.495; rejects .3*.05 =
    # .015 and .7*.7 = .49: .015/.505.  B: .24/(.24 + .014), .06/(.06 + .686)
    prior = np.full(4, 0.3)
    found = posterior(
        array(1, 0, 1, 0), prior, array(0.3, 0.3, 0.02, 0.02), array(0.05, 0.05, 0.2, 0.2)
    )
    np.testing.assert_allclose(found, [0.575758, 0.029703, 0.944882, 0.080429], atol=1e-6)
    np.testing.assert_array_equal(posterior(array(NAN), array(0.3), array(0.1), array(0.1)), [NAN])
    # a judge that never errs, asked of a task that nobody passes: "accepted" cannot come about
    np.testing.assert_array_equal(posterior(array(1), array(0.0), array(0.0), array(0.0)), [NAN])


@pytest.mark.parametrize(
    ("rho0", "rho1", "variance", "plain", "gap"),
    [
        # accepted .495, rejected .505; posteriors .546055 apart: .495*.505*.298176 = .0745;
        # backward .249975/.65^2 = .5917; gap .65*.546055
        (0.3, 0.05, 0.0745, 0.5917, 0.3549),
        # accepted .254: .254*.746*.864453^2 = .1416; .189484/.6084 = .3114; .78*.864453
        (0.02, 0.2, 0.1416, 0.3114, 0.6743),
    ],
)
def test_a_posterior_has_little_variance_no_bonus_and_a_gap_of_its_own(
    rho0, rho1, variance, plain, gap
):
    both = array(1, 0), np.full(2, 0.3), np.full(2, rho0), np.full(2, rho1)
    yes, no = posterior(*both)
    accepted = 0.3 * (1 - rho1) + 0.7 * rho0
    assert accepted * yes + (1 - accepted) * no == pytest.approx(0.3, abs=1e-12)
    assert accepted * (1 - accepted) * (yes - no) ** 2 == pytest.approx(variance, abs=5e-5)
    high, low = backward(both[0], both[2], both[3])
    assert accepted * (1 - accepted) * (high - low) ** 2 == pytest.approx(plain, abs=5e-5)
    assert (1 - rho0 - rho1) * (yes - no) == pytest.approx(gap, abs=5e-5)


def test_the_rate_behind_a_rate():
    # 3 of 8 accepted, rho0 .2, rho1 .1: (.375 - .2)/.7 = .25; 1 of 8: -.107 is 0; all: 8/7 is 1
    found = true_rate(array(0.375, 0.125, 1.0), 0.2, 0.1)
    np.testing.assert_allclose(found, [0.25, 0.0, 1.0], atol=1e-12)


def test_who_says_nothing():
    seen, half = array(1, 1, 1, 1, NAN, 1), 0.5
    found = usable(
        seen, array(0.4, 0.41, half, 0.9, 0.0, NAN), array(0.4, 0.4, half, 0.9, 0.0, 0.0)
    )
    np.testing.assert_array_equal(found, [True, False, False, False, False, False])
    # a bound of 0 lets in whoever says anything, and nobody who says nothing or the opposite
    found = usable(
        seen, array(0.4, 0.41, half, 0.9, 0.0, NAN), array(0.4, 0.4, half, 0.9, 0.0, 0.0), 0.0
    )
    np.testing.assert_array_equal(found, [True, True, False, False, False, False])
    np.testing.assert_array_equal(
        backward(array(1, 1), array(half, 0.9), array(half, 0.9)), [NAN, NAN]
    )


def test_votes_of_one_session_count_once():
    # 0 and 1 are outputs of one rollout, for which 1 votes; 2 and 3 stand for themselves
    vote = np.array([1, 1, 2, 3], np.int64)
    found = others(array(9, 1, 0, 0.5), array(1, 1, 1, 3), np.zeros(4, np.int64), vote)
    # of the others for 0 and 1: (0 + 1.5)/4; for 2: (1 + 1.5)/4; for 3: (1 + 0)/2
    np.testing.assert_allclose(found, [0.375, 0.375, 0.625, 0.5], atol=1e-12)


rate = st.floats(0.0, 1.0)
units = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, NAN]), rate, rate, st.integers(0, 2)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(units)
def test_others_are_the_others(made):
    seen, rho0, rho1, peer = (np.array(each) for each in zip(*made, strict=True))
    x, w = weighed(seen, rho0, rho1)
    found = others(x, w, peer.astype(np.int64))
    for u in range(len(made)):
        rest = [v for v in range(len(made)) if v != u and peer[v] == peer[u] and w[v] > 0]
        expected = sum(w[v] * x[v] for v in rest) / sum(w[v] for v in rest) if rest else NAN
        np.testing.assert_allclose(found[u], expected, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 0.45), st.floats(0, 0.3)), min_size=2, max_size=4), rate)
def test_no_judge_is_paid_for_being_lenient(judges, p):
    # every outcome and every verdict, with its chance: E[A | judge] = 0 and E[A | passed] -
    # E[A | failed] = 1 for each judge, whatever the others are
    rho0, rho1 = (np.array(each) for each in zip(*judges, strict=True))
    n = len(judges)
    mean, by_outcome = np.zeros(n), np.zeros((2, n))
    for passed in product((0, 1), repeat=n):
        for seen in product((0, 1), repeat=n):
            chance = 1.0
            for t, r, a, b in zip(passed, seen, rho0, rho1, strict=True):
                accepts = 1 - b if t else a
                chance *= (p if t else 1 - p) * (accepts if r else 1 - accepts)
            x, w = weighed(np.array(seen, float), rho0, rho1)
            a = chance * (x - others(x, w, np.zeros(n, np.int64)))
            mean += a
            for k, t in enumerate(passed):
                by_outcome[t, k] += a[k]
    np.testing.assert_allclose(mean, 0.0, atol=1e-9)
    np.testing.assert_allclose(by_outcome[1] - p * mean, p * (1 - p), atol=1e-9)


def test_the_expected_value_of_errors_misjudged():
    # true rates .2, .1; rho0' .10: accepted .9/.8, rejected -.1/.8: failures (.2*.9 - .8*.1)/.8 =
    # .125, paid. .30: (.2*.7 - .8*.3)/.6 = -.1667, safe. Passes 1 in both, for rho1 is right.
    for guess, of_failures in (
        (0.1, 0.125),
        (0.15, 0.0667),
        (0.2, 0.0),
        (0.25, -0.0769),
        (0.3, -0.1667),
    ):
        yes, no = backward(array(1, 0), np.full(2, guess), np.full(2, 0.1))
        assert 0.2 * yes + 0.8 * no == pytest.approx(of_failures, abs=5e-5)
        assert 0.9 * yes + 0.1 * no == pytest.approx(1.0, abs=1e-12)


def test_false_positives_from_above_never_pay_failures():
    # ten thousand draws: E[x | failed] = (rho0 - rho0') / J' is at most 0 where rho0' >= rho0
    rng = np.random.default_rng(0)
    rho0, more, rho1 = rng.random(10_000), rng.random(10_000), rng.random(10_000)
    guess = rho0 + (1 - rho0) * more
    known = usable(np.ones(10_000), guess, rho1, 0.0)
    yes, no = (backward(np.full(10_000, seen), guess, rho1) for seen in (1.0, 0.0))
    paid = (rho0 * yes + (1 - rho0) * no)[known]
    assert known.sum() > 1_000
    assert paid.max() <= 1e-12

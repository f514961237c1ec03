"""Votes: what they come to, by hand, and how often a majority errs, by listing all that can be."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import betabinom

from assay.errors import MethodError
from assay.kernels.verdicts import majority, majority_error, mean_vote, together, worth

NAN = float("nan")


@pytest.mark.parametrize(
    ("votes", "most", "mean"),
    [
        ((1, 1, -1), 1, 1 / 3),
        ((1, -1, 0), NAN, 0),  # three ways
        ((1, -1, NAN), NAN, 0),  # one each
        ((NAN, NAN, -1), -1, -1),
        ((NAN, NAN, NAN), NAN, NAN),
        ((1, 1, -1, -1, 0), NAN, 0),
        ((0, 0, 1), 0, 1 / 3),
        ((7, 0.5, 1), 1, 1),  # no votes but the last
    ],
)
def test_what_votes_come_to(votes, most, mean):
    given = np.array([votes], float)
    np.testing.assert_array_equal(majority(given), [most])
    np.testing.assert_allclose(mean_vote(given), [mean], atol=1e-12)


def test_no_votes_at_all():
    np.testing.assert_array_equal(majority(np.zeros((2, 0))), [NAN, NAN])
    np.testing.assert_array_equal(mean_vote(np.zeros((2, 0))), [NAN, NAN])


@pytest.mark.parametrize(
    ("error", "votes", "together", "wrong"),
    [
        (0.2, 1, 0.0, 0.2),
        (0.2, 3, 0.0, 0.104),  # 3*.04*.8 + .008
        (0.2, 7, 0.0, 0.03334),
        (0.1, 5, 0.0, 0.00856),
        (0.3, 7, 0.0, 0.12604),
        (0.2, 3, 0.53, 0.1861),
        (0.2, 7, 0.53, 0.1796),
        (0.2, 7, 1.0, 0.2),
        (0.0, 3, 0.5, 0.0),
        (1.0, 3, 0.5, 1.0),
    ],
)
def test_how_often_a_majority_errs(error, votes, together, wrong):
    assert majority_error(error, votes, together) == pytest.approx(wrong, abs=5e-5)


@pytest.mark.parametrize("votes", [1, 3, 5])
def test_a_majority_errs_as_often_as_all_outcomes_say(votes):
    listed = sum(
        0.3 ** sum(each) * 0.7 ** (votes - sum(each))
        for each in product((0, 1), repeat=votes)
        if sum(each) > votes / 2
    )
    assert majority_error(0.3, votes) == pytest.approx(listed, abs=1e-12)
    a, b = 0.3 * (1 / 0.4 - 1), 0.7 * (1 / 0.4 - 1)
    assert majority_error(0.3, votes, 0.4) == pytest.approx(
        betabinom(votes, a, b).sf(votes // 2), abs=1e-12
    )


@pytest.mark.parametrize(
    ("error", "votes", "shared"), [(0.2, 2, 0), (0.2, 0, 0), (1.5, 3, 0), (0.2, 3, 2)]
)
def test_what_is_no_vote_is_refused(error, votes, shared):
    with pytest.raises(MethodError):
        majority_error(error, votes, float(shared))


def test_correlated_votes_are_worth_few():
    assert worth(8, 0.53) == pytest.approx(8 / 4.71, abs=1e-12)  # 1.6985
    assert worth(7, 0.0) == 7
    assert worth(7, 1.0) == 1


def test_errors_that_go_together():
    # two units of three votes, all wrong and all right: no variance within. (MSB - 0)/(MSB + 0)
    assert together(np.array([[1.0, 1, 1], [0, 0, 0]])) == 1.0
    # means 2/3 and 1/3: MSB = 3 (1/36 + 1/36) = 1/6; MSW = (2/3 + 2/3)/4 = 1/3;
    # (1/6 - 1/3)/(1/6 + 2/3) = -1/5
    assert together(np.array([[1.0, 1, 0], [0, 0, 1]])) == pytest.approx(-0.2, abs=1e-12)
    for none in (np.ones((3, 2)), np.ones((1, 3)), np.ones((3, 1)), np.zeros((0, 0))):
        assert np.isnan(together(none))
    # beta-binomial draws of a known correlation give it back
    rng = np.random.default_rng(0)
    chance = rng.beta(0.2 * (1 / 0.53 - 1), 0.8 * (1 / 0.53 - 1), 20_000)
    drawn = (rng.random((20_000, 7)) < chance[:, None]).astype(float)
    assert together(drawn) == pytest.approx(0.53, abs=0.02)
    wrong = (drawn.sum(1) > 3.5).mean()
    assert wrong == pytest.approx(majority_error(0.2, 7, 0.53), abs=0.01)

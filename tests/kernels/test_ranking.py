"""Answers ranked: vectors by hand, laws, and a fit by another method."""

from itertools import combinations
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from assay.errors import MethodError
from assay.kernels.ranking import (
    bradley_terry,
    elo,
    firsts,
    kept_votes,
    knockout,
    summed_votes,
    win_rates,
)

NAN = float("nan")
VOTES = np.array([[2, 7], [1, 5], [5, 6], [4, 8], [7, 6], [9, 3]], float)
META = np.array([0.4, 0.9, 0.8, 1.2, -1.0, -0.5])


def close(got, expected, atol=1e-6):
    np.testing.assert_allclose(got, expected, atol=atol)


def test_votes_are_summed_and_a_filter_keeps_the_best_of_them():
    close(summed_votes(VOTES), [28, 35])  # 2+1+5+4+7+9, 7+5+6+8+6+3
    close(firsts(VOTES), [2, 4])  # the last two have the first answer first
    kept = kept_votes(META, 3)  # 1.2, .9, .8
    np.testing.assert_array_equal(np.flatnonzero(kept), [1, 2, 3])
    close(summed_votes(VOTES[kept]), [10, 19])  # 1+5+4, 5+6+8


def test_a_vote_that_left_out_an_answer_is_left_out_whole():
    close(summed_votes(np.array([[2, 7], [9, NAN]])), [2, 7])
    close(firsts(np.array([[2, 7], [9, NAN]])), [0, 1])
    close(summed_votes(np.array([[NAN, 1.0]])), [NAN, NAN])
    close(firsts(np.array([[NAN, 1.0]])), [0, 0])
    close(firsts(np.zeros((0, 2))), [0, 0])


def test_a_shared_first_place_is_shared():
    close(firsts(np.array([[5, 5, 1], [2, 9, 9], [1, 1, 4.0]])), [0.5, 1.0, 1.5])


def test_what_a_filter_says_nothing_of_goes_first():
    np.testing.assert_array_equal(kept_votes(np.array([NAN, -5.0, 0.0]), 2), [False, True, True])
    np.testing.assert_array_equal(kept_votes(np.array([1.0, 1.0]), 1), [True, False])
    for keep in (0, 3):
        with pytest.raises(MethodError, match=f"got {keep} to keep of 2 votes"):
            kept_votes(np.zeros(2), keep)


def test_strengths_by_hand():
    # 0 and 2 mirror each other, so x = (a, 0, -a); 0 won 5 of 8: 4 s(a) + 4 s(2a) = 5, a = .343006
    won = np.array([[0, 3, 2], [1, 0, 3], [2, 1, 0]], float)
    close(bradley_terry(won, prior=0.0), [0.343006, 0.0, -0.343006])
    # two wins to none, half a win given to each: log(2.5 / .5) = 1.609438 between them
    close(bradley_terry(np.array([[0, 2], [0, 0]], float)), [0.804719, -0.804719])
    close(bradley_terry(np.array([[9, 2], [0, 9]], float)), [log(5) / 2, -log(5) / 2])
    close(bradley_terry(np.zeros((3, 3))), [0, 0, 0])
    close(bradley_terry(np.zeros((1, 1))), [0])
    assert bradley_terry(np.zeros((0, 0))).shape == (0,)


def test_without_a_prior_what_never_lost_is_refused():
    for won in ([[0, 2], [0, 0]], [[0, 0], [0, 0]], [[0, 1, 0], [1, 0, 5], [0, 0, 0]]):
        with pytest.raises(MethodError, match="give a prior above 0"):
            bradley_terry(np.array(won, float), prior=0.0)
    # a ring: 0 beat 1, 1 beat 2, 2 beat 3, 3 beat 0; nobody is better, and strengths exist
    ring = np.roll(np.eye(4), 1, axis=1)
    close(bradley_terry(ring, prior=0.0), [0, 0, 0, 0])


@pytest.mark.parametrize("prior", [-0.1, NAN, float("inf")])
def test_a_prior_that_is_none_is_refused(prior):
    with pytest.raises(MethodError, match="finite and at least 0"):
        bradley_terry(np.zeros((2, 2)), prior=prior)


@pytest.mark.parametrize("bad", [-1.0, NAN, float("inf")])
def test_a_count_that_is_none_is_refused(bad):
    with pytest.raises(MethodError, match="finite and at least 0"):
        bradley_terry(np.array([[0, bad], [1, 0]]))


def test_complete_separation_among_many_is_fitted():
    n = 12
    won = np.triu(np.full((n, n), 1e6), 1)
    x = bradley_terry(won, prior=1e-3)
    assert (np.diff(x) < 0).all()
    p = 1 / (1 + np.exp(-(x[:, None] - x[None, :])))  # the score equations hold
    met = won + won.T + 2e-3 * (1 - np.eye(n))
    close((won + 1e-3 * (1 - np.eye(n))).sum(1) / (met * p * (1 - np.eye(n))).sum(1), 1.0, 1e-6)


def test_counts_of_every_size_are_fitted():
    """A plain Newton step goes too far here, and never comes back."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        drawn = 10.0 ** rng.uniform(-3, 6, (6, 6))
        won = np.where(rng.random((6, 6)) < 0.5, drawn, 0.0) * (1 - np.eye(6))
        x = bradley_terry(won, prior=1e-3)
        p = 1 / (1 + np.exp(-(x[:, None] - x[None, :])))
        won = won + 1e-3 * (1 - np.eye(6))
        close(((won + won.T) * p).sum(1) / won.sum(1), 1.0, 1e-5)


counts = st.lists(st.integers(0, 5), min_size=16, max_size=16)


@given(counts, st.floats(0.05, 2.0), st.permutations(range(4)))
@settings(max_examples=60, deadline=None)
def test_strengths_are_those_of_another_optimiser_and_move_with_the_answers(flat, prior, order):
    won = np.array(flat, float).reshape(4, 4)
    np.fill_diagonal(won, 0)
    got = bradley_terry(won, prior)

    def loss(x):
        return sum(
            (won[i, j] + prior) * log(1 + exp(x[j] - x[i]))
            + (won[j, i] + prior) * log(1 + exp(x[i] - x[j]))
            for i, j in combinations(range(4), 2)
        )

    other = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    close(got, other - other.mean(), 1e-4)
    assert abs(got.sum()) < 1e-9
    at = np.array(order)
    close(bradley_terry(won[np.ix_(at, at)], prior), got[at], 1e-7)
    close(bradley_terry(won.T, prior), -got, 1e-7)  # whoever wins loses


@given(counts, st.integers(0, 3), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_another_win_never_makes_weaker(flat, i, j):
    won = np.array(flat, float).reshape(4, 4)
    before = bradley_terry(won)
    won[i, j] += 1
    after = bradley_terry(won)
    assert after[i] >= before[i] - 1e-9 or i == j
    assert after[j] <= before[j] + 1e-9 or i == j


def test_win_rates():
    # logits log 3 and 0 apart: .75 and .25; of three, against each of two others
    close(win_rates(np.array([log(3), 0.0])), [0.75, 0.25])
    close(win_rates(np.array([log(3), 0.0, 0.0])), [0.75, 0.375, 0.375])  # (.25 + .5) / 2
    close(win_rates(np.array([0.0])), [NAN])
    close(win_rates(np.array([2000.0, 0.0])), [1.0, 0.0])


def test_elo_depends_on_the_order():
    # +16 where both have 1000; 1016 against 1000 is expected to win .523012: + 32 * .476988
    met = [(0, 1, 1.0), (0, 2, 1.0), (1, 2, 1.0)]
    close(elo(met, 3), [1031.263693, 1000.033908, 968.702399])
    close(elo(met[::-1], 3), [1031.297601, 999.966092, 968.736307])
    close(elo([(0, 1, 0.5)], 2), [1000, 1000])
    close(elo([(0, 1, 0.0)], 2, k=10.0, first=0.0), [-5, 5])


def by_worth(worth):
    return lambda pairs: [float(worth[a] > worth[b]) for a, b in pairs]


def test_a_knockout_by_hand():
    # 3-1, 4-1.5, 5 has a bye; 3-4, bye; 4-5: four comparisons
    winner, survived, made = knockout(range(5), by_worth([3, 1, 4, 1.5, 5]))
    assert (winner, made) == (4, 4)
    np.testing.assert_array_equal(survived, [1, 0, 2, 0, 3])
    assert knockout([0], by_worth([1]))[::2] == (0, 0)


def test_a_duel_without_a_winner_goes_to_who_stands_first():
    assert knockout([2, 0, 1], lambda pairs: [0.5] * len(pairs))[0] == 2


@pytest.mark.parametrize("bracket", [[], [0, 0], [1, 2], [0, 2]])
def test_a_bracket_that_is_none_is_refused(bracket):
    with pytest.raises(MethodError, match="each once"):
        knockout(bracket, lambda pairs: [1.0] * len(pairs))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=17, unique=True), st.randoms())
@settings(max_examples=60, deadline=None)
def test_without_errors_the_best_wins_in_log2_rounds(worth, rng):
    bracket = [*range(len(worth))]
    rng.shuffle(bracket)
    rounds = []

    def duels(pairs):
        rounds.append(len(pairs))
        return by_worth(worth)(pairs)

    winner, survived, made = knockout(bracket, duels)
    assert worth[winner] == max(worth)
    assert made == len(worth) - 1 == sum(rounds)
    assert len(rounds) == survived[winner] == (len(worth) - 1).bit_length()


def test_bradley_terry_where_a_whole_step_of_newton_goes_astray():
    # without a shorter step these counts lead to strengths of 1e220. At the maximum each answer has
    # won as often as its strength says
    won_UU = np.array(
        [[0, 0, 0, 3, 0], [1, 0, 1000, 1000, 3], [1000, 0, 0, 0, 0], [1, 0, 1, 0, 0],
         [0, 0, 1000, 0, 0]], float,
    )  # fmt: skip
    x_U = bradley_terry(won_UU, prior=1e-3)
    given_UU = np.where(np.eye(5, dtype=bool), 0.0, won_UU + 1e-3)
    p_UU = 1.0 / (1.0 + np.exp(x_U[None, :] - x_U[:, None]))
    expected_U = ((given_UU + given_UU.T) * p_UU).sum(1)
    np.testing.assert_allclose(given_UU.sum(1), expected_U, rtol=1e-6)

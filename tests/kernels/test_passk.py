"""pass@k and pass^k against binomials written out, and intervals against what is known of them."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import MethodError
from assay.kernels.passk import (
    alike_at_k,
    bootstrap_interval,
    honest_interval,
    pass_at_k,
    pass_hat_k,
)

NAN = float("nan")


def counts(*pairs):
    return np.array([n for n, _ in pairs], np.int64), np.array([c for _, c in pairs], np.int64)


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (4, 1, 2, 0.5),  # 1 - C(3,2)/C(4,2) = 1 - 3/6
        (8, 1, 4, 0.5),  # 1 - C(7,4)/C(8,4) = 1 - 35/70
        (8, 2, 4, 55 / 70),  # 1 - C(6,4)/C(8,4) = 1 - 15/70 = .785714
        (16, 4, 1, 0.25),
        (16, 4, 4, 1 - 495 / 1820),  # C(12,4)/C(16,4), .728022
        (16, 4, 8, 1 - 495 / 12870),  # C(12,8)/C(16,8), .961538
        (4, 0, 4, 0.0),
        (4, 1, 4, 1.0),
        (5, 3, 3, 1.0),  # n - c < k: one of any three passes
        (3, 3, 1, 1.0),
    ],
)
def test_pass_at_k(n, c, k, expected):
    np.testing.assert_allclose(pass_at_k(*counts((n, c)), k), [expected], atol=1e-12)


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (4, 3, 2, 0.5),  # C(3,2)/C(4,2) = 3/6
        (8, 2, 2, 1 / 28),
        (4, 4, 4, 1.0),
        (4, 3, 4, 0.0),
        (5, 2, 1, 0.4),
    ],
)
def test_pass_hat_k(n, c, k, expected):
    np.testing.assert_allclose(pass_hat_k(*counts((n, c)), k), [expected], atol=1e-12)


def test_more_draws_than_samples_have_no_estimate():
    np.testing.assert_array_equal(pass_at_k(*counts((4, 1), (2, 1), (0, 0)), 3), [0.75, NAN, NAN])
    np.testing.assert_array_equal(pass_hat_k(*counts((2, 2)), 3), [NAN])


def test_impossible_counts_are_refused():
    for k in (0, -1):
        with pytest.raises(MethodError, match="k must be at least 1"):
            pass_at_k(*counts((4, 1)), k)
    for bad in ((2, 3), (2, -1)):
        with pytest.raises(MethodError, match="passes must lie in"):
            pass_at_k(*counts(bad), 1)
        with pytest.raises(MethodError, match="passes must lie in"):
            pass_hat_k(*counts(bad), 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_matches_counting_every_draw(pair):
    n, c = pair
    samples = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        draws = list(combinations(samples, k))
        some = sum(any(d) for d in draws) / len(draws)
        every = sum(all(d) for d in draws) / len(draws)
        np.testing.assert_allclose(pass_at_k(*counts(pair), k), [some], atol=1e-12)
        np.testing.assert_allclose(pass_hat_k(*counts(pair), k), [every], atol=1e-12)


def test_an_interval_of_equal_groups_is_a_point():
    rng = np.random.default_rng(0)
    assert bootstrap_interval(np.array([0.5, 0.5, NAN]), rng=rng) == (0.5, 0.5)


def test_an_interval_without_groups_is_none():
    low, high = bootstrap_interval(np.array([NAN, NAN]), rng=np.random.default_rng(0))
    assert np.isnan(low)
    assert np.isnan(high)


def test_an_honest_interval_needs_ten_groups_that_differ():
    rng = np.random.default_rng(0)
    nine = np.array([0.0, 1.0] * 4 + [0.0])
    assert honest_interval(np.append(nine, NAN), rng=rng) is None
    assert honest_interval(np.ones(50), rng=rng) is None
    # alike up to the last bit: .3 - .1 and .2 are not the same number
    assert honest_interval(np.array([0.3 - 0.1, 0.2] * 5), rng=rng) is None
    # differences of ones that are 0 up to the last bit of a one
    noise = np.array([0.0, 1e-16] * 5)
    assert honest_interval(noise, rng=rng) is not None
    assert honest_interval(noise, rng=rng, value_range=1.0) is None
    # ten draws of ten groups of which five pass: Binomial(10, 1/2) has 1.1 % at 1 or less and 5.5 %
    # at 2 or less
    assert honest_interval(np.append(nine, [1.0, NAN]), rng=rng) == pytest.approx((0.2, 0.8))


def test_the_interval_is_a_percentile_of_means_over_groups():
    # 100 groups, half 0 and half 1: a resampled mean has sd sqrt(.25/100) = .05, so 95 % of them
    # lie within 1.96 * .05 = .098 of .5, and 50 % within .674 * .05 = .034
    value_G = np.array([0.0, 1.0] * 50)
    low, high = bootstrap_interval(value_G, rng=np.random.default_rng(1), draws=20_000)
    np.testing.assert_allclose([low, high], [0.402, 0.598], atol=0.011)
    low, high = bootstrap_interval(value_G, rng=np.random.default_rng(1), level=0.5, draws=20_000)
    np.testing.assert_allclose([low, high], [0.466, 0.534], atol=0.011)


def test_rare_values_are_drawn_rarely():
    # a quarter of the groups at 1: mean .25, sd of a resampled mean sqrt(.1875/100) = .0433
    value_G = np.array([0.0, 1.0, 0.0, 0.0] * 25)
    low, high = bootstrap_interval(value_G, rng=np.random.default_rng(1), draws=20_000)
    np.testing.assert_allclose([low, high], [0.165, 0.335], atol=0.011)


def test_the_same_seed_gives_the_same_interval():
    value_G = np.array([0.0, 1.0, 1.0, 0.25])
    first = bootstrap_interval(value_G, rng=np.random.default_rng(7), draws=100)
    assert first == bootstrap_interval(value_G, rng=np.random.default_rng(7), draws=100)
    assert first != bootstrap_interval(value_G, rng=np.random.default_rng(8), draws=100)


@pytest.mark.parametrize(
    ("outcomes", "k", "expected"),
    [
        # C(6,4)/C(8,4) + C(2,4)/C(8,4) = 15/70 + 0
        ([0, 0, 0, 0, 0, 0, 1, 1], 4, 15 / 70),
        # three outcomes: C(3,2) + C(2,2) + C(1,2) = 3 + 1 + 0 of C(6,2) = 15
        ([0, 0, 0, 0.5, 0.5, 1], 2, 4 / 15),
        ([0, 0, 0, 0], 4, 1.0),
        ([0, 0, 0, 1], 4, 0.0),
        ([0, 0, NAN, 1], 2, 1 / 3),  # of three scored pairs one is alike
        ([0, NAN, NAN, NAN], 2, NAN),
        ([1.0, 1.0 - 1e-9, 0.0], 2, 1 / 3),  # a rounding error is no difference
        ([0.25, 0.5, 1.0], 1, 1.0),
    ],
)
def test_alike_at_k(outcomes, k, expected):
    found = alike_at_k(np.array([outcomes], float), k)
    np.testing.assert_allclose(found, [expected], atol=1e-12)


@settings(max_examples=60)
@given(
    outcomes=st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=2, max_size=7),
    k=st.integers(1, 7),
)
def test_alike_at_k_is_the_share_of_all_subsets(outcomes, k):
    subsets = [*combinations(outcomes, k)]
    alike = np.mean([len({*each}) == 1 for each in subsets]) if subsets else NAN
    np.testing.assert_allclose(alike_at_k(np.array([outcomes]), k), [alike], atol=1e-12)


def test_alike_at_k_knows_groups_apart_and_refuses_a_k_of_nothing():
    groups = np.array([[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(alike_at_k(groups, 2), [2 / 6, 1.0], atol=1e-12)
    with pytest.raises(MethodError, match="k must be at least 1"):
        alike_at_k(groups, 0)

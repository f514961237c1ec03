"""R3 by hand, by its laws, and by an oracle in plain Python that shares no code with it."""

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import MethodError
from assay.kernels.r3 import R3, dispersion, length_reward, propagated, r3, r3_v1

NAN = float("nan")
P = np.array(
    [[0.99, 0.80, 0.60, 0.30, 0.01], [0.98, 0.20, 0.60, 0.35, 0.02], [0.97, 0.50, 0.62, 0.30, 0.01]]
)
V1 = np.array([[0.9, 0.8, 0.9, 0.95], [0.9, 0.2, 0.9, 0.90], [0.9, 0.5, 0.9, 0.92]])


def same(got: R3, reward, weight, sigma) -> None:
    np.testing.assert_allclose(got.reward_K, reward, atol=1e-5)
    np.testing.assert_allclose(got.weight_T, weight, atol=1e-5)
    np.testing.assert_allclose(got.sigma_T, sigma, atol=1e-5)


def test_v2_by_hand() -> None:
    """Token 0 is above .85 in every rollout and token 4 below .05: both are out. Token 1: .8 .2 .5,
    deviations .3 -.3 0, sigma sqrt(.18 / 3) = .244949; token 2: sqrt(.000267 / 3) = .009428; token
    3: .3 .35 .3, sqrt(.001667 / 3) = .023570. Of these the mean is .092649 and the deviation
    .107853, z = 1.412115 -.771615 -.640500 (in sixths), times 1.5 and softmax .922688 .034866
    .042446. First reward .922688 x .8 + .034866 x .6 + .042446 x .3 = .771804."""
    got = r3(P)
    assert got.kept_T.tolist() == [False, True, True, True, False]
    sigma = [0.0, 0.244949, 0.009428, 0.023570, 0.0]
    same(got, [0.771804, 0.220313, 0.495695], [0, 0.922688, 0.034866, 0.042446, 0], sigma)


@pytest.mark.parametrize(
    ("options", "weight", "reward"),
    [
        # at 0 alike: (.8 + .6 + .3) / 3 = .566667
        ({"omega": 0.0}, [0, 1 / 3, 1 / 3, 1 / 3, 0], [0.566667, 0.383333, 0.473333]),
        ({"omega": 4.0}, [0, 0.999568, 0.000161, 0.000272, 0], [0.799832, 0.200105, 0.499965]),
        # e^(1.5 x .244949) = 1.444, e^.014142 = 1.014, e^.035355 = 1.036, over their sum 3.494
        ({"zscored": False}, [0, 0.413254, 0.290261, 0.296484, 0], [0.593705, 0.360578, 0.475534]),
    ],
)
def test_v2_sharpness(options, weight, reward) -> None:
    got = r3(P, **options)
    same(got, reward, weight, [0.0, 0.244949, 0.009428, 0.023570, 0.0])


def test_v2_clips_what_it_keeps() -> None:
    """.99 .01 .5 is neither sure nor hopeless in all: it counts as .85 .05 .5, which differ from
    .466667 by .383333 -.416667 .033333, sigma sqrt(.321667 / 3) = .327448; alone it has weight 1.
    """
    got = r3(np.array([[0.99, 0.9], [0.01, 0.95], [0.5, 0.99]]))
    same(got, [0.85, 0.05, 0.5], [1, 0], [0.327448, 0])


@pytest.mark.parametrize(
    "p",
    [
        [[0.99, 0.01], [0.98, 0.02]],  # both tokens say nothing
        [[0.5, 0.2]],  # alone
        [[0.5, 0.2], [NAN, NAN]],  # as good as alone
    ],
)
def test_v2_where_there_is_nothing_to_compare(p) -> None:
    got = r3(np.array(p))
    assert np.isnan(got.reward_K).all(), "undefined is not 0"
    assert not got.weight_T.any()
    assert not got.kept_T.any()


def test_v2_at_the_edges_of_what_is_kept() -> None:
    """A token exactly as likely as a bound in every rollout stays; all alike weigh alike."""
    got = r3(np.array([[0.85, 0.05], [0.85, 0.05]]))
    assert got.kept_T.tolist() == [True, True]
    same(got, [0.45, 0.45], [0.5, 0.5], [0, 0])


def test_v1_by_hand() -> None:
    """Token 1: logs -.223144 -1.609438 -.693147, sigma .575645; token 3: -.051293 -.105361
    -.083382, sigma .022201; the others do not differ. Weights .575645 / .597846 = .962865 and
    .037135. First reward .962865 x -.223144 + .037135 x -.051293 = -.216762."""
    sigma = [0.0, 0.575645, 0.0, 0.022201]
    same(r3_v1(np.log(V1)), [-0.216762, -1.553584, -0.670503], [0, 0.962865, 0, 0.037135], sigma)


def test_v1_with_the_reasoning_masked_moves_the_level_and_no_advantage() -> None:
    """-(.962865 log .3 + .037135 log .9) = 1.163176 more for each; centred by the mean and divided
    by the deviation both are 1.075299 -1.333133 .257834."""
    plain, masked = r3_v1(np.log(V1)), r3_v1(np.log(V1), np.log([0.9, 0.3, 0.85, 0.9]))
    np.testing.assert_allclose(masked.reward_K, [0.946414, -0.390408, 0.492672], atol=1e-5)
    np.testing.assert_allclose(masked.reward_K - plain.reward_K, [1.163176] * 3, atol=1e-5)
    for got in (plain, masked):
        away = got.reward_K - got.reward_K.mean()
        scaled = away / (away.std() + 1e-6)
        np.testing.assert_allclose(scaled, [1.075299, -1.333133, 0.257834], atol=1e-5)


def test_v1_of_equal_rollouts_weighs_alike() -> None:
    """The mean of five times log .4 is off by a rounding, and their deviation would not be 0."""
    got = r3_v1(np.log(np.full((5, 2), [0.4, 0.7])))
    same(got, [(log(0.4) + log(0.7)) / 2] * 5, [0.5, 0.5], [0.0, 0.0])
    assert np.isnan(r3_v1(np.log(V1[:1])).reward_K).all()


@pytest.mark.parametrize(
    ("gamma", "distance", "expected"),
    [(0.5, 1, 0.514775), (0.5, 4, 0.891732), (0.0, 3, 0.2)],  # .2 + .8 (1 - e^(-gamma distance))
)
def test_doubt_is_passed_on(gamma, distance, expected) -> None:
    p = np.ones((1, distance + 1))
    p[0, 0] = 0.2
    reflective = np.zeros(distance + 1, bool)
    reflective[0] = True
    assert propagated(p, reflective, gamma)[0, -1] == pytest.approx(expected, abs=1e-6)


def test_doubt_of_two_tokens_multiplies_and_does_not_reach_back() -> None:
    """Third token: .5 x .2 x .4, as gamma 0 never fades; second: .4 x .2; the doubt of the third is
    passed on to nobody."""
    got = propagated(np.array([[0.2, 0.4, 0.5]]), np.array([True, True, True]), 0.0)
    np.testing.assert_allclose(got, [[0.2, 0.08, 0.04]])


def test_doubt_fades_with_the_distance_from_where_it_is() -> None:
    """Token 1 has .2; one place on the doubt is .2 + .8 (1 - e^-.5) = .514775, two places on
    .2 + .8 (1 - e^-1) = .705696."""
    reflective = np.array([False, True, False, False])
    got = propagated(np.array([[0.9, 0.2, 1.0, 1.0]]), reflective, 0.5)
    np.testing.assert_allclose(got, [[0.9, 0.2, 0.514775, 0.705696]], atol=1e-6)


def test_length() -> None:
    """1 - .5 x 20 / 100, no difference, 1 - .5 x 200 / 100; ten times the length is far below 0."""
    got = length_reward(np.array([120.0, 100.0, 300.0, 1000.0]), 100, 0.5)
    np.testing.assert_allclose(got, [0.9, 1.0, 0.0, -3.5])


@pytest.mark.parametrize(
    ("sigma", "expected"),
    [
        ([0.3, 0.2] + [0.01] * 18, 0.25),  # two of twenty
        ([0.3, 0.2] + [0.01] * 19, 0.17),  # three of twenty-one: (.3 + .2 + .01) / 3
        ([0.1, 0.4], 0.4),  # one at least
    ],
)
def test_dispersion(sigma, expected) -> None:
    assert dispersion(np.array(sigma)) == pytest.approx(expected)


def test_dispersion_of_nothing() -> None:
    assert np.isnan(dispersion(np.array([])))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: r3(np.array([[0.5, NAN], [0.1, 0.2]])), "1 rows of which only some is NaN"),
        (lambda: r3(np.array([[1.5], [0.1]])), "got 0 to 1.5"),
        (lambda: r3_v1(np.array([[0.5], [-0.1]])), "log-probabilities from -inf to 0"),
        (lambda: r3(np.zeros((2, 0))), "no token"),
        (lambda: r3(P, low=0.9), "expected 0 <= low < high <= 1"),
        (lambda: r3(P, omega=-1.0), "omega=-1"),
        (lambda: propagated(P, np.ones(5, bool), -1.0), "gamma=-1"),
        (lambda: length_reward(np.ones(2), 0, 0.5), "length 0"),
    ],
)
def test_what_is_refused(call, says) -> None:
    with pytest.raises(MethodError, match=says):
        call()


def oracle(rows: list[list[float]], omega: float) -> list[float] | None:
    """Version 2 from its definition, one number at a time."""
    clip = [[min(max(p, 0.05), 0.85) for p in row] for row in rows]
    tokens = range(len(rows[0]))
    keep = [
        j
        for j in tokens
        if not all(row[j] > 0.85 for row in rows) and not all(row[j] < 0.05 for row in rows)
    ]
    if not keep or len(rows) < 2:
        return None

    def deviation(values: list[float]) -> float:
        mean = sum(values) / len(values)
        return sqrt(sum((value - mean) ** 2 for value in values) / len(values))

    sigma = [deviation([row[j] for row in clip]) for j in keep]
    middle, away = sum(sigma) / len(sigma), deviation(sigma)
    power = [exp(omega * (each - middle) / (away + 1e-8)) for each in sigma]
    return [
        sum(share * row[j] for share, j in zip(power, keep, strict=True)) / sum(power)
        for row in clip
    ]


tables = st.integers(1, 6).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, 100).map(lambda n: n / 100), min_size=size, max_size=size),
        min_size=1,
        max_size=6,
    )
)


@given(tables, st.sampled_from([0.0, 1.0, 1.5, 4.0]), st.randoms(use_true_random=False))
def test_laws(rows, omega, chance) -> None:
    got, expected = r3(np.array(rows), omega=omega), oracle(rows, omega)
    if expected is None:
        assert np.isnan(got.reward_K).all()
        return
    np.testing.assert_allclose(got.reward_K, expected, atol=1e-9)
    assert got.weight_T.sum() == pytest.approx(1.0)
    assert ((got.reward_K >= 0.05 - 1e-12) & (got.reward_K <= 0.85 + 1e-12)).all()
    # rollouts in another order have their rewards in that order, tokens in another order the same
    order = chance.sample(range(len(rows)), len(rows))
    again = r3(np.array(rows)[order], omega=omega)
    np.testing.assert_allclose(again.reward_K, got.reward_K[order], atol=1e-9)
    turned = r3(np.array(rows)[:, ::-1], omega=omega)
    np.testing.assert_allclose(turned.reward_K, got.reward_K, atol=1e-9)
    # a rollout that was not scored moves nothing
    beside = r3(np.array([*rows, [NAN] * len(rows[0])]), omega=omega)
    np.testing.assert_allclose(beside.reward_K[:-1], got.reward_K, atol=1e-9)
    assert np.isnan(beside.reward_K[-1])


@given(tables, st.data())
def test_a_masked_baseline_changes_no_advantage(rows, data) -> None:
    logp = np.log(np.clip(np.array(rows), 1e-3, 1.0))
    size = logp.shape[1]
    masked = np.array(data.draw(st.lists(st.floats(-9, 0), min_size=size, max_size=size)))
    plain, other = r3_v1(logp).reward_K, r3_v1(logp, masked).reward_K
    if len(rows) > 1:
        np.testing.assert_allclose(plain - plain.mean(), other - other.mean(), atol=1e-9)
        assert r3_v1(logp).weight_T.sum() == pytest.approx(1.0)

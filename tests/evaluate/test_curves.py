import numpy as np
import pytest

from assay.errors import DataError, UsageError
from assay.evaluate.curves import curve, matched, powers
from assay.evaluate.diversity import answer_entropy, distinct, entropy

RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("n", "c", "k", "value"),
    # 1 - C(12,4)/C(16,4) = 1 - 495/1820; 1 - C(12,8)/C(16,8) = 1 - 495/12870
    [
        (16, 4, 1, 0.25),
        (16, 4, 4, 0.728022),
        (16, 4, 8, 0.961538),
        (4, 0, 4, 0.0),
        (4, 1, 4, 1.0),
    ],
)
def test_pass_at_k(n: int, c: int, k: int, value: float) -> None:
    found = curve(np.array([n]), np.array([c]), [k], rng=RNG(0), small=True)
    assert found.pass_at_k[0] == pytest.approx(value, abs=1e-6)


def test_pass_hat_k() -> None:
    # prompts 4 of 16 and 16 of 16: C(4,4)/C(16,4) = 1/1820 and 1, mean .500275
    found = curve(np.array([16, 16]), np.array([4, 16]), [4], rng=RNG(0))
    assert found.pass_hat_k[0] == pytest.approx((1 / 1820 + 1) / 2)
    assert found.pass_at_k[0] == pytest.approx((1 - 495 / 1820 + 1) / 2)


def test_half_the_samples_is_as_far_as_k_goes() -> None:
    total, passed = np.array([16, 16]), np.array([4, 0])
    assert len(curve(total, passed, [1, 8], rng=RNG(0)).ci) == 2
    with pytest.raises(UsageError, match="pass@16 from 16 samples: expected at least 32"):
        curve(total, passed, [1, 16], rng=RNG(0))
    assert curve(total, passed, [16], rng=RNG(0), small=True).pass_at_k == (0.5,)
    with pytest.raises(DataError, match="expected 1 to 16"):
        curve(total, passed, [17], rng=RNG(0), small=True)


@pytest.mark.parametrize(
    ("samples", "small", "ks"),
    [(256, False, 8), (16, True, 5), (17, False, 4), (1, False, 0), (1, True, 1)],
)
def test_powers(samples: int, small: bool, ks: int) -> None:
    assert powers(samples, small=small) == tuple(2**i for i in range(ks))


def test_the_interval_is_over_prompts() -> None:
    # every prompt the same: nothing varies between prompts, whatever the samples do, and to draw
    # them again tells nothing
    assert curve(np.full(20, 8), np.full(20, 3), [1, 4], rng=RNG(0)).ci == (None, None)
    assert curve(np.full(9, 8), np.arange(9) % 8, [1], rng=RNG(0)).ci == (None,)
    # half 0, half 1: a mean of 100 draws has sd .05
    halves = curve(np.full(100, 8), np.repeat([0, 8], 50), [1], rng=RNG(0)).ci[0]
    assert halves == pytest.approx((0.402, 0.598), abs=0.02)


def test_matched_compares_at_the_same_height() -> None:
    # One prompt kind, 8 samples. First run: passes 2 then 6 of 8. Second: 2, 4, 8.
    # At pass@1 = .5 the first is half way from 2 to 6: pass@4 = half of (1 - C(6,4)/C(8,4)
    # = 1 - 15/70) and (1: only 2 failures) = (.785714 + 1)/2; the second is there exactly, at its
    # checkpoint with 4: 1 - C(4,4)/C(8,4) = 1 - 1/70.
    first = np.array([[[2] * 5, [6] * 5]])
    second = np.array([[[2] * 5, [4] * 5, [8] * 5]])
    found = matched(first, second, [4], total=8, rng=RNG(0), at=0.5)
    assert found.first[0] == pytest.approx((1 - 15 / 70 + 1) / 2)
    assert found.second[0] == pytest.approx(1 - 1 / 70)
    gap = found.difference[0]
    assert gap.value == pytest.approx(1 - 1 / 70 - (1 - 15 / 70 + 1) / 2)
    assert (gap.low, gap.high) == pytest.approx((gap.value, gap.value))


def test_matched_takes_the_highest_that_both_reach() -> None:
    found = matched(
        np.array([[[2] * 3, [6] * 3]]), np.array([[[2] * 3, [4] * 3]]), [4], total=8, rng=RNG(0)
    )
    assert found.at == pytest.approx(0.5)


def test_matched_height_that_is_not_reached_is_refused() -> None:
    runs = np.array([[[2] * 3, [4] * 3]])
    with pytest.raises(UsageError, match=r"0\.900 is not reached"):
        matched(runs, runs, [4], total=8, rng=RNG(0), at=0.9)


def test_matched_draws_the_same_prompts_for_both() -> None:
    # the same run twice: no difference, and none in any draw
    runs = np.array([[[0, 1, 2, 8, 5], [3, 4, 2, 8, 7]]])
    gap = matched(runs, runs, [2, 4], total=8, rng=RNG(0)).difference
    assert all((each.low, each.value, each.high) == (0.0, 0.0, 0.0) for each in gap)


def test_matched_averages_seeds_and_does_not_pool_their_attempts() -> None:
    # Both arms pass half of all attempts at two prompts, k = 2 of n = 4, base 0. The first arm's
    # seeds pass one prompt each, all four times: pass@2 is .5 for either. Those of the second pass
    # two of four everywhere: 1 - C(2,2)/C(4,2) = 5/6. Pooled, both would pass 4 of 8 everywhere.
    first = np.array([[[0, 0], [4, 0]], [[0, 0], [0, 4]]])
    second = np.array([[[0, 0], [2, 2]], [[0, 0], [2, 2]]])
    found = matched(first, second, [2], total=4, rng=RNG(0), at=0.5)
    assert found.first == (0.5,)
    assert found.second == (pytest.approx(5 / 6),)


def test_matched_draws_whole_seeds() -> None:
    # One prompt: a seed at which the second arm has 4 of 4 against 2, one at which it has 2 against
    # 4. No prompt varies, so the interval is that of the seeds: heights differ from draw to draw.
    first = np.array([[[0], [2]], [[0], [4]]])
    second = np.array([[[0], [4]], [[0], [2]]])
    gap = matched(first, second, [2], total=4, rng=RNG(0)).difference[0]
    assert gap.value == 0.0
    # only the first seed: level .5; the first arm has 5/6 there, the second half of the way to 1
    assert (gap.low, gap.high) == pytest.approx((0.5 - 5 / 6, 5 / 6 - 0.5))


def test_matched_refuses_arms_of_other_seeds() -> None:
    with pytest.raises(DataError, match=r"\(2, 1, 3\) and \(1, 1, 3\)"):
        matched(np.ones((2, 1, 3), int), np.ones((1, 1, 3), int), [1], total=4, rng=RNG(0))


def test_entropy() -> None:
    assert entropy(np.full(4, 0.25)) == pytest.approx(1.386294, abs=1e-6)  # log 4
    assert entropy(np.array([0.7, 0.2, 0.1])) == pytest.approx(0.801819, abs=1e-6)
    assert entropy(np.array([1.0, 0.0])) == 0.0
    with pytest.raises(DataError, match=r"sum to 0\.5"):
        entropy(np.array([0.5]))


def test_answers() -> None:
    assert distinct(["a", "b", "a"]) == 2
    assert answer_entropy(["a", "b", "c", "d"]) == pytest.approx(1.386294, abs=1e-6)
    assert answer_entropy(["a"] * 5) == 0.0
    with pytest.raises(DataError, match="no answer"):
        answer_entropy([])

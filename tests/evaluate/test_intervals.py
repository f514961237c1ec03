import numpy as np
import pytest

from assay.errors import DataError
from assay.evaluate.intervals import (
    improvement_probability,
    iqm,
    paired_difference,
    stratified_interval,
    wilson,
)


@pytest.mark.parametrize(
    ("passed", "total", "interval"),
    # by the formula, z = 1.959964; 0/30: upper end z^2/(n + z^2) = 3.841459/33.841459
    [
        (9, 10, (0.595850, 0.982124)),
        (0, 30, (0.0, 0.113513)),
        (50, 100, (0.403832, 0.596168)),
    ],
)
def test_wilson(passed: int, total: int, interval: tuple[float, float]) -> None:
    assert wilson(passed, total) == pytest.approx(interval, abs=1e-6)


def test_wilson_refuses_more_passes_than_trials() -> None:
    with pytest.raises(DataError, match="3 of 2"):
        wilson(3, 2)


def test_iqm() -> None:
    # eight values, two cut at either end: mean of 2 3 4 5
    assert iqm(np.array([0.0, 1, 2, 3, 4, 5, 6, 100])) == 3.5
    # four over both axes, one cut at either end: mean of .5 .5
    assert iqm(np.array([[0.0, 0.5], [0.5, 1.0]])) == 0.5
    # six: one cut at either end, (1 + 2 + 3 + 10)/4
    assert iqm(np.array([20.0, 0, 1, 2, 3, 10])) == 4.0
    # three: a quarter of three is less than one, so none is cut
    assert iqm(np.array([1.0, 2.0, 3.0])) == 2.0


def test_improvement_probability_counts_ties_one_half() -> None:
    # .6 against .5 .7 .6: 1 + 0 + .5; .7: 1 + .5 + 1; .8: 3; 7 of 9
    first, second = np.array([[0.6], [0.7], [0.8]]), np.array([[0.5], [0.7], [0.6]])
    assert improvement_probability(first, second) == pytest.approx(7 / 9)


def test_a_constant_difference_has_an_interval_of_no_width() -> None:
    first = np.random.default_rng(1).random((3, 20))
    found = paired_difference(first, first + 0.25, rng=np.random.default_rng(0))
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert found.excludes_zero


def test_prompts_that_differ_wildly_cancel_in_pairs() -> None:
    # five hundred prompts, the second arm right on 20 more: sd of the difference is
    # sqrt(.04 * .96), so the half width is 1.96 * sqrt(.0384/500) = .01718
    first = np.zeros((1, 500))
    second = first.copy()
    second[0, :20] = 1.0
    found = paired_difference(first, second, rng=np.random.default_rng(0), over="prompts")
    assert found.value == pytest.approx(0.04)
    assert found.high - found.low == pytest.approx(2 * 0.01718, rel=0.06)


def test_seeds_that_disagree_widen_the_interval() -> None:
    # seed 0 gains .2 on every prompt, seed 1 nothing: over prompts alone there is no spread at all
    first = np.zeros((2, 50))
    second = np.repeat([[0.2], [0.0]], 50, axis=1)
    alone = paired_difference(first, second, rng=np.random.default_rng(0), over="prompts")
    seeds = paired_difference(first, second, rng=np.random.default_rng(0), over="seeds")
    both = paired_difference(first, second, rng=np.random.default_rng(0))
    assert alone.high - alone.low == pytest.approx(0.0, abs=1e-12)
    # two seeds drawn from two: both 0 in a quarter of draws, both .2 in a quarter
    assert (seeds.low, seeds.high) == pytest.approx((0.0, 0.2))
    assert (both.low, both.high) == pytest.approx((0.0, 0.2))
    assert not both.excludes_zero


def test_one_generator_one_answer() -> None:
    scores = np.random.default_rng(5).random((5, 4))
    twice = [stratified_interval(scores, rng=np.random.default_rng(3), draws=500) for _ in "ab"]
    assert twice[0] == twice[1]
    assert twice[0].low < twice[0].value < twice[0].high


def test_runs_are_drawn_apart_in_each_task() -> None:
    # two tasks in which one seed scored 0 and the other 1, the other way round: seeds drawn as
    # whole runs would always give a mean of .5, drawn apart they give 0 in 1 of 16 draws
    scores = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = stratified_interval(
        scores, rng=np.random.default_rng(0), of=lambda s: float(s.mean()), draws=2000
    )
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        paired_difference(np.array([[np.nan]]), np.array([[1.0]]), rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="no NaN"):
        stratified_interval(np.array([[np.nan]]), rng=np.random.default_rng(0))


def test_arms_with_other_prompts_are_refused() -> None:
    with pytest.raises(DataError, match="same seeds and prompts"):
        paired_difference(np.zeros((1, 2)), np.zeros((1, 3)), rng=np.random.default_rng(0))

"""How well credit tells the truth, by hand and by an oracle that draws row by row."""

import itertools

import numpy as np
import pytest

from assay.replay.truth import (
    METRICS,
    Number,
    Truth,
    auroc,
    drawn_weights,
    measured,
    metrics,
    rank_correlation,
    share,
)

ONE = np.ones((1, 1))


def column(*weights: float) -> np.ndarray:
    return np.array(weights, float)[:, None]


def truth_of(advantage, verdicts: str, task=None, weight=None) -> Truth:
    size = len(advantage)
    return Truth(
        np.array(advantage, float),
        np.array([v == "+" for v in verdicts]),
        np.array([v == "-" for v in verdicts]),
        np.ones(size) if weight is None else np.array(weight, float),
        np.arange(size) if task is None else np.array(task, np.int64),
    )


def test_auroc_by_hand():
    # right 3, 1; wrong 2, 1, 0: 3 beats all three; 1 beats 0 and ties 1: (3 + 1.5) / 6
    score = np.array([[3.0, 1.0, 2.0, 1.0, 0.0]])
    right = np.array([True, True, False, False, False])
    assert auroc(score, right, ~right, column(1, 1, 1, 1, 1)) == pytest.approx(4.5 / 6)
    # with weights 1, 3 and 1, 2, 1: (1 (1 + 2 + 1) + 3 (1 + 2 / 2)) / (4 x 4) = 10 / 16
    assert auroc(score, right, ~right, column(1, 3, 1, 2, 1)) == pytest.approx(10 / 16)
    # the mean over two scores, the second turned round: 1 - .75 there
    both = np.concatenate([score, -score])
    assert auroc(both, right, ~right, column(1, 1, 1, 1, 1)) == pytest.approx(0.5)
    assert np.isnan(auroc(score, right, np.zeros(5, bool), column(1, 1, 1, 1, 1))).all()
    assert np.isnan(auroc(score, right, ~right, column(0, 0, 1, 1, 1))).all()


def test_rank_correlation_by_hand():
    # ranks 1 2.5 2.5 4 and 2 1 3 4: deviations -1.5 0 0 1.5 and -.5 -1.5 .5 1.5;
    # (.75 + 0 + 0 + 2.25) / sqrt(4.5 x 5) = .632456
    first, second = np.array([1.0, 5.0, 5.0, 9.0]), np.array([0.2, 0.1, 0.3, 0.4])
    weight = column(1, 1, 1, 1)
    assert rank_correlation(first, second, weight) == pytest.approx(3 / np.sqrt(22.5))
    assert rank_correlation(first, np.ones(4), weight) == pytest.approx(np.nan, nan_ok=True)
    # a weight of 2 is the row twice: (1 1 5 5 9) with (.2 .2 .1 .3 .4)
    twice = rank_correlation(
        np.array([1.0, 1.0, 5.0, 5.0, 9.0]), np.array([0.2, 0.2, 0.1, 0.3, 0.4]),
        column(1, 1, 1, 1, 1),
    )  # fmt: skip
    assert rank_correlation(first, second, column(2, 1, 1, 1)) == pytest.approx(twice)


def test_every_metric_by_hand():
    truth = truth_of([0.5, -0.4, 0.0, 0.1], "+-..")
    found = metrics(truth, np.array([[1.0, -2.0, 0.0, -1.5]]), column(1, 1, 1, 1))
    # |credit| 1 2 against 0 1.5: 1 > 0, 1 < 1.5, 2 > both: 3 of 4
    assert found["auroc_matters"] == pytest.approx(0.75)
    assert found["auroc_sign"] == pytest.approx(1.0)
    assert found["sign"] == pytest.approx(1.0)
    # ranks 4 1 3 2 and 4 1 2 3: 1 - 6 (0 + 0 + 1 + 1) / 60
    assert found["rank"] == pytest.approx(0.8)
    # -2.5/4 / sqrt(7.25/4) less .2/4 / sqrt(.42/4)
    bias = -0.625 / np.sqrt(7.25 / 4) - 0.05 / np.sqrt(0.105)
    assert found["bias"] == pytest.approx(bias)
    # credit of 0 agrees one half; credit of 0 everywhere is level
    nothing = metrics(truth, np.zeros((1, 4)), column(1, 1, 1, 1))
    assert nothing["sign"] == nothing["auroc_sign"] == nothing["auroc_matters"] == 0.5
    assert nothing["bias"] == pytest.approx(-0.05 / np.sqrt(0.105))
    # what has no credit is left out: of the first two, both matter
    some = metrics(truth, np.array([[1.0, -2.0, np.nan, np.nan]]), column(1, 1, 1, 1))
    assert np.isnan(some["auroc_matters"]).all()
    assert some["rank"] == pytest.approx(1.0)


def test_a_draw_of_tasks_is_its_rows_again():
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(5), 4)
    truth = truth_of(rng.normal(size=20), "+-.." * 5, task, rng.random(20) + 0.5)
    credit = np.round(rng.normal(size=20), 1)
    weight = drawn_weights(truth, 6, rng)
    assert (weight[:, 0] == truth.weight_D).all()
    for draw in range(7):
        times = np.rint(weight[:, draw] / truth.weight_D).astype(int)
        assert times[::4].sum() == 5
        assert all(len(set(each)) == 1 for each in times.reshape(5, 4).tolist())
        again = np.repeat(np.arange(20), times)
        there = Truth(
            truth.advantage_D[again], truth.good_D[again], truth.bad_D[again],
            truth.weight_D[again], truth.task_D[again],
        )  # fmt: skip
        alone = metrics(there, credit[None, again], there.weight_D[:, None])
        together = metrics(truth, credit[None], weight)
        for name in METRICS:
            assert together[name][draw] == pytest.approx(alone[name][0], nan_ok=True)


def test_auroc_is_the_count_of_pairs():
    rng = np.random.default_rng(3)
    for _ in range(20):
        score = rng.integers(0, 5, 12).astype(float)
        label, weight = rng.integers(0, 3, 12), rng.random(12)
        won = whole = 0.0
        for i, j in itertools.product(range(12), repeat=2):
            if label[i] == 1 and label[j] == 0:
                won += (
                    weight[i]
                    * weight[j]
                    * (float(score[i] > score[j]) + (score[i] == score[j]) / 2)
                )
                whole += weight[i] * weight[j]
        found = auroc(score[None], label == 1, label == 0, weight[:, None])
        assert found[0] == pytest.approx(won / whole)


def controls(truth, credit, shuffled, seed=0):
    rng = np.random.default_rng(seed)
    weight = drawn_weights(truth, 300, rng)
    nothing = metrics(truth, rng.normal(size=(20, credit.size)), weight)
    return measured(truth, credit, shuffled, nothing, weight)


def test_credit_in_the_right_order_stands_above_its_shuffle_and_a_constant_does_not():
    # 40 tasks of four steps; the second of each matters, good in every other task
    good = np.tile([False, True, False, False, False, False, False, False], 20)
    bad = np.roll(good, 4)
    advantage = good * 0.5 - bad * 0.5
    verdicts = "".join("+" if g else "-" if b else "." for g, b in zip(good, bad, strict=True))
    truth = truth_of(advantage, verdicts, np.repeat(np.arange(40), 4))
    rng = np.random.default_rng(1)
    mixed = np.stack([rng.permuted(advantage.reshape(40, 4), axis=1).ravel() for _ in range(20)])
    found = controls(truth, advantage, mixed)
    for name in ("auroc_matters", "auroc_sign", "rank", "sign"):
        assert found[name].value.value == pytest.approx(1.0)
        assert found[name].over_shuffled.above_zero
        low, high = found[name].random.low, found[name].random.high
        assert low is not None
        assert high is not None
        assert low < {"rank": 0.0}.get(name, 0.5) < high
    still = np.repeat(rng.normal(size=40), 4)
    found = controls(truth, still, np.tile(still, (20, 1)))
    for name in METRICS:
        assert found[name].over_shuffled == Number(0.0, 0.0, 0.0)
        assert not found[name].over_shuffled.above_zero


def test_few_tasks_have_no_interval():
    truth = truth_of([0.5, -0.5, 0.0] * 3, "+-." * 3)
    found = controls(truth, truth.advantage_D, np.tile(truth.advantage_D[::-1], (3, 1)))
    assert found["rank"].value.value == pytest.approx(1.0)
    assert found["rank"].value.low is None
    assert not found["rank"].over_shuffled.above_zero


def test_shares_are_weighted():
    truth = truth_of([0.5, 0.0, 0.0], "+..", weight=[3.0, 1.0, 2.0])
    weight = drawn_weights(truth, 5, np.random.default_rng(0))
    assert share(truth.matters_D, np.ones(3, bool), weight, 3) == Number(0.5)

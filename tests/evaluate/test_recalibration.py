"""Platt's two numbers: by hand, against an optimiser, and what they promise."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.errors import DataError
from assay.evaluate.calibration import auroc, brier
from assay.evaluate.recalibration import Platt, cross_fitted, fit
from assay.records import ModelStep, Trajectory

few = settings(max_examples=20, deadline=None)


def drawn(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Confidence of eleven values, too sure by half of its log-odds."""
    rng = np.random.default_rng(seed)
    q = rng.integers(0, 11, n) / 10
    true = 1 / (1 + np.exp(-0.5 * np.log((q + 0.01) / (1.01 - q))))
    return q, rng.random(n) < true


def test_of_one_value_the_rate_by_hand() -> None:
    # log-odds of .5 are 0, so the intercept alone decides. Targets 4/5 thrice and 1/3:
    # mean (2.4 + .333333)/4 = .683333
    made = fit(np.full(4, 0.5), np.array([True, True, True, False]))
    assert made(0.5) == pytest.approx(0.683333, abs=1e-3)
    assert made.slope == pytest.approx(1.0, abs=1e-9)
    assert made.samples == 4


def test_what_it_is_worth_by_hand() -> None:
    # .8 has odds of 4: half the log-odds are odds of 2; one more is odds of 2 e
    assert Platt(0.5, 0.0)(0.8) == pytest.approx(2 / 3, abs=1e-12)
    assert Platt(0.5, 1.0)(0.8) == pytest.approx(2 * np.e / (1 + 2 * np.e), abs=1e-12)
    assert Platt(1.0, 0.0)(0.37) == pytest.approx(0.37, abs=1e-12)
    # 0 and 1 count as .001 and .999
    assert Platt(1.0, 0.0)(1.0) == pytest.approx(0.999)
    assert Platt(1.0, 0.0)(0.0) == pytest.approx(0.001)
    assert np.isnan(Platt(1.0, 0.0).on(np.array([np.nan]))[0])


@few
@given(seed=st.integers(0, 999))
def test_an_optimiser_finds_the_same(seed: int) -> None:
    from scipy.optimize import minimize

    q, right = drawn(seed)
    up, down = right.sum(), (~right).sum()
    target = np.where(right, (up + 1) / (up + 2), 1 / (down + 2))
    odds = np.log(np.clip(q, 1e-3, 0.999)) - np.log(1 - np.clip(q, 1e-3, 0.999))

    def loss(at: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-(at[0] * odds + at[1])))
        likely = target * np.log(p) + (1 - target) * np.log(1 - p)
        return -likely.sum() + 5e-4 * ((at[0] - 1) ** 2 + at[1] ** 2)

    best = minimize(loss, np.array([1.0, 0.0]), tol=1e-10).x
    made = fit(q, right)
    np.testing.assert_allclose([made.slope, made.intercept], best, atol=1e-4)


@few
@given(seed=st.integers(0, 999))
@example(seed=329)  # where the last steps differ by rounding alone
def test_it_keeps_the_order_and_does_not_see_that_of_rows(seed: int) -> None:
    q, right = drawn(seed)
    made = fit(q, right)
    worth = made.on(q)
    if made.slope > 0:
        assert auroc(worth, right) == pytest.approx(auroc(q, right), abs=1e-12)
    order = np.random.default_rng(seed).permutation(q.size)
    again = fit(q[order], right[order])
    assert (again.slope, again.intercept) == pytest.approx((made.slope, made.intercept), abs=1e-12)


def test_what_does_not_overlap_stays_finite() -> None:
    made = fit(np.array([0.1, 0.1, 0.9, 0.9]), np.array([False, False, True, True]))
    assert np.isfinite([made.slope, made.intercept]).all()
    assert made(0.9) == pytest.approx(0.75, abs=0.01)  # (2 + 1)/(2 + 2)


def test_it_mends_what_is_too_sure_on_tasks_that_it_did_not_see() -> None:
    q, right = drawn(3, 4000)
    task = np.arange(4000) // 4
    worth = cross_fitted(q, right, task)
    assert brier(worth, right) < brier(q, right) - 0.005
    # each half by the other's numbers
    other = fit(q[task % 2 == 1], right[task % 2 == 1]).on(q[task % 2 == 0])
    np.testing.assert_array_equal(worth[task % 2 == 0], other)
    # of one task nothing is known of others
    np.testing.assert_array_equal(cross_fitted(q, right, np.zeros(4000, int)), q)


def test_it_is_saved_and_applied(tmp_path: Path) -> None:
    made = Platt(0.5, 0.25, 120)
    made.save(tmp_path / "worth.json")
    assert Platt.load(tmp_path / "worth.json") == made
    steps = (ModelStep(text="a"), ModelStep(text="b", confidence=0.8))
    record = Trajectory(id="x", task="t", group="g", outcome=1.0, steps=steps)
    told = made.applied(record)
    assert told.steps[0] == steps[0]
    assert told.steps[1].confidence == made(0.8)
    assert record.steps[1].confidence == 0.8


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema": "assay.eval/1"}',
        json.dumps({"schema": "assay.recalibration/1", "slope": "x", "intercept": 0}),
        json.dumps({"schema": "assay.recalibration/1", "slope": 1, "intercept": 0, "odd": 1}),
        '{"schema": "assay.recalibration/1", "slope": NaN, "intercept": 0}',
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "worth.json").write_text(text)
    with pytest.raises(DataError, match=r"worth\.json.*expected|worth\.json.*must be finite"):
        Platt.load(tmp_path / "worth.json")


def test_nothing_to_fit_is_refused() -> None:
    with pytest.raises(DataError, match="0 confidences, 0 answers"):
        fit(np.zeros(0), np.zeros(0, bool))

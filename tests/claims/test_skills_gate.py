"""The gate of skills in the world: chances by hand, trials against drawn ones, the page."""

import numpy as np
import pytest

from assay.claims import Row, Rows
from assay.claims.cells import Cell
from claims import skills_gate as experiment
from tests.claims.pages import checked


def test_chances_of_pairs_by_hand():
    """Two tasks, two attempts a side; told 2 and 0, bare 1 and 0.

    Told alone where it is read: 2 x (2 - 1) / 4 = .5 and 0, mean .25; bare alone: 0. Two different
    bare attempts: 1 x 1 / (2 x 1) = .5 and 0, mean .25 either way. Read in half of the pairs:
    .5 x .25 + .5 x .25 = .25 and .5 x 0 + .5 x .25 = .125."""
    even = np.array([[0.5, 0.5]])
    found = [
        experiment.chances(np.array([2, 0]), np.array([1, 0]), 2, even, dose)[0].tolist()
        for dose in (1.0, 0.5, 0.0)
    ]
    assert found == [[0.25, 0.0], [0.25, 0.125], [0.25, 0.25]]


@pytest.mark.parametrize(
    ("told", "bare", "pairs", "said"),
    [
        (0.142564, 0.142564, 64, 0.107),
        (0.142564, 0.142564, 128, 0.098),
        (0.201342, 0.101342, 64, 0.596),
        (0.201342, 0.101342, 128, 0.791),
    ],
)
def test_what_is_simulated_elsewhere_comes_out_exactly(
    told: float, bare: float, pairs: int, said: float
):
    """Simulated with a Gaussian copula of correlation .6, base .4: of two normal numbers that are
    both below the quantiles of .4 and .4 (.5 and .4) P = .257436 (.298658)."""
    found = experiment.admits(np.array([[told, bare]]), pairs)
    assert found[0] == pytest.approx(said, abs=0.0075)


def test_trials_drawn_one_by_one_admit_as_often():
    """The bound is v - 1.281552 sqrt((s - v^2) / n) above 0, of drawn counts."""
    drawn_T3 = np.random.default_rng(1).multinomial(48, [0.2, 0.1, 0.7], 40_000)
    v = (drawn_T3[:, 0] - drawn_T3[:, 1]) / 48
    s = (drawn_T3[:, 0] + drawn_T3[:, 1]) / 48
    by_lot = np.mean(v - 1.281552 * np.sqrt((s - v * v) / 48) > 0)
    assert experiment.admits(np.array([[0.2, 0.1]]), 48)[0] == pytest.approx(by_lot, abs=0.01)


def test_the_lesson_is_shown_as_often_as_makes_it_worth_ten_points():
    """Alike tasks, 8 attempts: 2 pass bare, 6 with the lesson, a gain of .5, so that it is shown
    in a fifth. Told alone .2 x 6 x 6 / 64 + .8 x 2 x 6 / 56, bare alone .2 x 2 x 2 / 64 + the
    same: they differ by .1. Resampled tasks are the same tasks, so the interval is a point."""
    passed = {"nothing": 2, "empty": 2, "lesson": 6}
    rows = Rows(
        Row(Cell(env="gate", start="mixed", arm=arm, seed=1).data(), {"0": [n] * 4}, 8)
        for arm, n in passed.items()
    )
    seen = experiment.admitted(rows, "mixed", "lesson", 64)
    assert seen is not None
    assert seen.estimate is not None
    same = 0.8 * 12 / 56
    chances = np.array([[0.2 * 36 / 64 + same, 0.2 * 4 / 64 + same]])
    assert chances[0, 0] - chances[0, 1] == pytest.approx(0.1)
    expected = experiment.admits(chances, 64)[0]
    got = (seen.estimate.value, seen.estimate.low, seen.estimate.high)
    assert got == pytest.approx((expected,) * 3)
    assert experiment.admitted(rows, "renamed", "lesson", 64) is None


def test_the_page_is_what_the_committed_rows_say():
    checked("skills_gate")

"""Simulated labels that err: worlds in small, by hand where that can be, and the page."""

import numpy as np

from claims import label_noise as experiment
from tests.claims.pages import checked

RNG = np.random.default_rng


def test_judges_err_as_often_as_they_are_said_to():
    passed = np.tile([[True, False]], (20_000, 1))
    seen = experiment.accepts(RNG(0), passed, np.array([0.3, 0.3]), np.array([0.05, 0.05]))
    np.testing.assert_allclose(seen.mean(0), [0.95, 0.3], atol=0.01)


def test_advantages_are_those_of_the_method():
    # 1 1 0 0 of A, 1 0 of B: see tests/kernels/test_noise.py
    seen = np.array([[1.0, 1, 0, 0, 1, 0]])
    rho0, rho1 = np.array([[0.3] * 4 + [0.02] * 2]), np.array([[0.05] * 4 + [0.2] * 2])
    found = experiment.advantages(seen, rho0, rho1)
    expected = [[0.749346, 0.749346, -1.050759, -1.050759, 1.036953, -0.584465]]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    both = experiment.advantages(
        np.vstack([seen, 1 - seen]), np.vstack([rho0] * 2), np.vstack([rho1] * 2)
    )
    np.testing.assert_allclose(both[0], found[0], atol=1e-12)


def test_climbing_goes_up_and_leaves_out_what_has_no_worth():
    start = np.log([0.5, 0.3, 0.2])
    up = experiment.climbed(start, np.array([1.0, 0.0, 0.0]), 500)
    assert up[0] > 0.95
    # one step by hand: A = (.5, -.5, -.5), p A - p (p.A): p.A = 0; logits + .1 (.25, -.15, -.1)
    once = experiment.climbed(start, np.array([1.0, 0.0, 0.0]), 1)
    grown = np.array([0.5, 0.3, 0.2]) * np.exp([0.025, -0.015, -0.01])
    np.testing.assert_allclose(once, grown / grown.sum(), atol=1e-12)
    # left out: the baseline is that of the others, .625; A = (.375, -.625, 0), p.A = 0
    without = experiment.climbed(start, np.array([1.0, 0.0, np.nan]), 1)
    grown = np.array([0.5, 0.3, 0.2]) * np.exp([0.01875, -0.01875, 0.0])
    np.testing.assert_allclose(without, grown / grown.sum(), atol=1e-12)


def test_the_page_is_what_the_committed_rows_say():
    rows, verdicts = checked("label_noise")
    assert len(rows.rows) == 5 * len(experiment.WORLDS)
    assert set(verdicts.values()) == {"held"}, "else say so in docs/label_noise.md"

"""The table that is taught to be honest: its arithmetic by hand, and the page."""

import numpy as np

from assay.claims.results import Row
from claims import calibration as experiment
from tests.claims.pages import checked


def test_what_answers_earn():
    right, stated = np.array([[True, False]]), np.array([[0.9, 0.9]])
    np.testing.assert_allclose(experiment.paid("brier", 0.5, right, stated), [[0.995, -0.405]])
    np.testing.assert_allclose(
        experiment.paid("log", 1.0, right, stated), [[1 + np.log(0.9), np.log(0.1)]]
    )
    sure = experiment.paid("log", 1.0, np.array([[False]]), np.array([[1.0]]))
    np.testing.assert_allclose(sure, [[np.log(1e-3)]])


def test_the_table_starts_honest_and_half_of_the_time(monkeypatch):
    monkeypatch.setattr(experiment, "UPDATES", 0)
    np.testing.assert_allclose(experiment.tabled("brier-1", 1), 0.5)


def test_honest_answers_show_an_error():
    # ten bins of ten: about sqrt(2/pi) sqrt(p (1 - p) / 10), a tenth
    assert 0.08 < experiment.honest_ece(100, 0) < 0.12
    assert experiment.honest_ece(10000, 0) < 0.02


def test_numbers_of_a_row():
    row = Row({}, {"8": [3, 1]}, 4, about={"ece": 0.25, "ece_null": {"upper": 0.0625}})
    assert experiment.value(row, "passed") == 0.5
    assert experiment.value(row, "excess") == 0.125
    assert experiment.value(row, "ece") == 0.25


def test_the_page_is_what_the_committed_rows_say():
    checked("calibration")

"""Simulated judges: worlds in small, by hand where that can be, and the page."""

import numpy as np
import pytest

from claims import judges as experiment
from tests.claims.pages import checked


def test_marks_and_who_is_better_by_hand():
    # 5.5 + 1 and 5.5 - 1 round to 6 and 4 (to even); 5.5 + 6 is cut to 10, 5.5 - 6 to 1
    np.testing.assert_array_equal(
        experiment.marks(np.array([2.0, 12.0, -2.0])), [[6, 4], [10, 1], [4, 6]]
    )
    total = np.array([[3.0, 1.0], [2.0, 2.0], [2.0, 2.0], [0.0, 1.0]])
    assert experiment.better(total, np.array([0.9, 0.1, 0.9, 0.1])) == 0.5


def test_ranks_correlate_by_hand():
    # ranks 1 2 3 4 with 1.5 1.5 3.5 3.5: covariance 4 of sqrt(5 * 4)
    right = np.array([False, False, True, True])
    assert experiment.spearman(np.arange(4.0), right) == pytest.approx(4 / 20**0.5)


def test_the_page_is_what_the_committed_rows_say():
    rows, verdicts = checked("judges")
    assert len(rows.rows) == 5 * len(experiment.WORLDS)
    lost = {name for name, verdict in verdicts.items() if verdict != "held"}
    assert (lost, verdicts["18d"]) == ({"18d"}, "refuted"), "else say so in docs of reasonflux"

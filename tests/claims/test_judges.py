"""Simulated judges: worlds in small, by hand where that can be, and the page."""

import numpy as np
import pytest

from assay.claims import committed, load
from assay.claims.cells import Cell, Scale
from assay.claims.page import page, summary
from claims import judges as experiment
from tests.claims.test_structure import CLAIMS

SMALL = Scale(name="quick", steps=60, prompts=30, held_out=1, samples=8, seeds=1)


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


@pytest.mark.parametrize("arm", experiment.WORLDS)
def test_a_cell_is_the_same_again_and_another_at_another_seed(arm, tmp_path):
    def run(seed):
        cell = Cell(env="simulated", start="known", arm=arm, seed=seed)
        return experiment.work(cell, SMALL, tmp_path).about["seen"]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_the_page_is_what_the_committed_rows_say():
    known = load(CLAIMS)["judges"]
    rows = committed(CLAIMS, "judges")
    assert len(rows.rows) == 5 * len(experiment.WORLDS)
    said = (CLAIMS.parent / "docs" / "claims" / "judges.md").read_text("utf-8")
    assert said == page(known, rows, {}), "assay claims show judges -o docs/claims"
    verdicts = {each["id"]: each["verdict"] for each in summary(known, rows)["predictions"]}
    lost = {name for name, verdict in verdicts.items() if verdict != "held"}
    assert (lost, verdicts["18d"]) == ({"18d"}, "refuted"), "else say so in docs of reasonflux"

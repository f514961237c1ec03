"""The claim on live learning: measures by hand on made-up rows, and the committed page."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.claims import Row, Rows
from assay.claims.cells import Cell
from claims import live as experiment
from tests.claims.pages import checked

CLAIMS = Path(__file__).parents[2] / "claims"


def row(arm: str, seed: int, understood: list[float]) -> Row:
    cell = Cell(env=experiment.ENV, start="words", arm=arm, seed=seed)
    about: dict[str, Any] = {"understood": understood}
    return Row(cell.data(), {"0": [0] * len(understood)}, 1, about=about)


def test_gaps_are_of_the_same_requests_and_seeds():
    """Base .1 and .3 on two requests; combined .5, .7 and .7, .9: .6, .8 less .1, .3 is .5."""
    rows = Rows([
        row("base", 0, [0.1, 0.3]),
        row("combined", 1, [0.5, 0.7]),
        row("combined", 2, [0.7, 0.9]),
        row("hints", 1, [0.4, 0.7]),
    ])  # fmt: skip
    seen = experiment.gap(rows, "base", "combined")
    assert seen is not None
    assert seen.estimate is not None
    assert (seen.estimate.value, seen.seeds) == (pytest.approx(0.5), 2)
    seen = experiment.gap(rows, "hints", "combined")
    assert seen is not None
    assert seen.estimate is not None
    assert (seen.estimate.value, seen.seeds) == (pytest.approx(0.05), 1)
    assert experiment.gap(rows, "binary", "combined") is None


def test_cells_are_of_one_dose():
    made = [*experiment.cells(experiment.SCALES["full"], 5)]
    assert len(made) == 1 + 5 * 7
    assert {each.seed for each in made if each.arm != "base"} == {1, 2, 3, 4, 5}


def test_the_page_is_what_the_committed_rows_say():
    rows, verdicts = checked("live")
    assert len(rows.rows) == 36
    assert all(each.about["skipped"] == 0 for each in rows.rows)
    ends = {arm: np.mean([r.about["curve"][-1] for r in rows.find("live", "words", arm)])
            for arm in experiment.ARMS}  # fmt: skip
    assert ends["combined"] > ends["hints"] > ends["binary"] > ends["misled"] > ends["shuffled"]
    assert ends["misled_measured"] == ends["binary"]  # no hint was heard: the same updates
    assert {*verdicts.values()} == {"held"}

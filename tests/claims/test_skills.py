"""The skills claim: its measures by hand, and the page."""

import numpy as np
import pytest

from assay.claims import Row, Rows
from assay.claims.cells import Cell
from claims import skills as experiment
from tests.claims.pages import checked


def row(arm: str, seed: int, passed: list[int], read: float) -> Row:
    cell = Cell(env="lookup", start="2 hops", arm=arm, seed=seed)
    return Row(cell.data(), {"0": passed}, 4, tokens=1, about={"read": read})


def test_gaps_and_tokens_by_hand():
    made = [
        row("raw", 1, [0, 2], 60.0),
        row("raw", 2, [1, 1], 80.0),
        row("asymmetric", 1, [4, 2], 20.0),
        row("asymmetric", 2, [1, 3], 40.0),
    ]
    rows = Rows(made)
    seen = experiment.gap(rows, "2 hops", "raw", "asymmetric")
    assert seen is not None
    # (6 - 2) / 8 and (4 - 2) / 8
    assert seen.estimate is not None
    assert seen.estimate.value == pytest.approx((4 + 2) / 16)
    more = experiment.times(rows, "2 hops", "raw", "asymmetric")
    assert more is not None
    assert more.estimate is not None
    assert more.estimate.value == pytest.approx(np.mean([3.0, 2.0]))
    assert experiment.gap(rows, "2 hops", "raw", "lessons") is None


def test_the_page_is_what_the_committed_rows_say():
    checked("skills")

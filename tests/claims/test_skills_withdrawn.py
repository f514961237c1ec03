"""What stays of a skill bank, and refusals: measures by hand, the page."""

import pytest

from assay.claims import Row, Rows
from assay.claims.cells import Cell
from claims import skills_withdrawn as experiment
from tests.claims.pages import checked


def row(arm: str, seed: int, bare: list[int], told: list[int], refused: list[int]) -> Row:
    cell = Cell(env="lookup", start="2 hops", arm=arm, seed=seed)
    return Row(cell.data(), {"0": bare}, 4, about={"told": told, "refused": refused})


def test_gaps_by_hand():
    rows = Rows(
        [
            row("grpo", 1, [0, 1], [2, 2], [1, 0]),
            row("grpo", 2, [1, 0], [1, 1], [1, 1]),
            row("bare", 2, [2, 1], [4, 4], [0, 1]),
            row("bare", 1, [1, 1], [4, 3], [1, 0]),
        ]
    )
    wanted = {
        # (2 - 1) / 8 and (3 - 1) / 8
        (("grpo", "bare"), ("bare", "bare")): 3 / 16,
        # 7 / 8 and 8 / 8, less 1 / 8 and 1 / 8
        (("grpo", "bare"), ("bare", "told")): 13 / 16,
        # of two questions each: 1 and 1 against 1 and 2
        (("grpo", "refused"), ("bare", "refused")): -1 / 4,
    }
    for (less, more), value in wanted.items():
        seen = experiment.gap(rows, less, more)
        assert seen is not None
        assert seen.estimate is not None
        assert seen.estimate.value == pytest.approx(value)
    assert experiment.gap(rows, ("kept", "told"), ("bare", "bare")) is None


def test_the_page_is_what_the_committed_rows_say():
    rows, verdicts = checked("skills_withdrawn")
    assert len(rows.rows) == 30
    assert verdicts["W0"] == "held"
    assert verdicts["W3"] == "refuted"

"""What of a question counts as misled, and the page that is committed."""

import numpy as np
import pytest

from assay.claims import Row, Rows, committed
from claims import rlag as experiment
from tests.claims.pages import checked
from tests.claims.test_structure import CLAIMS


def row(arm: str, start: str, seed: int, closed: list[int]) -> Row:
    cell = {"env": "almanac", "start": start, "arm": arm, "seed": seed, "minibatches": 1,
            "batch": 1, "length": 1, "false_negatives": 0.0}  # fmt: skip
    return Row(cell, {"0": closed}, 1, about={"misled": [1, 0, 1], "open": [1, 1, 1]})


def test_differences_by_hand():
    rows = Rows([
        row("base", "wrong", 0, [1, 0, 0]),
        *(row("corrected", "wrong", seed, [1, 1, 0]) for seed in (1, 2)),
        *(row("distilled", "wrong", seed, [0, 1, 0]) for seed in (1, 2)),
        *(row("cpt", "clean", seed, [0, 1, 0]) for seed in (1, 2)),
        *(row("corrected", "clean", seed, [1, 1, 0]) for seed in (1, 2)),
    ])  # fmt: skip
    # of questions 1 and 3, which mislead, one more of two is wrong without a filter
    for first in ("corrected", "base"):
        seen = experiment.misled(rows, first)
        assert seen is not None
        assert (seen.estimate.value, seen.seeds) == (0.5, 2)
    seen = experiment.gap(rows, "cpt", "corrected")
    assert seen is not None
    assert seen.estimate.value == pytest.approx(1 / 3)
    assert experiment.gap(rows, "cpt", "random") is None


def test_every_arm_reads_as_many_tokens():
    rows = committed(CLAIMS, "rlag")
    read = np.array([each.tokens for each in rows.rows if each.cell["arm"] != "base"])
    assert (abs(read / experiment.TOKENS - 1) < 0.2).all()


def test_the_page_is_what_the_committed_rows_say():
    rows, verdicts = checked("rlag")
    assert len(rows.rows) == 2 + 5 * (len(experiment.CLEAN) + len(experiment.MISLED))
    assert {id for id, verdict in verdicts.items() if verdict == "open"} == {"16 a", "17 b"}
    assert {*verdicts.values()} == {"held", "open"}

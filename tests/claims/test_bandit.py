"""The bandit's runs: which held-out task is of which domain, what is run first, and the page."""

import numpy as np

from assay.claims import Row, Rows, committed
from assay.claims.cells import Cell
from assay.claims.page import page
from assay.runs.config import parsed
from assay.world.several import domains
from claims import bandit as experiment
from tests.claims.test_structure import CLAIMS


def run(arm: str, seed: int, passed: list[int]) -> Row:
    cell = Cell(env=experiment.ENV, start=experiment.START, arm=arm, seed=seed)
    return Row(cell.data(), {"18": passed}, 4, tokens=1)


def test_held_out_tasks_are_told_apart_by_domain():
    scale = experiment.SCALES["full"]
    config = parsed(next(c for c in experiment.cells(scale, 1) if c.seed).tables(scale))
    assert domains(config.env.name) == experiment.DOMAINS
    assert config.eval.first_task % len(experiment.DOMAINS) == 0
    rows = Rows(
        [
            run("uniform", 1, [4, 2, 0, 0, 2, 2, 1, 0]),
            run("uniform", 2, [4, 4, 0, 0, 4, 4, 0, 0]),
            run("tac", 1, [4, 4, 0, 0, 4, 2, 0, 0]),
        ]
    )
    found = experiment.rates(rows, "uniform")
    # lookup: (4 + 2) / 8 and 8 / 8; lake: 1 / 8 and 0
    np.testing.assert_allclose(found["lookup/even"], [0.75, 1.0])
    np.testing.assert_allclose(found["lake/hard"], [0.125, 0.0])
    assert experiment.by_domain(rows, "lake/hard", "random", "tac") is None
    seen = experiment.by_domain(rows, "lake/hard", "uniform", "tac")
    assert seen is not None
    assert (seen.seeds, seen.estimate) == (1, None), "one pair has no interval"


def test_what_the_prediction_needs_is_run_first():
    arms = [cell.arm for cell in experiment.cells(experiment.SCALES["full"], 2)]
    first = ["uniform", "random", "tac"]
    assert arms == ["base", "null", *first, *first, "learnability", "learnability"]


def test_the_page_is_that_of_the_rows():
    rows = committed(CLAIMS, "bandit")
    shown = (CLAIMS.parent / "docs" / "claims" / "bandit.md").read_text()
    assert shown == page(experiment.EXPERIMENT, rows, {})

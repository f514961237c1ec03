"""What a policy does, counted by hand; and what predictions read of it."""

import numpy as np
import pytest

from assay.claims import Row, Rows, measures
from assay.claims.behaviour import behaviour, of_records
from assay.claims.cells import Cell
from assay.records import write
from tests.credit.worlds import one, turn


def believing(*beliefs, prior=-4.0, outcome=0.0):
    return one(outcome, steps=[turn(belief=each) for each in beliefs], prior=prior)


def test_turns_calls_and_errors_in_passes():
    passed = one(1.0, steps=[turn(True, False), turn(True, None), turn()])
    failed = one(0.0, steps=[turn(False)])
    seen = of_records([passed, failed])
    assert (seen["turns"], seen["failing_turns"], seen["calls"]) == (2.0, 1.0, 2.5)
    # of the four calls in the pass three are known, one of them did not run; the failure's do not
    # count
    assert seen["errors_in_passes"] == pytest.approx(1 / 3)
    assert seen["reversals"] is None


def test_reversals_are_turns_of_the_belief():
    # -4 -2 -4 -2: up, down, up is two; -4 -3 -3 -1 only rises; without a prior and with one belief
    # there is nothing to see
    seen = of_records([believing(-2, -4, -2), believing(-3, -3, -1), believing(-1, prior=None)])
    assert seen["reversals"] == 1.0
    assert of_records([one(1.0, steps=[turn()])])["failing_turns"] is None


def test_the_last_quarter_of_the_batches_counts(tmp_path):
    for step in range(1, 9):
        steps = [turn() for _ in range(1 if step < 7 else 3)]
        write(tmp_path / f"step_{step:06d}.jsonl", [one(0.0, steps=steps)])
    assert behaviour(tmp_path)["turns"] == 3.0


def behaving(arm, seed, calls):
    cell = Cell(env="lookup", start="weak", arm=arm, seed=seed)
    return Row(cell.data(), {"9": [1]}, 4, about={"behaviour": {"calls": calls}})


def test_more_of_a_behaviour_as_a_factor_less_1():
    # differences 1 and 3 over a mean of 2: .5 and 1.5, mean 1, deviation .7071, t(1) = 12.706
    pairs = [("a", 0, 1.0), ("a", 1, 3.0), ("b", 0, 2.0), ("b", 1, 6.0)]
    seen = measures.behaves(
        Rows([behaving(*each) for each in pairs]), "a", "b", "calls", "lookup", "weak"
    )
    assert seen is not None
    assert seen.estimate is not None
    assert (seen.estimate.value, seen.seeds) == (1.0, 2)
    assert seen.estimate.high == pytest.approx(1 + 12.7062 * 0.5, abs=1e-3)
    assert measures.behaves(Rows([]), "a", "b", "calls", "lookup", "weak") is None
    none = [behaving("a", 0, None), behaving("b", 0, 1.0)]
    seen = measures.behaves(Rows(none), "a", "b", "calls", "lookup", "weak")
    assert seen == measures.Seen(None, 1)


def test_one_value_has_no_interval():
    assert measures.student(np.array([1.0])) is None

"""HCAPO against values worked out by hand, to 1e-5, and against a loop."""

from math import exp, log
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.credit import method
from assay.errors import AssayError, MethodError
from assay.records import Trajectory
from tests.credit.worlds import batch_of, group, one, turn

NAN = float("nan")


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, float), expected, atol=1e-5)


def told(outcome: float | None, *hindsight: float | None, **fields: Any) -> Trajectory:
    """A trajectory of one-token steps with these mean log-probabilities in hindsight."""
    steps = [turn(scores={"hindsight": each}) for each in hindsight]
    return one(outcome, steps=steps, **fields)


# a success of two steps of which hindsight makes .9 and .6 (after the temperature of 5), mean .75:
# ratios 1.2 and .8; Q 1.2 * .95 = 1.14 and .8; a failure of two steps: 0 0.
# R: mean .5, deviation .5: +-1. Q: mean .485, squares .429025 .099225 .235225 .235225, ddof 0:
# sqrt(.249675) = .499675: 1.310852 .630410 -.970631 -.970631
VECTOR = [told(1.0, 5 * log(0.9), 5 * log(0.6)), told(0.0, -1.0, -2.0)]


def test_hcapo():
    got = method("hcapo")(batch_of(VECTOR))
    close(got.made[1].term.value_U, [1.14, 0.8, 0.0, 0.0])
    close(got.total, [2.310852, 1.63041, -1.970631, -1.970631])
    close(method("hcapo", w=0.5)(batch_of(VECTOR)).total[0], 1.655426)
    close(method("hcapo", w=0.0)(batch_of(VECTOR)).total, [1.0, 1.0, -1.0, -1.0])


def test_a_success_is_not_charged_for_a_step_and_a_partial_one_is():
    # gamma 0: Q is 1.2 at the last step of the success, 0 before: mean .4, deviation .565685
    likely = told(1.0, -9.0, 0.0)
    got = method("hcapo", gamma=0.0)(batch_of([likely, told(0.0, -1.0)]))
    close(got.made[1].term.value_U, [0.0, 1.2, 0.0])
    close(got.parts["hindsight"], [0.0, 1.414211, -0.707105])
    half = one(0.5, steps=likely.steps)
    got = method("hcapo", gamma=0.0)(batch_of([half, told(0.0, -1.0)])).parts["hindsight"]
    close(got, [-0.707104, 1.414209, -0.707104])
    assert method("hcapo", gamma=0.0, pass_at=0.5)(batch_of([half, told(0.0, -1.0)])).total[0] > 0


def test_ratios_are_cut_and_do_not_vanish():
    # -4000 and -4010: exp(-800) is 0 in floats, but 1 and exp(-2) against each other
    got = method("hcapo", gamma=1.0)(batch_of([told(1.0, -4000.0, -4010.0), told(0.0, 0.0)]))
    close(got.made[1].term.value_U, [1.2, 0.8, 0.0])
    wide = {"low": 0.0, "high": 5.0, "gamma": 1.0}
    got = method("hcapo", **wide)(batch_of([told(1.0, -4000.0, -4010.0), told(0.0, 0.0)]))
    mean = (1 + exp(-2)) / 2
    close(got.made[1].term.value_U, [1 / mean, exp(-2) / mean, 0.0])


def test_what_has_no_score_counts_once_and_what_was_copied_not_at_all():
    shown = turn(scores={"hindsight": -50.0}, untrainable="copied")
    steps = [shown, turn(scores={"hindsight": -1.0}), turn(), turn(scores={"hindsight": -1.0})]
    got = method("hcapo", gamma=0.5)(batch_of([one(1.0, steps=steps), told(0.0, -1.0)]))
    close(got.made[1].term.value_U, [NAN, 0.25, 0.5, 1.0, 0.0])
    assert got.carried.tolist() == [False, True, True, True, True]


def test_nothing_is_said_where_all_fail():
    fails = batch_of([told(0.0, -1.0, -9.0), told(0.0, -3.0), told(None, -1.0)])
    close(method("hcapo")(fails).total, [0.0, 0.0, 0.0, NAN])
    close(method("hcapo")(batch_of([told(1.0, -1.0)])).total, [0.0])


def test_who_has_no_hindsight_is_told_where_it_comes_from():
    for batch in (group([1.0, 0.0]), batch_of([told(1.0, None), told(0.0, None)])):
        with pytest.raises(MethodError, match=r"needs hindsight, and no step .* hindsight = true"):
            method("hcapo")(batch)


@pytest.mark.parametrize(
    "options", [{"temperature": 0.0}, {"low": 1.5}, {"high": 0.9}, {"gamma": 2.0}, {"w": -1.0}]
)
def test_hcapo_refuses_what_is_out_of_range(options):
    with pytest.raises(AssayError, match=f"{next(iter(options))} must"):
        method("hcapo", **options)


SCORES = st.none() | st.floats(-30, 0)
WALKS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.lists(SCORES, min_size=1, max_size=4)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=80, deadline=None)
@given(walks=WALKS)
def test_a_loop_over_steps_finds_the_same(walks):
    records = [told(outcome, *scores) for outcome, scores in walks]
    batch = batch_of([*records, told(1.0, -1.0, group="other")])
    got = method("hcapo", eps=1e-3)(batch).total[:-1]

    def z(values: list[float], x: float) -> float:
        if max(values) - min(values) < 1e-9:
            return 0.0
        mean = sum(values) / len(values)
        return (x - mean) / ((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5 + 1e-3)

    rows: list[list[float]] = []
    for outcome, scores in walks:
        known = [exp(each / 5) for each in scores if each is not None]
        mean = sum(known) / max(len(known), 1)
        row: list[float] = []
        for t, each in enumerate(scores):
            rho = 1.0 if each is None else min(max(exp(each / 5) / mean, 0.8), 1.2)
            row.append(rho * 0.95 ** (len(scores) - 1 - t) * outcome)
        rows.append(row)
    every = [q for row in rows for q in row]
    expected: list[float] = []
    for (outcome, _), row in zip(walks, rows, strict=True):
        own = z([o for o, _ in walks], outcome)
        steps = [z(every, q) for q in row]
        expected += [own + (max(each, 0.0) if outcome == 1 else each) for each in steps]
    np.testing.assert_allclose(got, expected, atol=1e-8)

"""Outcomes that are constant although what they are made of is not: named parts that cancel."""

import numpy as np

from assay.audit import audit
from assay.batch import Batch
from assay.credit import credit, method
from assay.gate import components_cancel, gate
from assay.records import Trajectory
from tests.credit.worlds import batch_of, one


def parts(outcome, group="g", **rewards) -> Trajectory:
    return one(outcome, group=group, rewards=rewards)


def cancel(*trajectories: Trajectory) -> list[bool]:
    batch = batch_of(trajectories)
    return components_cancel(batch.gated(gate(batch))).tolist()


def test_each_reward_varies_and_the_sum_does_not():
    """The pattern of a report on TRL: deviation 5.08 in each of two rewards, 0 in their sum.

    Four outcomes of 10 from correctness 10, 0, 10, 0 and format 0, 10, 0, 10: GRPO sees nothing.
    """
    dead = [parts(10.0, correct=c, format=10.0 - c) for c in (10.0, 0.0, 10.0, 0.0)]
    assert cancel(*dead) == [True]
    batch = batch_of(dead)
    gated = batch.gated(gate(batch))
    grpo = credit(gated, method("grpo"))
    assert (grpo.total == 0.0).all()
    result = audit(gated, gate(batch), {"grpo": grpo}, pass_at=10.0)
    assert result["groups"]["components_cancel"] == 1
    assert result["groups"]["dead"] == 1
    assert result["groups"]["all_pass"] == 1


def test_a_live_group_cancels_nothing():
    assert cancel(parts(1.0, a=1.0), parts(0.0, a=0.0)) == [False]


def test_constant_parts_cancel_nothing():
    assert cancel(parts(1.0, a=0.5, b=0.5), parts(1.0, a=0.5, b=0.5)) == [False]
    assert cancel(one(1.0), one(1.0)) == [False]  # no parts at all


def test_round_off_is_no_difference():
    assert cancel(parts(1.0, a=0.1 + 0.2), parts(1.0, a=0.3)) == [False]


def test_parts_are_compared_inside_a_group():
    across = [
        *(parts(1.0, "g", a=1.0), parts(1.0, "g", a=1.0)),
        *(parts(1.0, "h", a=0.0), parts(1.0, "h", a=0.0)),
    ]
    assert cancel(*across) == [False, False]
    assert cancel(*across, parts(1.0, "h", a=0.5)) == [False, True]


def test_a_part_that_some_lack_is_compared_among_those_who_have_it():
    assert cancel(parts(1.0, a=1.0), parts(1.0), parts(1.0, a=None)) == [False]
    assert cancel(parts(1.0, a=1.0), parts(1.0), parts(1.0, a=0.0)) == [True]


def test_parts_of_the_unscored_and_the_dropped_count_as_little_as_their_outcome():
    scored = [parts(1.0, a=1.0), parts(1.0, a=1.0)]
    assert cancel(*scored, parts(None, a=0.0)) == [False]
    crash = one(1.0, end="infra", rewards={"a": 0.0})
    assert cancel(*scored, crash) == [False]
    batch = Batch.of([*scored, parts(1.0, a=0.0)])
    assert components_cancel(batch.weighted(np.array([1.0, 1.0, 0.0]))).tolist() == [False]
    assert components_cancel(batch).tolist() == [True]

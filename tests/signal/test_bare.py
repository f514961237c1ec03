"""Rows of which a trainer knows reward, length and group."""

import re
from dataclasses import fields

import numpy as np
import pytest

from assay.batch import CATEGORIES, Batch
from assay.credit import METHODS
from assay.errors import AlignmentError, DataError, MethodError
from assay.recipes import Recipe
from assay.records import ModelStep, Trajectory
from assay.signal import bare, per_row, signal

LENGTH = np.array([3, 1, 5, 2])


def test_by_hand() -> None:
    # dr_grpo: outcome less the group's mean. a: 1 and 0, mean 1/2; b: 0.25 and 0.5, mean 0.375
    batch = bare(np.array([1.0, 0.25, 0.0, 0.5]), ["a", "b", "a", "b"], LENGTH)
    found = per_row(batch, Recipe.of("dr_grpo"))
    np.testing.assert_array_equal(found, [0.5, -0.125, -0.5, 0.125])
    assert batch.length_R.tolist() == LENGTH.tolist()
    assert batch.wrote_K.tolist() == LENGTH.tolist()


def test_weights_of_several_methods() -> None:
    # psr gives +1 to a pass, nsr -1 to a failure: 1/4 of the one, and the other whole
    batch = bare(np.array([1.0, 0.0, 0.0, 1.0]), ["a"] * 4, LENGTH)
    recipe = Recipe.of({"methods": [{"name": "psr", "weight": 0.25}, "nsr"]})
    np.testing.assert_array_equal(per_row(batch, recipe), [0.25, -1.0, -1.0, 0.25])


def test_no_batch_is_changed_through_another() -> None:
    # arrays that say nothing of a row are one for all batches of a size
    found = [bare(np.ones(4), ["a"] * 4, LENGTH.copy()) for _ in range(2)]
    for each in fields(Batch):
        one, other = (getattr(batch, each.name) for batch in found)
        if isinstance(one, np.ndarray) and np.shares_memory(one, other):
            assert not one.flags.writeable, each.name
        assert one is not other or not isinstance(one, dict | list), each.name


@pytest.mark.parametrize("groups", ["abc", "abcde", ""])
def test_what_is_not_of_as_many_rows_is_refused(groups: str) -> None:
    with pytest.raises(AlignmentError, match=rf"rows: 4 outcomes, {len(groups)} groups and 4 len"):
        bare(np.ones(4), list(groups), LENGTH)


def test_nobody_scored_it() -> None:
    batch = bare(np.array([1.0, np.nan, 0.0, np.nan]), ["a"] * 4, LENGTH)
    for unscored in (True, False):  # the gate drops it, or it is carried and has no number
        gate = {"name": "integrity", "unscored": unscored}
        recipe = Recipe.of({"method": "dr_grpo", "gates": [gate]})
        np.testing.assert_array_equal(per_row(batch, recipe), [0.5, 0.0, -0.5, 0.0])


def test_a_row_without_a_sampled_token_moves_nothing() -> None:
    # the mean of a is that of the others: 1 and 0
    batch = bare(np.array([1.0, 1.0, 0.0]), ["a"] * 3, np.array([3, 0, 2]))
    np.testing.assert_array_equal(per_row(batch, Recipe.of("dr_grpo")), [0.5, 0.0, -0.5])


@pytest.mark.parametrize(("bar", "passes"), [(1.0, 0.0), (0.2, 0.5)])
def test_the_bar_is_the_recipe_s(bar: float, passes: float) -> None:
    batch = bare(np.array([0.25, 0.0]), ["a", "a"], LENGTH[:2], pass_at=bar)
    made = signal(batch, Recipe.of({"method": "dr_grpo", "pass_at": bar}))
    assert made.facts()["pass_rate"] == passes
    solved = [batch.category_K[0] == CATEGORIES.index("true_success")]
    assert solved == [passes > 0]


def test_the_batch_is_that_of_records() -> None:
    outcome, groups = [1.0, 0.0, np.nan, 0.5, 1.0, 0.0], ["b", "a", "b", "c", "a", "c"]
    records = [
        Trajectory(
            id=str(k),
            task=group,
            group=group,
            outcome=None if np.isnan(outcome[k]) else outcome[k],
            steps=(ModelStep(text=str(k), token_ids=tuple(range(2 * k))),),
            claim="none",
            end="answered",
        )
        for k, group in enumerate(groups)
    ]
    made = Batch.of(records, pass_at=0.5)
    for found in (bare(np.array(outcome), groups, 2 * np.arange(6), pass_at=0.5) for _ in range(2)):
        for each in fields(Batch):
            mine, theirs = getattr(found, each.name), getattr(made, each.name)
            np.testing.assert_array_equal(mine, theirs, each.name)
            assert getattr(mine, "dtype", None) == getattr(theirs, "dtype", None), each.name


OUTCOME = np.array([1.0, 0.0, 0.0, 1.0, 0.25, 0.0, 0.0, 1.0, 1.0])
GROUPS = ["a", "a", "a", "b", "b", "b", "c", "d", "d"]
LENGTHS = np.array([3, 1, 5, 2, 2, 7, 4, 1, 6])


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_gives_what_it_gives_records(name: str) -> None:
    records = [
        Trajectory(
            id=str(k),
            task=group,
            group=group,
            outcome=float(OUTCOME[k]),
            steps=(ModelStep(token_ids=tuple(range(10 * k, 10 * k + int(LENGTHS[k])))),),
            claim="none",
        )
        for k, group in enumerate(GROUPS)
    ]
    recipe = Recipe.of(name)
    batch = bare(OUTCOME, GROUPS, LENGTHS)
    try:
        expected, weight_KT = signal(records, recipe).rows()
    except MethodError as error:
        with pytest.raises(MethodError, match=re.escape(str(error))):
            per_row(batch, recipe)
        return
    found = per_row(batch, recipe)
    np.testing.assert_array_equal(np.where(weight_KT > 0, found[:, None], 0.0), expected)


@pytest.mark.parametrize("outcome", [np.inf, -np.inf, 1e300, 1.1e30])
def test_an_outcome_that_no_trainer_can_hold_is_refused(outcome: float) -> None:
    # a deviation of it is no number, and the whole batch would be called constant
    said = r"trajectory '2'\.outcome: got .*; expected a finite number within 1e\+30 of 0, or None"
    batch = bare(np.array([1.0, 0.0, outcome, 0.0]), ["a", "a", "b", "b"], LENGTH)
    with pytest.raises(DataError, match=said):
        per_row(batch, Recipe.of("grpo"))
    edge = bare(np.array([1.0, np.nan, -1e30, 1e30]), ["a", "a", "b", "b"], LENGTH)
    # dr_grpo: mean 0; as 32 bits they are finite
    found = per_row(edge, Recipe.of("dr_grpo")).astype(np.float32)
    np.testing.assert_array_equal(found, np.array([0, 0, -1e30, 1e30], np.float32))

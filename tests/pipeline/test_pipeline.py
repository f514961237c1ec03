"""The whole path on a set worked out by hand: records in, one advantage per token out."""

import dataclasses

import numpy as np
import pytest

from assay.errors import MethodError
from assay.gate import Degenerate, Integrity
from assay.pipeline import credits, gated, run
from assay.recipes import Recipe
from assay.records import Call, ModelStep, ToolStep, Trajectory, decode, encode


def tried(name: str, outcome: float | None, *steps, **fields) -> Trajectory:
    return Trajectory(id=name, task="t", group=name[0], outcome=outcome, steps=steps, **fields)


def records() -> list[Trajectory]:
    call = Call(name="f", arguments="{}", start=1, end=3)
    return [
        tried(
            "g1",
            1.0,
            ModelStep(token_ids=(1, 2, 3, 4), sampled=((0, 3),), calls=(call,)),
            ToolStep(text="r", call=(0, 0), token_ids=(9, 9)),
            ModelStep(token_ids=(5,)),
        ),
        tried(
            "g2", 0.0, ModelStep(token_ids=(1, 2), untrainable="drifted"), ModelStep(token_ids=(3,))
        ),
        tried("g3", 0.0, ModelStep(token_ids=(7,)), end="infra"),
        tried("h1", 1.0, ModelStep(token_ids=(8,))),
        tried("h2", 1.0, ModelStep(token_ids=(8,))),
    ]


def test_the_path_by_hand():
    """g: outcomes 1 and 0 (the crash is out), so +-1/2; h is constant, so 0."""
    result = run(records(), Recipe.of("dr_grpo"))
    advantages = result.advantages["dr_grpo"]
    np.testing.assert_array_equal(
        advantages.advantage_N,
        [
            *(0.5, 0.5, 0.5, 0.0),  # the fourth token was not sampled
            *(0.0, 0.0),  # the tool's
            0.5,
            *(0.0, 0.0),  # drifted
            -0.5,
            0.0,  # stopped by infrastructure
            *(0.0, 0.0),  # nothing to compare
        ],
    )
    carried_N = np.repeat(advantages.carried, result.batch.length_R)
    assert carried_N.tolist() == [bool(c) for c in (1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 1)]
    assert [d.reason for d in result.decisions] == ["ok", "ok", "infra", "ok", "ok"]
    assert result.batch.weight_K.tolist() == [1.0, 1.0, 0.0, 1.0, 1.0]


def test_the_default_is_grpo_behind_the_integrity_gate():
    result = run(records())
    assert list(result.advantages) == ["grpo"]
    assert Recipe().gates == (Integrity(),)
    # 1/2 by the sample deviation sqrt(1/2), plus 1e-6
    assert result.advantages["grpo"].advantage_N[0] == pytest.approx(0.5 / (0.5**0.5 + 1e-6))


def test_gates_of_the_recipe_decide():
    result = run(records(), Recipe(gates=(Integrity(), Degenerate())))
    assert [d.reason for d in result.decisions] == ["ok", "ok", "infra", "all_pass", "all_pass"]
    assert run(records(), Recipe(gates=())).batch.weight_K.tolist() == [1.0] * 5


def test_the_bar_of_the_recipe_decides_who_passed():
    graded = [
        tried("g1", 0.5, ModelStep(token_ids=(1,))),
        tried("g2", 0.2, ModelStep(token_ids=(2,))),
    ]
    assert run(graded, Recipe(pass_at=0.5)).batch.category_K[0] == 0  # true success
    assert run(graded).batch.category_K[0] != 0


def test_it_repeats_from_the_saved_records():
    """From the gate on everything is pure: what is read back gives the same bits."""
    recipe = Recipe.of(["grpo", "nsr", "toolpo"])
    saved = [decode(encode(record)) for record in records()]
    live, again = run(iter(records()), recipe), run(saved, recipe)
    assert live.decisions == again.decisions
    for name, advantages in live.advantages.items():
        np.testing.assert_array_equal(advantages.advantage_N, again.advantages[name].advantage_N)
    for field in dataclasses.fields(live.batch):
        mine, theirs = getattr(live.batch, field.name), getattr(again.batch, field.name)
        np.testing.assert_array_equal(mine, theirs)


def test_a_method_that_cannot_run_is_refused_and_the_others_go_on():
    """No record has entropies, so RL-ZVP says so; without a place for its reason it raises."""
    recipe = Recipe.of(["rl_zvp", "dr_grpo"])
    batch, decisions = gated(records(), recipe)
    refused = {}
    assert [name for name, _ in credits(batch, recipe, refused)] == ["dr_grpo"]
    assert list(refused) == ["rl_zvp"]
    assert refused["rl_zvp"].startswith("rl_zvp needs entropies")
    with pytest.raises(MethodError, match="rl_zvp needs entropies"):
        dict(credits(batch, recipe))
    again = gated(batch, recipe)
    assert again[1] == decisions  # a batch is taken as it is

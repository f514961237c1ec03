"""Recipes from plain data: checked, frozen, with a suggestion for what is misspelt."""

import tomllib
from typing import Any

import pytest

from assay.credit import METHODS, method
from assay.errors import UnknownNameError, UsageError
from assay.gate import Degenerate, Integrity
from assay.signal import BackOffSettings, Recipe, Safety

TOML = """
gates = ["integrity", { name = "degenerate", pass_at = 0.5 }]
denominator = "kept"
pass_at = 0.5
[[methods]]
name = "psr"
weight = 0.1
pass_at = 0.5
[[methods]]
name = "nsr"
pass_at = 0.5
[safety]
all_fail = "bounded"
cap = 2.0
[safety.back_off]
ratio = 5.0
"""


def test_a_recipe_reads_from_toml() -> None:
    recipe = Recipe.of(tomllib.loads(TOML))
    assert [(p.name, p.weight) for p in recipe.parts] == [("psr", 0.1), ("nsr", 1.0)]
    assert recipe.parts[0].method == method("psr", pass_at=0.5)
    assert recipe.gates == (Integrity(), Degenerate(pass_at=0.5))
    assert (recipe.denominator, recipe.pass_at) == ("kept", 0.5)
    assert recipe.safety == Safety(all_fail="bounded", cap=2.0, back_off=BackOffSettings(ratio=5.0))
    assert recipe.safety.active == ("cap", "all_fail", "back_off")


def test_a_name_with_options_is_a_recipe() -> None:
    assert Recipe.of("grpo", like="trl").parts[0].method == method("grpo", eps=1e-4)
    assert Recipe.of("grpo").safety.active == ()


def test_a_weight_is_the_mixs_and_every_option_can_be_set() -> None:
    raw = {"name": "reinforce", "baseline": 0, "scale": 1, "weight": 0.5}
    part = Recipe.of({"method": raw}).parts[0]
    assert part.weight == 0.5
    assert part.method == method("reinforce", baseline=0.0, scale=1.0)


def test_methods_side_by_side_are_a_list_of_names_methods_and_tables() -> None:
    own = method("rloo")
    recipe = Recipe.of(["grpo", own, {"name": "nsr", "weight": 0.5}])
    assert [(p.name, p.weight) for p in recipe.parts] == [("grpo", 1), ("rloo", 1), ("nsr", 0.5)]
    assert recipe.parts[1].method is own
    assert Recipe.of(own).parts == (recipe.parts[1],)
    assert Recipe.of(recipe) is recipe


def test_methods_compared_are_told_the_bar_unless_they_have_their_own() -> None:
    recipe = Recipe.compared(["nsr", "grpo", "nsr"], pass_at=0.4)
    assert [p.method for p in recipe.parts] == [method("nsr", pass_at=0.4), method("grpo")]
    assert recipe.pass_at == 0.4
    own = Recipe.compared(["nsr"], pass_at=0.4, options={"pass_at": 0.7})
    assert own.parts[0].method == method("nsr", pass_at=0.7)
    assert [p.name for p in Recipe.compared().parts] == METHODS.names()


def test_a_method_is_compared_with_itself_under_other_options() -> None:
    dedup = "tree_grpo:prefix_mode=dedup_sum,ddof=0"
    recipe = Recipe.compared(["delta_belief:clip=false", "tree_grpo", dedup, "nsr:pass_at=0.7"])
    assert {part.name: part.method for part in recipe.parts} == {
        "delta_belief:clip=false": method("delta_belief", clip=False),
        "tree_grpo": method("tree_grpo"),
        dedup: method("tree_grpo", prefix_mode="dedup_sum", ddof=0),
        "nsr:pass_at=0.7": method("nsr", pass_at=0.7),
    }
    for wrong in ("grpo:", "grpo:ddof", "grpo:ddof=", "grpo:ddof=0,"):
        with pytest.raises(UsageError, match=f"{wrong}: expected NAME, or NAME:OPTION=VALUE"):
            Recipe.compared([wrong])
    with pytest.raises(UnknownNameError, match=r"grpo has no option .dof.\. Did you mean .ddof."):
        Recipe.compared(["grpo:dof=0"])


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        ({"method": "grpo", "gate": []}, UnknownNameError, "Did you mean 'gates'"),
        ({"method": "gpro"}, UnknownNameError, "Did you mean 'grpo'"),
        ({"method": {"name": "grpo", "caps": 1}}, UnknownNameError, "Did you mean 'cap'"),
        ({"method": "grpo", "gates": ["degenrate"]}, UnknownNameError, "'degenerate'"),
        (
            {"method": "grpo", "gates": [{"name": "degenerate", "pass": 1}]},
            UnknownNameError,
            "'pass_at'",
        ),
        ({"method": "grpo", "safety": {"al_fail": "zero"}}, UnknownNameError, "'all_fail'"),
        (
            {"method": "grpo", "safety": {"back_off": {"ratios": 3}}},
            UnknownNameError,
            "recipe.safety.back_off has no key 'ratios'",
        ),
        ({"method": "grpo", "denominator": "some"}, UsageError, "denominator"),
        ({"method": "grpo", "safety": {"cap": "much"}}, UsageError, "cap"),
        (
            {"method": "grpo", "safety": {"cap": 0.0}},
            UsageError,
            "safety.cap: got 0.0; expected above 0",
        ),
        ({"method": "grpo", "safety": {"all_fail_share": 0.1}}, UsageError, "read by all_fail"),
        ({"method": "grpo", "safety": 3}, UsageError, "expected a table"),
        ({}, UsageError, 'either "method" or "methods"'),
        ({"method": "grpo", "methods": ["nsr"]}, UsageError, "either"),
        ({"methods": []}, UsageError, "no method"),
        ({"methods": ["psr", "nsr", "nsr"]}, UsageError, "two methods are called 'nsr'"),
        ({"methods": [{"name": "nsr", "weight": 0}]}, UsageError, "above 0"),
        ({"methods": [{"name": "nsr", "weight": "1"}]}, UsageError, "expected a number"),
        ({"methods": "nsr"}, UsageError, "expected a list"),
        ({"methods": [3]}, UsageError, "expected a name"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(data: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        Recipe.of(data)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_loss_that_cannot_do_it_is_refused() -> None:
    constant = Recipe.of({"method": "grpo", "denominator": "batch"})
    for loss_type in ("bnpo", "grpo", "sapo", "luspo"):
        with pytest.raises(UsageError, match=f"'{loss_type}' cannot"):
            constant.check_loss(loss_type)
    for loss_type in ("dapo", "cispo", "vespo", "dr_grpo"):
        constant.check_loss(loss_type)
    with pytest.raises(UsageError, match="'cispo' has no clip"):
        Recipe.of({"method": "grpo", "safety": {"delta": 3.0}}).check_loss("cispo")
    Recipe.of({"method": "grpo", "safety": {"delta": 3.0}}).check_loss("dapo")


def test_the_shipped_mix_has_a_name_beside_those_of_methods() -> None:
    mix = Recipe.of("assay")
    assert [(part.name, part.weight) for part in mix.parts] == [("grpo", 1.0), ("gigpo", 0.3)]
    assert mix.safety.cap == 3.0
    assert Recipe.of("nsr") == Recipe.of({"method": "nsr"})  # a method's name is the method
    with pytest.raises(UsageError):
        Recipe.of("assay", cap=2.0)

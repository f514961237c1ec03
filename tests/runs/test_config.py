import tomllib

import pytest

from assay.errors import UnknownNameError, UsageError
from assay.train.config import changed, parsed, read, shipped


def test_the_shipped_recipes_are_whole() -> None:
    assert {"grpo", "nsr", "psr", "w_reinforce", "assay"} <= set(shipped())
    for name in shipped():
        config = parsed(read(name), name)
        assert config.about.title
        assert config.about.shows
        again = parsed(tomllib.loads(config.toml()))
        assert again == config


def test_what_is_written_is_read_back_with_the_same_hash() -> None:
    tables = {
        "env": {"name": "lookup", "dials": {"hops": 3, "flaky": 0.1}},
        "recipe": {
            "methods": [{"name": "psr", "weight": 0.1}, {"name": "nsr"}],
            "safety": {"cap": float("inf"), "replay": {"size": 3}},
        },
        "train": {"learning_rate": 1e-6},
    }
    config = parsed(tables)
    again = parsed(tomllib.loads(config.toml()))
    assert again == config
    assert again.sha256 == config.sha256


def test_the_hash_is_of_what_decides() -> None:
    config = parsed({})
    assert parsed({"about": {"title": "other words"}}).sha256 == config.sha256
    assert parsed({"train": {"steps": 101}}).sha256 != config.sha256


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"trian": {}}, "has no key 'trian'. Did you mean 'train'"),
        ({"train": {"step": 3}}, "has no key 'step'. Did you mean 'steps'"),
        ({"recipe": {"method": "grpoo"}}, "Did you mean 'grpo'"),
        ({"recipe": {"method": "grpo", "saftey": {}}}, "Did you mean 'safety'"),
    ],
)
def test_unknown_keys_are_refused_with_a_suggestion(tables, said: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        parsed(tables)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"train": {"steps": "many"}}, "Expected `int`, got `str`"),
        ({"train": {"steps": 0}}, "train.steps must be at least 1"),
        ({"train": {"group": 1}}, "at least 2 to compare"),
        ({"train": {"steps": 5, "minibatches": 2, "save_every": 2}}, "multiple of train.minib"),
        ({"train": {"prompts": 3, "group": 3, "micro": 2}}, "do not divide"),
        ({"train": {"temperature": 0.0}}, "explores nothing"),
        ({"eval": {"first_task": 4000}}, "overlap with training tasks"),
        ({"trl": {"learning_rate": 0.1}}, "trl.learning_rate is set by Assay"),
        ({"train": 3}, r"expected a section [train]"),
    ],
)
def test_values_that_cannot_be_are_refused(tables, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(tables)
    assert said in str(caught.value)


def test_changes_on_the_command_line() -> None:
    made = changed(read("grpo"), {"train.steps": 7, "recipe.safety.cap": 2.0, "env.dials.hops": 3})
    config = parsed(made)
    assert config.train.steps == 7
    assert config.recipe["safety"] == {"cap": 2.0}
    assert config.env.dials == {"hops": 3}
    with pytest.raises(UsageError, match=r"expected section\.key=value"):
        changed({}, {"steps": 7})
    with pytest.raises(UsageError, match="steps is a value"):
        changed({"train": {"steps": 1}}, {"train.steps.x": 7})


def test_another_method_replaces_a_mix() -> None:
    mix = {"recipe": {"methods": [{"name": "psr"}]}}
    assert parsed(changed(mix, {"recipe.method": "nsr"})).recipe == {"method": "nsr"}


def test_a_recipe_is_a_file_or_a_shipped_name(tmp_path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[train]\nsteps = 3\n")
    assert parsed(read(str(own))).train.steps == 3
    assert read("grpo") == read("grpo.toml")
    with pytest.raises(UnknownNameError, match="Did you mean 'grpo'"):
        read("gpro")
    own.write_text("[train\n")
    with pytest.raises(UsageError, match=r"own\.toml: .*line 1"):
        read(str(own))

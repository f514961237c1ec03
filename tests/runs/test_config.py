import math
import tomllib
from datetime import date
from pathlib import Path

import pytest

from assay.errors import DataError, UnknownNameError, UsageError
from assay.recipes import Recipe, read, shipped
from assay.runs.config import changed, parsed

NAN, INF = math.nan, math.inf


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


def test_any_text_is_written_and_read_back() -> None:
    words = 'an \N{DIRECT HIT} in "quotes", C:\\x, \x00\x1b\t\n\r\x7f\x85\u2028 and \ufffe'
    config = parsed({"about": {"title": words}, "env": {"dials": {words: [words]}}})
    again = parsed(tomllib.loads(config.toml()))
    assert again == config
    assert again.about.title == words


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
        ({"train": {"steps": 0}}, "train.steps: got 0; expected at least 1"),
        ({"train": {"max_tokens": -5}}, "train.max_tokens: got -5; expected at least 1"),
        ({"train": {"turn_tokens": 0}}, "train.turn_tokens: got 0; expected at least 1"),
        ({"train": {"max_length": 0}}, "train.max_length: got 0; expected at least 1"),
        ({"train": {"micro": -1}}, "train.micro: got -1; expected at least 0"),
        ({"train": {"warmup": -1}}, "train.warmup: got -1"),
        ({"train": {"threads": -1}}, "train.threads: got -1"),
        ({"train": {"first_task": -1}}, "train.first_task: got -1"),
        ({"train": {"epsilon": -1.0}}, "train.epsilon: got -1.0; expected at least 0"),
        ({"train": {"epsilon": NAN}}, "train.epsilon: got nan"),
        ({"train": {"epsilon_high": -0.1}}, "train.epsilon_high: got -0.1"),
        ({"train": {"beta": -2.0}}, "train.beta: got -2.0; expected at least 0"),
        ({"train": {"beta": INF}}, "train.beta: got inf; expected a finite number"),
        ({"train": {"max_grad_norm": -1.0}}, "train.max_grad_norm: got -1.0"),
        ({"train": {"learning_rate": 0.0}}, "train.learning_rate: got 0.0; expected a finite num"),
        ({"train": {"learning_rate": INF}}, "train.learning_rate: got inf"),
        ({"train": {"learning_rate": NAN}}, "train.learning_rate: got nan"),
        ({"train": {"temperature": INF}}, "train.temperature: got inf"),
        ({"model": {"lora": -4}}, "model.lora: got -4; expected at least 0"),
        ({"eval": {"samples": 0}}, "eval.samples: got 0; expected at least 1"),
        ({"eval": {"first_task": -1}}, "eval.first_task: got -1; expected at least 0"),
        ({"recipe": {"method": "grpo", "pass_at": NAN}}, "recipe.pass_at: got nan; expected a fin"),
        (
            {"env": {"dials": {"d": date(2026, 1, 1)}}},
            "recipe: env.dials.d is 2026-01-01; expected",
        ),
        ({"env": {"dials": {"d": [{"e": None}]}}}, "recipe: env.dials.d.e is None; expected"),
        ({"train": {"group": 1}}, "at least 2 to compare"),
        ({"train": {"steps": 5, "minibatches": 2, "save_every": 2}}, "multiple of train.minib"),
        (
            {"train": {"prompts": 2, "group": 6, "micro": 16}},
            "train.micro: got 16; expected a divisor of 12, the rows of a minibatch per process "
            "(2 prompts x 6 rows): 12, or 0 for all at once; or change train.prompts",
        ),
        ({"train": {"prompts": 3, "group": 3, "micro": 2}}, "expected a divisor of 9, the rows"),
        (
            {"train": {"prompts": 3, "group": 3, "minibatches": 2, "save_every": 2, "steps": 4}},
            "3 prompts x 3 rows do not divide into minibatches x processes, 2 x 1; change train.p",
        ),
        ({"train": {"temperature": 0.0}}, "explores nothing"),
        ({"eval": {"first_task": 4000}}, "overlap with training tasks"),
        ({"trl": {"learning_rate": 0.1}}, "trl.learning_rate is set by Assay"),
        ({"train": 3}, r"expected a section [train]"),
        (
            {"train": {"prompts": 1, "group": 2}, "rescue": {"kind": "ladder"}},
            "rescue.share: got 0.25 of the 2 rows of a batch, which is not one; expected at least "
            "0.5, or",
        ),
    ],
)
def test_values_that_cannot_be_are_refused(tables, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(tables)
    assert said in str(caught.value)


def test_what_switches_a_bound_off_is_accepted() -> None:
    off = {"epsilon_high": INF, "max_grad_norm": 0.0, "beta": 0.0, "micro": 0}
    assert parsed({"train": off}).train.epsilon_high == INF


def test_rows_of_a_pass_are_per_process() -> None:
    config = parsed({"train": {"prompts": 4, "group": 6, "micro": 6}})
    assert (config.micro(), config.micro(2), config.micro(4)) == (6, 6, 6)
    assert parsed({"train": {"prompts": 4, "group": 6}}).micro(2) == 12
    with pytest.raises(UsageError, match=r"got 6; expected a divisor of 3, .*: 3, or 0 for all"):
        config.micro(8)
    with pytest.raises(UsageError, match="minibatches x processes, 1 x 5; change"):
        config.micro(5)


def test_changes_leave_the_tables_as_they_were() -> None:
    tables = {"env": {"dials": {"hops": 2, "since": date(2026, 1, 1)}}}
    made = changed(tables, {"env.dials.hops": 3})
    assert tables["env"]["dials"]["hops"] == 2
    assert made["env"]["dials"] == {"hops": 3, "since": date(2026, 1, 1)}  # `parsed` refuses it


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
    own.write_bytes(b'[about]\ntitle = "\xff"\n')
    with pytest.raises(UsageError, match=r"own\.toml: not UTF-8 at byte 17; save it as UTF-8"):
        read(str(own))
    own.write_text(f"a = {'[' * 100_000}")
    with pytest.raises(UsageError, match=r"own\.toml: "):
        read(str(own))


def test_a_run_without_its_configuration_is_no_unknown_recipe(tmp_path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"the run has no config\.toml, .*restore it"):
        read(str(tmp_path / "config.toml"))


RUBRIC = """
reference = "Lima."
[[items]]
id = "short"
checked_by = "code"
words = 2
essential = true
[[items]]
id = "kind"
text = "Is kind"
weight = 0.5
"""
FILED = """
[recipe]
method = "grpo"
[recipe.rubric]
file = "items/rubric.toml"
[[recipe.rubric.items]]
id = "calm"
checked_by = "code"
lacks = "!"
"""


def test_a_rubric_s_file_becomes_part_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "items").mkdir()
    rubric, recipe = tmp_path / "items/rubric.toml", tmp_path / "r.toml"
    rubric.write_text(RUBRIC, encoding="utf-8")
    recipe.write_text(FILED, encoding="utf-8")
    config = parsed(read(str(recipe)))
    # the file's items, in its order, then the recipe's own; what an item does not say stays unsaid
    assert config.recipe["rubric"] == {
        "items": [
            {"id": "short", "checked_by": "code", "words": 2, "essential": True},
            {"id": "kind", "text": "Is kind", "checked_by": "judge", "weight": 0.5},
            {"id": "calm", "checked_by": "code", "lacks": "!"},
        ]
    }
    # a run that is resumed reads what was written down, whatever became of the file
    hashed = config.sha256
    rubric.write_text(RUBRIC.replace("0.5", "0.25"), encoding="utf-8")
    assert parsed(tomllib.loads(config.toml())).sha256 == hashed
    assert parsed(read(str(recipe))).sha256 != hashed
    # a name on the command line, or of plain data, is of the current folder
    monkeypatch.chdir(tmp_path / "items")
    asked = changed({"recipe": {"method": "grpo"}}, {"recipe.rubric.file": "rubric.toml"})
    assert [each["id"] for each in parsed(asked).recipe["rubric"]["items"]] == ["short", "kind"]
    made = Recipe.of({"method": "grpo", "rubric": {"file": "rubric.toml"}}).rubric
    assert made is not None
    assert [item.points for item in made.items] == [1.0, 0.25]


@pytest.mark.parametrize(
    ("rubric", "own", "says"),
    [
        (None, "", "rubric.toml: No such file"),
        ("items = []", "", "no items"),
        (RUBRIC, '"Lima', "fails 'calm'; an item that a right answer fails"),
        (RUBRIC.replace("words = 2", "words = 0"), "", "words: got 0"),
        (RUBRIC.replace("Lima.", "It is Lima."), "", "the reference answer fails 'short'"),
        (RUBRIC.replace('"kind"', '"calm"'), "", "two items are called 'calm'"),
    ],
)
def test_a_file_that_is_no_rubric_is_refused(
    tmp_path: Path, rubric: str | None, own: str, says: str
) -> None:
    (tmp_path / "items").mkdir()
    if rubric is not None:
        (tmp_path / "items/rubric.toml").write_text(rubric, encoding="utf-8")
    path = tmp_path / "r.toml"
    path.write_text(FILED.replace('"!"', '"[.]"') if own else FILED, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        parsed(read(str(path)))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"recipe.rubric.file: got 3; expected the name"):
        Recipe.of({"method": "grpo", "rubric": {"file": 3}})

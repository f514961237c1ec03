"""The section `assay` of verl's configuration. No verl needed."""

from pathlib import Path
from typing import Any

import pytest

from assay.errors import UnknownNameError, UsageError
from assay.recipes import Recipe, read
from assay.trainers.verl.settings import chosen, recipe_of, settings_of


class Node(dict[str, Any]):
    """A table with attributes, as OmegaConf has it."""

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def config(
    mode: str = "token-mean",
    trainer: str = "sync",
    *,
    v1: bool = True,
    kl: bool = False,
    **assay: Any,
) -> Node:
    actor = Node(loss_agg_mode=mode, clip_ratio_c=3.0, policy_loss=Node(loss_mode="vanilla"))
    return Node(
        assay=Node(assay),
        actor_rollout_ref=Node(actor=actor),
        algorithm=Node(use_kl_in_reward=kl),
        trainer=Node(v1=Node(trainer_mode=trainer), use_v1=v1),
    )


def test_the_words_of_the_command() -> None:
    made = settings_of(config(recipe="assay"))
    assert made.recipe == Recipe.of("assay")
    assert made.off == ("safety.replay",)
    assert (made.by_row, made.kept, made.log) == (False, False, None)


def test_a_recipe_that_nothing_reads_is_refused() -> None:
    given = config(recipe="assay")
    given.algorithm.adv_estimator = "grpo"
    with pytest.raises(UsageError, match=r"adv_estimator is grpo, which does not read it"):
        chosen(given)
    given.algorithm.adv_estimator = "assay"
    assert chosen(given) == settings_of(config(recipe="assay"))
    given = config(turn_tokens=32)
    given.algorithm.adv_estimator = "grpo"
    assert chosen(given) is None
    given = config(log="logs")
    given.algorithm.adv_estimator = "grpo"
    with pytest.raises(UsageError, match=r"assay.log is given and .* is grpo"):
        chosen(given)


def test_one_file_for_trl_and_verl(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[recipe]\nmethod = "gigpo"\n[recipe.safety]\ncap = 2.0\n[train]\nsteps = 5\n')
    assert recipe_of(str(path)) == Recipe.of(read(str(path))["recipe"])
    path.write_text("[train]\nsteps = 5\n")
    with pytest.raises(UsageError, match=r"no section \[recipe\]"):
        recipe_of(str(path))


def test_a_method_and_a_table() -> None:
    assert recipe_of("nsr") == Recipe.of("nsr")
    table = Node(methods=[Node(name="psr", weight=0.1), "nsr"])
    assert [part.weight for part in recipe_of(table).parts] == [0.1, 1.0]
    with pytest.raises(UnknownNameError, match="Did you mean"):
        recipe_of("gigp")


def test_the_clip_of_the_recipe_becomes_verl_s() -> None:
    given = config(recipe=Node(method="grpo", safety=Node(delta=2.5)))
    settings_of(given)
    assert given.actor_rollout_ref.actor.clip_ratio_c == 2.5
    assert given.actor_rollout_ref.actor.policy_loss.loss_mode == "vanilla"
    given = config(recipe=Node(method="grpo", safety=Node(back_off=Node())))
    settings_of(given)
    assert given.actor_rollout_ref.actor.policy_loss.loss_mode == "assay"


def test_what_the_loss_divides_by() -> None:
    assert settings_of(config("seq-mean-token-mean", recipe="grpo")).by_row
    kept = Node(method="grpo", denominator="kept")
    assert settings_of(config(recipe=kept)).kept
    batch = Node(method="grpo", denominator="batch")
    settings_of(config("seq-mean-token-sum-norm", recipe=batch))
    with pytest.raises(UsageError, match="take seq-mean-token-sum-norm"):
        settings_of(config(recipe=batch))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs a recipe"),
        ({"recipe": "grpo", "lgo": "x"}, "lgo"),
        ({"recipe": "grpo", "trainer": "separate_async"}, "take sync"),
        ({"recipe": "grpo", "v1": False}, "trainer.use_v1=False: .* take True"),
        ({"recipe": "grpo", "kl": True}, "use_kl_loss=True"),
        ({"recipe": "grop"}, "^assay.recipe=grop: no method 'grop'"),
        ({"recipe": "./mine"}, "^assay.recipe=./mine: no recipe './mine': no such file"),
        ({"recipe": 3}, "assay.recipe: Expected .*, got `int`"),
        ({"recipe": Node(method="grpo", pass_at="x")}, "^assay.recipe: recipe.pass_at"),
        ({"recipe": "grpo", "turn_tokens": 0}, "assay.turn_tokens: got 0; expected at least 1"),
        ({"recipe": "grpo", "protocol": "lin"}, "got 'lin'; expected one of auto, line, chat"),
        ({"recipe": Node(method="grpo", safety=Node(off_policy=0.5))}, "safety.off_policy"),
        ({"recipe": Node(method="grpo", safety=Node(preserve=0.2))}, "safety.preserve"),
    ],
)
def test_what_verl_cannot_do_is_refused_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        settings_of(config(**given))
    assert "\n" not in str(caught.value)


def test_the_log_is_where_it_was_asked_for(tmp_path: Path) -> None:
    assert settings_of(config(recipe="grpo", log=str(tmp_path))).log == tmp_path

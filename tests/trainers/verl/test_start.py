"""What is wrong with a command is one line, before Ray starts. `make test-verl`."""

import asyncio
import importlib.util
import inspect
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.errors import DataError

from .command import POLICY, python, training

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("verl") is None, reason="needs verl: make test-verl"
    ),
]


ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


def looked_at(*words: str) -> None:
    """Composes verl's configuration as its command does, and has it checked as there."""
    from hydra import compose, initialize_config_module
    from verl.trainer import main_ppo

    with initialize_config_module("verl.trainer.config", version_base=None):
        made: Any = compose("ppo_trainer", overrides=list(words))
    main_ppo.validate_config(config=made, use_reference_policy=False, use_critic=False)


WORLD = ("+assay=[cpu,world]", f"actor_rollout_ref.model.path={POLICY}")
OWN = (*WORLD, "algorithm.adv_estimator=assay")


def test_a_command_of_ours_and_one_of_verl_s_alone_pass() -> None:
    looked_at(*OWN, "+assay.recipe=assay")
    assert os.environ["HYDRA_FULL_ERROR"] == "1"
    looked_at("actor_rollout_ref.rollout.name=vllm",
              "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",
              "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1")  # fmt: skip


def test_the_words_of_the_docs_go_with_tasks_of_ours_and_without() -> None:
    table = (ROOT / "docs" / "verl.md").read_text().partition("## The words")[2].partition("##")[0]
    words = re.findall(r"`(\++assay\.\w+=)[A-Za-z]+`", table)
    assert len(words) == 5
    given = {"recipe": "assay", "log": "logs", "protocol": "auto"}
    named = [word + given.get(word.strip("+=").removeprefix("assay."), "48") for word in words]
    looked_at(*OWN, *named)
    looked_at(f"actor_rollout_ref.model.path={POLICY}", "+assay=cpu",
              "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1",
              "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",
              "algorithm.adv_estimator=assay", *named)  # fmt: skip


def test_verl_s_own_command_is_left_alone() -> None:
    before = sys.excepthook
    with pytest.raises(Exception, match="Please set at least one of"):  # verl's own check
        looked_at("actor_rollout_ref.rollout.name=vllm")
    assert sys.excepthook is before
    assert os.environ["HYDRA_FULL_ERROR"] == "0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "algorithm.adv_estimator=assay needs a recipe: add +assay.recipe=assay, the name of"),
        (("+assay.recipe=grop",), "assay.recipe=grop: no method 'grop'. Did you mean 'grpo'? "),
        (("+assay.recipe=no.toml",), "assay.recipe=no.toml: no recipe 'no.toml': no such file. "),
        (("+assay.recipe=RECIPE",), "assay.recipe=RECIPE: recipe.safety has no key 'capp'. Did "),
        (("+assay.recipe=grpo", "+assay.lgo=x"), "assay has no key 'lgo'. Did you mean 'log'? "),
        (("+assay.recipe=grpo", "+assay.log=RECIPE"), "assay.log=RECIPE: a file; expected a fol"),
        (("+assay.recipe=grpo", "assay.turn_tokens=x"), "assay: assay.turn_tokens: Expected `int"),
        (("+assay.recipe=grpo", "+assay.protocol=lin"), "assay: assay.protocol: got 'lin'; expec"),
        (("+assay.recipe=grpo", "data.train_files=lokup@0:4"), "data.train_files: no environment"),
        (("+assay.recipe=grpo", "data.val_files=[lookup]"), "data.val_files: tasks 'lookup': exp"),
        (
            ("+assay.recipe=grpo", "actor_rollout_ref.model.path=/no/policy"),
            "actor_rollout_ref.model.path=/no/policy: no such folder; expected one that holds a",
        ),
        (("+assay.recipe=grpo", "trainer.use_v1=False"), "trainer.use_v1=False: rows have no rec"),
        (
            ("+assay.recipe=grpo", "algorithm.adv_estimator=nsr"),
            "assay.recipe is given and algorithm.adv_estimator is nsr, which does not read it: ",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[recipe]\nmethod = "grpo"\n[recipe.safety]\ncapp = 2.0\n')
    with pytest.raises(SystemExit) as caught:
        looked_at(*OWN, *(each.replace("RECIPE", str(recipe)) for each in words))
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert err.startswith("assay: " + said.replace("RECIPE", str(recipe)))
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "checks passed" not in out


def test_it_is_looked_at_before_ray_starts() -> None:
    from verl.trainer import main_ppo

    whole = inspect.getsource(main_ppo)
    assert "from verl.utils.config import validate_config" in whole
    main = whole[whole.index("def main(config)") :]
    assert main.index("validate_config(") < main.index("run_ppo(")
    assert "ray.init(" not in main


def test_verl_s_own_command_says_it_last(tmp_path: Path) -> None:
    words = training(tmp_path, "+assay.recipe=no.toml")
    said = python(words, timeout=200, code=2).splitlines()
    assert said[-1].startswith("assay: assay.recipe=no.toml: no recipe 'no.toml': no such file. ")
    assert not any("Traceback" in line or "Started a local Ray" in line for line in said)


def test_an_error_of_ours_in_a_process_of_ray_s_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from ray.exceptions import RayTaskError

    from assay.trainers.verl.start import cause, last

    own = DataError("checkpoint x: no file;\nexpected one")
    inner = RayTaskError("play", "Traceback: inner", own).as_instanceof_cause()
    outer = RayTaskError("run", "Traceback: outer", inner).as_instanceof_cause()
    assert cause(own) is cause(inner) is cause(outer) is own
    last(type(outer), outer, None)
    assert capsys.readouterr().err == "assay: checkpoint x: no file; expected one\n"


def test_any_other_error_is_python_s_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    from assay.trainers.verl.start import cause, last

    error = ValueError("theirs")
    assert cause(error) is None
    last(ValueError, error, None)
    assert capsys.readouterr().err == "ValueError: theirs\n"


def test_what_a_trajectory_ended_in_is_kept_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.rollout.verl import loop
    from assay.trainers.verl.processes import lost_here

    monkeypatch.setattr(loop, "LOST", [])
    assert lost_here() == ""
    player = object.__new__(loop.WorldLoop)
    for row in ({"extra_info": {"seed": 3}}, {}):
        with pytest.raises(DataError):
            asyncio.run(player.run({}, **row))
    assert lost_here().startswith("agent loop assay: extra_info of the row holds ['seed']; expec")

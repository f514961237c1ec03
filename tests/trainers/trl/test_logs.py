"""Logs of real trainings, TRL's and ours, and what they are read as."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl")
pytest.importorskip("pyarrow")

from assay.importers import Losses, load
from assay.records import ModelStep, Trajectory
from assay.runs.audit import audit_log
from assay.trainers.trl.adapter import LISTS, RewardCall
from assay.trainers.trl.dropout import dropout, without_dropout
from assay.trainers.trl.hooks import DROPOUT

from .quiet import MARKS
from .tiny import (
    MIXED,
    ROWS,
    GRPOTrainer,
    config,
    dataset,
    model,
    ours,
    paid,
    rollouts,
    tokenizer,
    torch,
)

pytestmark = MARKS

SHAPED = (0.5, 0.0, 0.25, 0.0, 0.25, 0.5, 0.0, 0.5)
GOLD = (3.5, 1.0, 4.0, 1.5, 5.0, 9.0, 2.5, 6.0)
TWICE = {"num_iterations": 2, "max_steps": 4, "log_completions": True}


def read(path: Path) -> tuple[list[Trajectory], dict[str, int]]:
    losses = Losses()
    return list(load(path, losses=losses)[1]), losses.counts


def shaped(completions: list[Any], log_extra: Any = None, **_: Any) -> list[float]:
    log_extra("gold", list(GOLD))
    return list(SHAPED)


def logged(folder: Path, **settings: Any) -> Path:
    """Trains stock TRL on two rewards, with a number logged beside them."""
    trainer = GRPOTrainer(
        model(),
        [paid(MIXED), shaped],
        config(folder, **settings),
        dataset(),
        eval_dataset=dataset(2) if "eval_strategy" in settings else None,
        processing_class=tokenizer(),
        rollout_func=rollouts(),
    )
    trainer.train()
    return folder / "completions"


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_two_batches_are_read_from_four_files(tmp_path: Path, scale: str) -> None:
    found, lost = read(logged(tmp_path, scale_rewards=scale, **TWICE))
    assert len(found) == 16
    assert lost["repeated_batch"] == 16
    assert lost["column:gold"] == 16
    assert "advantages_not_explained" not in lost
    sums = [a + b for a, b in zip(MIXED, SHAPED, strict=True)]
    assert [t.outcome for t in found] == sums * 2


def test_rewards_that_are_scaled_one_by_one_are_told_too(tmp_path: Path) -> None:
    settings = {"multi_objective_aggregation": "normalize_then_sum", "log_completions": True}
    _, lost = read(logged(tmp_path, **settings))
    assert lost["column:gold"] == 8
    assert "advantages_not_explained" not in lost


def test_weights_contradict_the_sum(tmp_path: Path) -> None:
    _, lost = read(logged(tmp_path, reward_weights=[1.0, 0.3], log_completions=True))
    assert lost["advantages_not_explained"] == lost["reward_weights_unknown"] == 8


def test_batches_between_logging_steps_are_missing_and_said(tmp_path: Path) -> None:
    found, lost = read(logged(tmp_path, max_steps=4, logging_steps=2, log_completions=True))
    assert len(found) == 16  # of 32 that were sampled
    assert lost["step_without_file"] == 1  # step 3; of step 1 the log has no trace


def test_an_evaluation_writes_over_the_file_of_its_step(tmp_path: Path) -> None:
    """Eight rows of training, then two prompts of four in its place, with the same file name."""
    settings = {"eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 8}
    saved = {"save_strategy": "steps", "save_steps": 1, "save_only_model": True}
    folder = logged(tmp_path, log_completions=True, **settings, **saved)
    assert [file.name for file in folder.iterdir()] == ["completions_00001.parquet"]
    found, lost = read(folder)
    # the order of evaluation: both prompts as they stand in its data
    assert [t.steps[0].text for t in found] == ["a b"] * 4 + ["b b"] * 4
    assert lost["evaluation_not_told"] == 1
    # with its checkpoint the output folder tells
    lost = read(folder.parent)[1]
    assert lost["evaluation_in_file"] == 1
    assert "evaluation_not_told" not in lost


def test_our_own_log_has_every_batch_once(tmp_path: Path) -> None:
    given = {"log": tmp_path / "log"}
    trainer = ours(tmp_path, given=given, num_iterations=2, max_steps=4)
    trainer.train()
    files = sorted(file.name for file in (tmp_path / "log").iterdir())
    assert files == ["step_000001.jsonl", "step_000003.jsonl"]
    found, lost = read(tmp_path / "log")
    assert not lost
    assert [t.outcome for t in found] == list(MIXED) * 2
    own = [s for t in found for s in t.steps if type(s) is ModelStep]
    assert [s.token_ids for s in own] == [tuple(row) for row in ROWS] * 2
    assert {t.group for t in found} == {"1/0", "1/1", "3/0", "3/1"}
    audit = audit_log(tmp_path / "log", report=False).audit
    assert (audit["trajectories"]["passed"], audit["groups"]["mixed"]) == (6, 4)


CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
RESULT = {"role": "tool", "name": "f", "content": "1"}


@pytest.mark.parametrize(
    ("said", "tools", "answered"),
    [
        ([CALL, RESULT, {"role": "assistant", "content": "1"}], True, True),
        ([CALL, RESULT, CALL], True, False),
        ([CALL], True, False),
        ([CALL, RESULT], True, False),
        ([CALL], False, True),  # nobody would have answered it
        ("text", True, True),
    ],
)
def test_a_tool_run_that_was_cut_ends_in_the_budget(said: Any, tools: bool, answered: bool) -> None:
    """Its last turn ends in the token 1, as one that answers does."""
    rewards = torch.ones(1, 1)
    call = RewardCall(inputs=[{}], completions=[said], ids=[[4, 1]], rewards=rewards, sampled=None)
    trainer = SimpleNamespace(eos_token_ids={1}, processing_pad=0, tools=[len] if tools else [])
    assert call._answered(trainer) == [answered]


def test_a_list_from_a_tool_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    trainer = ours(tmp_path, given={"say": said.append})
    for _ in range(2):
        parts = [[{"role": "tool", "name": "f", "content": ["a"]}]] * 8
        ids = [list(row) for row in ROWS]
        inputs = [{"prompt": "a"}] * 8
        call = RewardCall(
            inputs=inputs, completions=parts, ids=ids, rewards=torch.ones(8, 1), sampled=None
        )
        width = max(map(len, ids))
        call.facts(trainer, {"completion_ids": torch.zeros(8, width)})
    assert said == [LISTS]


def test_dropout_is_said_and_can_be_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    trainer = ours(tmp_path, given={"say": said.append})
    for layer in trainer.model.model.layers:
        layer.self_attn.attention_dropout = 0.1
    trainer.train()
    assert said.count(DROPOUT) == 1
    noisy = torch.nn.Sequential(torch.nn.Dropout(0.1))
    assert dropout(noisy)
    assert dropout(trainer.model)
    for each in (noisy, trainer.model):
        without_dropout(each)
        assert not dropout(each)

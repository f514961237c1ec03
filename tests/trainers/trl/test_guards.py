"""The negative side inside the trainer: masks, terms, replay, controllers, checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from assay.errors import DataError
from assay.trainers.trl.losses import preserved

from .quiet import MARKS
from .test_trl import gradients, rows_of, weights
from .tiny import MIXED, ROWS, batch_of, ours, rollouts, torch

pytestmark = MARKS
FAIL = [0.0] * 8


def recipe(**safety: Any) -> dict[str, Any]:
    return {"method": "dr_grpo", "safety": safety}


def paying(*steps: Any) -> Any:
    """Returns a reward function that pays one list of rewards per call."""
    left = list(steps)
    return lambda completions, **_: list(left.pop(0) if len(left) > 1 else left[0])


def test_off_policy_negatives_leave_the_loss(tmp_path: Path) -> None:
    trainer = ours(tmp_path, recipe=recipe(off_policy=0.5), num_iterations=2, loss_type="bnpo")
    plain = ours(tmp_path, recipe="dr_grpo", num_iterations=2, loss_type="bnpo")
    batch, other = batch_of(trainer), batch_of(plain)
    for each in (batch, other):  # every token fell by 0.6 nats since it was sampled
        each["old_per_token_logps"] = each["old_per_token_logps"] + 0.6
    other["advantages"] = other["advantages"].clamp(min=0)  # by hand: all negatives are dropped
    loss, gradient = gradients(trainer, batch)
    expected, expected_gradient = gradients(plain, other)
    assert loss == pytest.approx(expected, abs=1e-7)
    assert (gradient - expected_gradient).abs().max() <= 1e-7  # other rows are passed together
    assert int(trainer._window.dropped[0]) == 5  # rows that failed
    batch["old_per_token_logps"] = batch["old_per_token_logps"] - 0.2  # fell by 0.4: all kept
    other = {**batch_of(plain), "old_per_token_logps": batch["old_per_token_logps"]}
    assert gradients(trainer, batch)[0] == pytest.approx(gradients(plain, other)[0], abs=1e-7)


def test_the_preserving_term_is_added_with_its_weight(tmp_path: Path) -> None:
    settings = {"num_iterations": 2, "loss_type": "bnpo"}
    trainer = ours(tmp_path, recipe=recipe(preserve=0.2), **settings)
    plain = ours(tmp_path, recipe="dr_grpo", **settings)
    batch, other = batch_of(trainer), batch_of(plain)
    for each in (batch, other):
        each["old_per_token_logps"] = each["old_per_token_logps"] + 0.1
    with_term, _ = gradients(trainer, batch)
    without, _ = gradients(plain, other)
    # three successes, 3 + 3 + 4 tokens, each of which lost 0.1: the mean loss of a held token
    assert (batch["advantages"][:, 0] > 0).sum().item() == 3
    assert with_term - without == pytest.approx(0.2 * 0.1, abs=1e-6)
    new = batch["old_per_token_logps"] - 0.1
    held = preserved(
        batch["advantages"],
        new,
        batch["old_per_token_logps"],
        batch["completion_mask"],
        batch["assay_span"],
    )
    assert held.item() == pytest.approx(0.1, abs=1e-6)


def test_a_dropped_failure_is_not_preserved(tmp_path: Path) -> None:
    settings = {"num_iterations": 2, "loss_type": "bnpo"}
    trainer = ours(tmp_path, recipe=recipe(off_policy=0.5, preserve=0.2), **settings)
    plain = ours(tmp_path, recipe=recipe(off_policy=0.5), **settings)
    batch, other = batch_of(trainer), batch_of(plain)
    fell = torch.where(batch["advantages"] < 0, 0.6, 0.1)  # successes stay, failures are dropped
    for each in (batch, other):
        each["old_per_token_logps"] = each["old_per_token_logps"] + fell
    with_term, _ = gradients(trainer, batch)
    without, _ = gradients(plain, other)
    assert int(trainer._window.dropped[0]) == 5
    assert with_term - without == pytest.approx(0.2 * 0.1, abs=1e-6)


def test_old_successes_are_replayed_where_a_batch_has_none(tmp_path: Path) -> None:
    said: list[str] = []
    trainer = ours(
        tmp_path,
        recipe=recipe(replay={"per_step": 2}),
        max_steps=2,
        optim="sgd",
        lr_scheduler_type="constant",
        given={"say": said.append},
    )
    trainer.reward_funcs = [paying(MIXED, FAIL)]
    kept: list[Any] = []
    trainer.session.event = said.append
    marks: list[Any] = []
    inner = trainer.finish_step

    def finish_step(*, skipped: bool) -> None:
        marks.append((skipped, weights(trainer)))
        inner(skipped=skipped)
        kept.append(dict(trainer.session.replay.kept))

    trainer.finish_step = finish_step
    trainer.train()
    # step 1: successes in row 0 of one prompt, 4 and 5 of the other: one of each prompt is kept
    completions = {s.completion_ids for s in kept[0].values()}
    assert len(completions) == 2
    assert completions < {tuple(ROWS[k]) for k in (0, 4, 5)}
    assert tuple(ROWS[0]) in completions
    for sample in kept[0].values():
        assert sample.logprobs is not None
        assert sum(sample.logprobs) / len(sample.logprobs) == pytest.approx(-2.77, abs=0.3)
    # step 2 has no success and no advantage, and is made all the same
    assert [skipped for skipped, _ in marks] == [False, False]
    assert not torch.equal(marks[0][1], marks[1][1])


def test_a_batch_of_failures_with_nothing_to_replay_is_skipped(tmp_path: Path) -> None:
    trainer = ours(tmp_path, recipe=recipe(replay={}), rewards=FAIL)
    before = weights(trainer)
    trainer.train()
    assert torch.equal(weights(trainer), before)


def test_a_back_off_weakens_the_next_batch_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    long = [[*row[:-1], 4, 4, 4, 1] for row in ROWS]
    calls: list[int] = []

    def roll(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        calls.append(1)
        return rollouts(long if len(calls) == 2 else ROWS)(prompts, trainer)

    trainer = ours(
        tmp_path,
        recipe=recipe(back_off={"length": 1.5}),
        roll=roll,
        max_steps=3,
        max_completion_length=12,
        given={"metrics_path": path, "say": lambda _: None},
    )
    trainer.train()
    first, second, third = rows_of(path)
    assert (first["negative_scale"], second["negative_scale"]) == (1.0, 0.5)
    # mean length 25/8 = 3.125, then 6.125
    assert second["events"] == [
        "mean length 6.125 is above 1.5 times its running mean 3.125: negative advantages times 0.5"
    ]
    assert third["mass/positive"] == first["mass/positive"]
    assert third["mass/negative"] == pytest.approx(first["mass/negative"] / 2)


def test_an_inert_guard_is_named_once(tmp_path: Path) -> None:
    said: list[str] = []
    trainer = ours(
        tmp_path, recipe=recipe(delta=3.0, preserve=0.2), max_steps=2, given={"say": said.append}
    )
    trainer.train()
    warned = [text for text in said if text.startswith("every ratio is 1")]
    assert len(warned) == 1
    assert "safety.delta, safety.preserve can do nothing" in warned[0]


def test_all_fail_groups_hold_a_quarter_in_the_trainers_tensor(tmp_path: Path) -> None:
    rewards = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    got = batch_of(ours(tmp_path, recipe=recipe(all_fail="bounded"), rewards=rewards))
    mass = got["advantages"].abs().sum(1)
    assert (mass[4:].sum() / mass.sum()).item() == pytest.approx(0.25)


def test_rows_hold_a_quarter_where_the_loss_takes_their_means(tmp_path: Path) -> None:
    # 0.75 and three times -0.25 in four rows; four failures: a third of 1.5 in four, -1/8
    got = batch_of(
        ours(
            tmp_path,
            recipe=recipe(all_fail="bounded"),
            rewards=(1.0, *[0.0] * 7),
            loss_type="grpo",
        )
    )
    assert got["advantages"][:, 0].tolist() == pytest.approx(
        [0.75, -0.25, -0.25, -0.25, *[-0.125] * 4]
    )


def test_a_checkpoint_holds_what_the_next_step_needs(tmp_path: Path) -> None:
    settings = {
        "recipe": recipe(replay={}, entropy={"warmup": 1}, back_off={"ratio": 1.0001, "hold": 50}),
        "num_iterations": 2,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    first = ours(tmp_path / "a", max_steps=4, **settings)
    first.train()
    folder = tmp_path / "a" / "checkpoint-2"
    state = json.loads((folder / "assay_state.json").read_text())
    assert state["schema"] == "assay.train.state/1"
    assert state["back_off"]["scale"] == 0.5
    assert state["spent"]["tokens_generated"] == sum(map(len, ROWS))

    again = ours(tmp_path / "b", max_steps=4, **settings)
    again.session.load(folder)
    assert again.session.back_off.scale == 0.5
    assert again.session.regime.reference == state["regime"]["reference"]
    assert len(again.session.replay.kept) == 2
    assert again.session.spent.tokens_generated == state["spent"]["tokens_generated"]
    with pytest.raises(DataError, match="back_off is on in one"):
        ours(tmp_path / "c", recipe=recipe(replay={}, entropy={})).session.load(folder)
    with pytest.raises(DataError, match=r"assay_state\.json"):
        again.session.load(tmp_path)


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    settings = {
        "recipe": recipe(back_off={"ratio": 1.0001, "hold": 50}),
        "num_iterations": 2,
        "save_strategy": "steps",
        "save_steps": 2,
        "max_steps": 4,
    }
    whole = ours(tmp_path / "a", **settings)
    whole.train()
    resumed = ours(tmp_path / "b", **settings)
    resumed.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-2"))
    assert resumed.session.spent == whole.session.spent
    assert (weights(resumed) - weights(whole)).abs().max().item() <= 1e-7


def test_rows_stay_where_they_are_where_a_term_is_a_mean_of_a_micro_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.trainers.trl import trainer as trl

    sorted_: list[bool] = []
    inner = trl.by_length
    monkeypatch.setattr(trl, "by_length", lambda *a: sorted_.append(True) or inner(*a))
    settings = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    for safety, often in (({}, 1), ({"preserve": 0.2}, 0)):
        sorted_.clear()
        ours(tmp_path, recipe=recipe(**safety), **settings).train()
        assert len(sorted_) == often


def test_positions_that_the_width_decides_are_not_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.trainers.trl import trainer as trl

    def cut(*_: Any, **__: Any) -> Any:
        raise AssertionError("trimmed")

    trainer = ours(tmp_path)
    batch = batch_of(trainer)
    monkeypatch.setattr(trl, "trimmed", cut)
    with pytest.raises(AssertionError, match="trimmed"):
        gradients(trainer, batch)
    monkeypatch.setattr(trl, "by_width", lambda config: True)
    gradients(trainer, batch)


def test_a_row_cut_short_among_tools_counts_what_was_sampled(tmp_path: Path) -> None:
    # row 3 ends without an end and is left out of the loss; two of its five tokens are a tool's
    rows = [[4, 5, 1], [5, 6, 7, 1], [6, 1], [7, 8, 9, 10, 11], [4, 1], [5, 1], [9, 1], [3, 1]]
    flags = [[1] * len(row) for row in rows]
    flags[3] = [1, 0, 0, 1, 1]
    trainer = ours(tmp_path, roll=rollouts(rows, env_mask=flags), mask_truncated_completions=True)
    batch = batch_of(trainer)
    assert batch["tool_mask"][3].tolist() == [0] * 5
    assert batch["advantages"][3, 1:3].tolist() == [0.0, 0.0]
    assert trainer.session.batch.length_mean == (3 + 4 + 2 + 3 + 2 * 4) / 8

"""AssayTrainer against stock GRPOTrainer, and against numbers worked out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from assay.errors import AlignmentError, DataError, UsageError
from assay.records import ModelStep, ToolStep, Trajectory, encode

from .quiet import MARKS
from .test_contract import LOSSES
from .tiny import MIXED, ROWS, batch_of, lora, ours, rollouts, stock, torch

pytestmark = MARKS


def gradients(trainer: Any, batch: dict[str, Any]) -> tuple[float, "torch.Tensor"]:
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, batch)
    loss.backward()
    flat = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
    return loss.item(), torch.cat(flat)


def test_loss_and_gradient_are_stock_trls(tmp_path: Path) -> None:
    """Off-policy by a fixed perturbation, so that every clip and weight acts."""
    theirs, mine = stock(tmp_path, num_iterations=2), ours(tmp_path, num_iterations=2)
    batch, own = batch_of(theirs), batch_of(mine)
    assert own.keys() == batch.keys()
    assert own["advantages"].shape == own["completion_ids"].shape
    moved = torch.linspace(-0.6, 0.6, batch["completion_ids"].numel()).view_as(
        batch["old_per_token_logps"]
    )
    for each in (batch, own):
        each["old_per_token_logps"] = each["old_per_token_logps"] + moved
    for loss_type in LOSSES:
        for level in ("token", "sequence"):
            for trainer in (theirs, mine):
                trainer.loss_type, trainer.importance_sampling_level = loss_type, level
            loss, gradient = gradients(theirs, batch)
            own_loss, own_gradient = gradients(mine, own)
            assert own_loss == pytest.approx(loss, abs=1e-7), (loss_type, level)
            assert gradient.abs().max().item() > 1e-3, (loss_type, level)
            assert (gradient - own_gradient).abs().max().item() <= 1e-7, (loss_type, level)


def test_training_is_stock_trls(tmp_path: Path) -> None:
    """Four steps, two mini-batches a batch, each used twice; weights agree to float round-off."""
    settings = {
        "max_steps": 4,
        "steps_per_generation": 2,
        "per_device_train_batch_size": 4,
        "num_iterations": 2,
        "loss_type": "dapo",
        "optim": "sgd",
        "learning_rate": 0.1,
    }
    theirs = stock(tmp_path, **settings)
    theirs.train()
    mine = ours(tmp_path, **settings)  # seeds the shuffles anew
    mine.train()
    for a, b in zip(theirs.model.parameters(), mine.model.parameters(), strict=True):
        assert (a - b).abs().max().item() <= 1e-6


def test_readback_of_per_token_credit(tmp_path: Path) -> None:
    from dataclasses import dataclass
    from typing import ClassVar

    import numpy as np

    from assay.batch import Batch
    from assay.credit import Method
    from assay.kernels.term import Term
    from assay.signal import Part, Recipe

    @dataclass(frozen=True)
    class Each(Method):
        """A different number on every sampled token, NaN on some."""

        name: ClassVar[str] = "each"

        def terms(self, batch: Batch) -> list[Term]:
            n = int(batch.length_R.sum())
            value = np.random.default_rng(0).normal(size=n)
            value[::7] = np.nan
            sampled = np.repeat(batch.step_R >= 0, batch.length_R)
            return [Term(name="each", value_U=value, unit_N=np.where(sampled, np.arange(n), -1))]

    masks = [[(i + k) % 3 > 0 for i in range(len(row))] for k, row in enumerate(ROWS)]
    flags = [[int(m) for m in mask] for mask in masks]
    trainer = ours(tmp_path, recipe=Recipe((Part("each", Each()),)), roll=rollouts(env_mask=flags))
    got = batch_of(trainer)["advantages"]
    given = iter(np.random.default_rng(0).normal(size=sum(map(len, ROWS))).tolist())
    at, expected = 0, torch.zeros_like(got)
    for k, row in enumerate(ROWS):
        for i in range(len(row)):
            value = next(given)
            if masks[k][i] and at % 7:
                expected[k, i] = value
            at += 1
    assert torch.equal(got, expected)


def episode(k: int, *, prompt: tuple[int, ...] = (), outcome: float | None = None) -> Trajectory:
    """Row k as a call, a result of one token, and an answer."""
    row = tuple(ROWS[k % 8])
    prompted = (ToolStep(text="start", token_ids=prompt),) if prompt else ()
    return Trajectory(
        id=f"e{k}",
        task=str(k // 4),
        group=str(k // 4),
        outcome=outcome,
        steps=(
            *prompted,
            ModelStep(text=f"call {k}", token_ids=row[:1]),
            ToolStep(text="result", token_ids=row[1:2]),
            ModelStep(text="answer", token_ids=row[2:]),
        ),
    )


@pytest.mark.parametrize("prompt", [(), (3, 4)])
def test_records_of_the_rollout_function_are_used(tmp_path: Path, prompt: tuple[int, ...]) -> None:
    texts = [encode(episode(k, prompt=prompt)).decode() for k in range(8)]
    batch = batch_of(ours(tmp_path, roll=rollouts(trajectory=texts)))
    # the tool's token carries nothing, and the loss no longer counts it
    assert batch["advantages"][0].tolist() == pytest.approx([1.4997, 0.0, 1.4997, 0, 0], abs=1e-4)
    assert batch["tool_mask"][0].tolist() == [1, 0, 1, 1, 1]
    assert batch["num_items_in_batch"].item() == sum(map(len, ROWS)) - 8


def test_a_records_own_outcome_stands_and_the_reward_fills_what_is_unscored(tmp_path: Path) -> None:
    # records: rows 0 to 3 are scored 0, 1, 0, 0 by the environment; the others by the reward
    outcomes = [0.0, 1.0, 0.0, 0.0, None, None, None, None]
    texts = [encode(episode(k, outcome=outcomes[k])).decode() for k in range(8)]
    batch = batch_of(ours(tmp_path, recipe="dr_grpo", roll=rollouts(trajectory=texts)))
    got = batch["advantages"][:, 0].tolist()
    assert got == [-0.25, 0.75, -0.25, -0.25, 0.5, 0.5, -0.5, -0.5]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"trajectory": ["{}"] * 8}, DataError, "rollout row 0, field 'trajectory'"),
        ({"trajectory": [3] * 8}, DataError, "got int; expected the JSON text"),
        (
            {"trajectory": [encode(episode(k + 1)).decode() for k in range(8)]},
            AlignmentError,
            "hold 4 tokens and the completion 3; they part at token 0",
        ),
        (
            {
                "trajectory": [encode(episode(k)).decode() for k in range(8)],
                "env_mask": [[1] * len(row) for row in ROWS],
            },
            AlignmentError,
            "rollout row 0, token 1: env_mask says 1 and the record 0",
        ),
    ],
)
def test_records_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, Any], error: type, says: str
) -> None:
    with pytest.raises(error, match=says):
        batch_of(ours(tmp_path, roll=rollouts(**change)))


def test_none_and_nan_are_unscored_and_move_no_baseline(tmp_path: Path) -> None:
    rewards = (1.0, None, 0.0, 0.0, 1.0, float("nan"), 0.0, 0.0)
    batch = batch_of(ours(tmp_path, recipe="dr_grpo", rewards=rewards))
    third = 1 / 3
    expected = [2 * third, 0, -third, -third, 2 * third, 0, -third, -third]
    assert batch["advantages"][:, 0].tolist() == pytest.approx(expected)


GATED = {"method": "dr_grpo", "gates": ["integrity", "degenerate"]}
DEAD = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # the second group is all-fail: gated


@pytest.mark.parametrize(
    ("denominator", "loss_type", "count", "scale"),
    [
        # rows 0 to 3 hold 14 tokens, rows 4 to 7 hold 11; at most 6 tokens a row
        ("all", "dapo", 25, 1.0),
        ("kept", "dapo", 14, 1.0),
        ("batch", "dapo", 48, 1.0),
        ("all", "grpo", 25, 1.0),
        ("kept", "grpo", 14, 2.0),
        ("kept", "luspo", 14, 2.0),
        ("kept", "bnpo", 14, 1.0),
        ("batch", "dr_grpo", 25, 1.0),
    ],
)
def test_denominators(
    tmp_path: Path, denominator: str, loss_type: str, count: int, scale: float
) -> None:
    recipe = {**GATED, "denominator": denominator}
    batch = batch_of(ours(tmp_path, recipe=recipe, rewards=DEAD, loss_type=loss_type))
    assert batch["num_items_in_batch"].item() == count
    assert batch["advantages"][:, 0].tolist() == [
        scale * a for a in (0.75, -0.25, -0.25, -0.25, 0, 0, 0, 0)
    ]
    if denominator == "kept":
        kept = batch["tool_mask"] * batch["completion_mask"]
        assert kept.sum(1).tolist() == [3, 4, 2, 5, 0, 0, 0, 0]


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo"])
def test_kept_is_the_loss_of_the_kept_rows_alone(tmp_path: Path, loss_type: str) -> None:
    """With "kept", the gated group might as well not have been generated."""
    recipe = {**GATED, "denominator": "kept"}
    both = ours(tmp_path, recipe=recipe, rewards=DEAD, loss_type=loss_type)
    alone = ours(
        tmp_path,
        recipe=recipe,
        rewards=DEAD[:4],
        loss_type=loss_type,
        per_device_train_batch_size=4,
        roll=rollouts(ROWS[:4]),
    )
    batch, half = batch_of(both), batch_of(alone)
    half["prompt_ids"] = batch["prompt_ids"][:4]
    loss, gradient = gradients(both, batch)
    other, other_gradient = gradients(alone, half)
    assert loss == pytest.approx(other, abs=1e-6)
    assert (gradient - other_gradient).abs().max().item() <= 1e-6


def weights(trainer: Any) -> "torch.Tensor":
    return torch.cat([p.detach().flatten().clone() for p in trainer.model.parameters()])


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_empty_step_moves_nothing_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    trainer = ours(
        tmp_path,
        rewards=[0.0] * 8,
        given={"say": said.append, "metrics_path": tmp_path / "metrics.jsonl"},
        max_steps=2,
        weight_decay=0.1,
    )
    before = weights(trainer)
    trainer.train()
    assert torch.equal(weights(trainer), before)
    assert trainer.lr_scheduler.last_epoch == 0
    assert trainer.state.global_step == 2
    assert said[0] == (
        "step 1 skipped, optimiser and scheduler: no token has an advantage "
        "(100% of groups all_fail)"
    )
    assert [row["steps_skipped"] for row in rows_of(tmp_path / "metrics.jsonl")] == [1, 2]


def test_a_step_after_an_empty_one_is_made(tmp_path: Path) -> None:
    calls: list[int] = []

    def reward(completions: list[Any], **_: Any) -> list[float]:
        calls.append(1)
        return [0.0] * 8 if len(calls) == 1 else list(MIXED)

    trainer = ours(tmp_path, max_steps=2)
    trainer.reward_funcs = [reward]
    before = weights(trainer)
    trainer.train()
    assert not torch.equal(weights(trainer), before)
    assert trainer.lr_scheduler.last_epoch == 1


def test_an_empty_step_with_a_kl_term_is_made(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    trainer = ours(tmp_path, rewards=[0.0] * 8, beta=0.1, peft=lora())
    trainer.train()
    assert trainer.lr_scheduler.last_epoch == 1


def test_the_log_of_a_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    said: list[str] = []
    texts = [encode(episode(k)).decode() for k in range(8)]
    trainer = ours(
        tmp_path,
        rewards=DEAD,
        roll=rollouts(trajectory=texts),
        given={"metrics_path": path, "say": said.append, "probe": [_known_good()]},
        max_steps=2,
        num_iterations=2,
    )
    trainer.train()
    first, second = rows_of(path)
    assert (first["step"], first["reward"], first["pass_rate"]) == (1, 0.125, 0.125)
    assert (first["dead_share"], first["dead/all_fail"], first["dead/all_pass"]) == (0.5, 0.5, 0)
    assert first["tokens_generated"] == sum(map(len, ROWS)) - 8
    assert (first["trajectories"], first["skipped"], first["tool_calls"]) == (8, 0, 0)
    assert first["entropy"] == pytest.approx(2.77, abs=0.02)  # log 16: the model knows nothing
    assert first["probe_logprob"] == pytest.approx(-2.77, abs=0.2)
    assert first["ratio/max"] == pytest.approx(1.0, abs=1e-6)
    mass = first["mass/positive"] + first["mass/negative"]
    assert first["dose"] == pytest.approx(trainer.args.learning_rate * mass)
    # the rate falls in a line to 0 over two steps
    assert second["dose"] == pytest.approx(first["dose"] / 2)
    assert second["dose/total"] == pytest.approx(1.5 * first["dose"])
    assert second["ratio/max"] > 1.0  # the same batch again, after a step
    assert second["tokens_generated"] == first["tokens_generated"]
    assert trainer.state.log_history[0]["assay/pass_rate"] == 0.125
    assert said[0].startswith("step 1  reward 0.125  pass@1 0.125  dead 50% (all_fail 50%)")


def _known_good() -> Any:
    from assay.signal.origins import OriginRow

    return OriginRow((4, 5), (6, 1), (1, 1))


def test_real_generation_needs_no_rollout_function(tmp_path: Path) -> None:
    trainer = ours(tmp_path)
    trainer.rollout_func = None
    torch.manual_seed(0)
    batch = batch_of(trainer)
    mask = batch["completion_mask"]
    assert batch["advantages"].shape == mask.shape
    assert (batch["advantages"] * (1 - mask)).abs().sum().item() == 0.0
    assert (batch["advantages"] != 0).sum().item() == mask.sum().item()


def test_evaluation_is_trls_own(tmp_path: Path) -> None:
    trainer = ours(tmp_path)
    inputs = next(iter(trainer.get_train_dataloader()))
    trainer.model.eval()
    batch = trainer._generate_and_score_completions(inputs)
    assert batch["advantages"].dim() == 1
    assert trainer._compute_loss(trainer.model, batch).isfinite()


def test_methods_that_need_likelihoods_get_them(tmp_path: Path) -> None:
    recipe = {"method": "rl_zvp"}
    batch = batch_of(ours(tmp_path, recipe=recipe, rewards=[0.0] * 8))
    assert (batch["advantages"] <= 0).all()
    assert (batch["advantages"] < 0).any()
    # records that lack them get them as well: the same where the policy wrote, nothing elsewhere
    texts = [encode(episode(k)).decode() for k in range(8)]
    recipe = {"method": {"name": "rl_zvp", "h_max": "step"}}
    roll = rollouts(trajectory=texts)
    given = batch_of(ours(tmp_path, recipe=recipe, rewards=[0.0] * 8, roll=roll))["advantages"]
    surest = (given[:, 2:] - batch["advantages"][:, 2:]).amax(1)  # H_max of the answer, of all
    assert (given[:, :2] == 0).all()  # a step of one token, and the tool's
    long = torch.tensor([len(row) > 3 for row in ROWS])
    assert (given[long, 2:] < 0).any()
    assert (surest >= 0).all()


@pytest.mark.parametrize("iterations", [1, 2])
def test_rows_that_were_cut_short_are_compared_by_their_own_likelihood(
    tmp_path: Path, iterations: int
) -> None:
    # row 3 ends without an end: with mask_truncated_completions TRL says log-probability 0 of it
    rows = [*ROWS[:3], (7, 8, 9, 10, 11), *ROWS[4:]]
    whole, masked = (
        batch_of(
            ours(
                tmp_path,
                recipe="unlikeliness",
                rewards=[1.0, 1.0, 0.0, 1.0] * 2,
                roll=rollouts(rows),
                num_iterations=iterations,
                mask_truncated_completions=mask,
            )
        )
        for mask in (False, True)
    )
    assert masked["completion_mask"][3].tolist() == [0] * 5
    assert torch.equal(masked["advantages"], whole["advantages"])


def test_lora_trains_adapters_only(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    trainer = ours(tmp_path, recipe="w_reinforce", peft=lora())
    frozen = {n: p.clone() for n, p in trainer.model.named_parameters() if not p.requires_grad}
    moved = {n: p.clone() for n, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.train()
    after = dict(trainer.model.named_parameters())
    assert all(torch.equal(after[n], p) for n, p in frozen.items())
    assert any(not torch.equal(after[n], p) for n, p in moved.items())


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    clip = {"method": "grpo", "safety": {"delta": 3.0}}
    with pytest.raises(UsageError, match=r"delta is 2 and the recipe's safety.delta 3"):
        ours(tmp_path, recipe=clip, delta=2.0)
    with pytest.raises(UsageError, match="has no clip"):
        ours(tmp_path, recipe=clip, loss_type="sapo")
    with pytest.raises(UsageError, match="expected above 1 \\+ epsilon"):
        ours(tmp_path, recipe={"method": "grpo", "safety": {"delta": 1.1}})
    assert ours(tmp_path, recipe=clip).args.delta == 3.0


def test_one_gpu_settings() -> None:
    from assay.trainers.trl.one_gpu import ONE_GPU, one_gpu

    assert ONE_GPU["vllm_importance_sampling_mode"] == "token_truncate"
    with pytest.raises(UsageError, match="num_generation"):
        one_gpu("x", num_generation=4)
    with pytest.raises(UsageError, match="one_gpu: ") as caught:
        one_gpu("x", num_generations=3, per_device_train_batch_size=4)
    assert "\n" not in str(caught.value)

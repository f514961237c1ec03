"""What we rely on in TRL and its friends: fails when a key, a shape or a signature moves."""

import inspect
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from assay.errors import UsageError
from assay.trainers.trl.adapter import TOOL_MASK
from assay.trainers.trl.compatibility import TESTED, check_release, end_ids

from .quiet import MARKS
from .tiny import ROWS, batch_of, config, lora, model, rollouts, stock, torch

pytestmark = MARKS

BASE = {
    "prompt_ids",
    "prompt_mask",
    "completion_ids",
    "completion_mask",
    "advantages",
    "num_items_in_batch",
}
ATTRIBUTES = (
    "tools",
    "reward_weights",
    "reward_func_names",
    "num_generations",
    "rollout_func",
    "beta",
    "epsilon_low",
    "epsilon_high",
    "importance_sampling_level",
    "max_completion_length",
    "loss_type",
    "mask_truncated_completions",
    "_entropy_bonus_enabled",
    "aux_loss_enabled",
    "_metrics",
    "_tokenizer",
)
LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo")


def test_the_release_is_one_that_we_name() -> None:
    assert version("trl") in TESTED
    check_release("dapo")


@pytest.mark.parametrize("release", ["1.8.4", "1.17.0", "2.0.0"])
def test_another_release_is_refused_in_one_line(release: str) -> None:
    with pytest.raises(UsageError, match=f"trl {release} is installed; Assay"):
        check_release("dapo", release)


def test_luspo_of_an_old_release_is_refused() -> None:
    check_release("luspo", "1.13.0")
    check_release("dapo", "1.9.2")
    with pytest.raises(UsageError, match="takes one advantage for each row"):
        check_release("luspo", "1.12.0")


def losses() -> list[str]:
    """The losses that the installed release computes for each token."""
    old = tuple(int(each) for each in version("trl").split(".")[:2]) < (1, 13)
    return [each for each in LOSSES if not (old and each == "luspo")]


def test_keys_shapes_dtypes_and_sides(tmp_path: Path) -> None:
    batch = batch_of(stock(tmp_path))
    assert batch.keys() == BASE
    lengths = [len(row) for row in ROWS]
    T = max(lengths)
    assert batch["completion_ids"].shape == batch["completion_mask"].shape == (8, T)
    assert batch["completion_mask"].tolist() == [[1] * n + [0] * (T - n) for n in lengths]
    assert batch["completion_ids"][0].tolist() == [*ROWS[0], *[0] * (T - lengths[0])]
    assert batch["prompt_ids"].shape == batch["prompt_mask"].shape == (8, 2)
    assert batch["advantages"].shape == (8,)
    assert batch["advantages"].dtype == torch.float32
    assert batch["num_items_in_batch"].dim() == 0
    assert batch["num_items_in_batch"].item() == sum(lengths)


def test_what_was_sampled_is_the_third_thing_generated(tmp_path: Path) -> None:
    masks = [[1] + [0] * (len(row) - 1) for row in ROWS]
    trainer = stock(tmp_path, roll=rollouts(env_mask=masks))
    trainer.model.train()
    made = trainer._generate(["a b"] * 8)
    assert len(made) == 8
    assert made[TOOL_MASK] == masks
    assert stock(tmp_path)._generate(["a b"] * 8)[TOOL_MASK] is None


def test_prompts_are_padded_left(tmp_path: Path) -> None:
    def roll(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        made = rollouts()(prompts, trainer)
        return {**made, "prompt_ids": [[4], [5, 6, 7], *[[8, 9]] * (len(prompts) - 2)]}

    batch = batch_of(stock(tmp_path, roll=roll))
    assert batch["prompt_ids"][0].tolist() == [0, 0, 4]
    assert batch["prompt_mask"][:2].tolist() == [[0, 0, 1], [1, 1, 1]]


def test_env_mask_becomes_tool_mask_with_ones_in_the_padding(tmp_path: Path) -> None:
    masks = [[1] + [0] * (len(row) - 1) for row in ROWS]
    batch = batch_of(stock(tmp_path, roll=rollouts(env_mask=masks)))
    assert batch.keys() == BASE | {"tool_mask"}
    assert batch["tool_mask"][0].tolist() == [1, 0, 0, 1, 1]
    assert batch["num_items_in_batch"].item() == 8


def test_reuse_adds_old_log_probabilities_and_beta_adds_the_reference(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    batch = batch_of(stock(tmp_path, num_iterations=2, beta=0.1, peft=lora()))
    assert batch.keys() == BASE | {"old_per_token_logps", "ref_per_token_logps"}
    assert batch["old_per_token_logps"].shape == batch["completion_ids"].shape


def test_extra_lists_reach_the_rows_of_the_reward_call(tmp_path: Path) -> None:
    seen: list[Any] = []
    trainer = stock(tmp_path, roll=rollouts(trajectory=[f"t{k}" for k in range(8)]))
    inner = trainer._calculate_rewards
    trainer._calculate_rewards = lambda inputs, *rest: seen.extend(inputs) or inner(inputs, *rest)
    batch_of(trainer)
    assert [row["trajectory"] for row in seen] == [f"t{k}" for k in range(8)]


def test_every_loss_takes_advantages_per_token(tmp_path: Path) -> None:
    trainer = stock(tmp_path, num_iterations=2)
    trainer.current_gradient_accumulation_steps = 1
    batch = batch_of(trainer)
    wide = batch["advantages"][:, None] * batch["completion_mask"]
    for trainer.loss_type in losses():
        loss = trainer._compute_loss(trainer.model, batch)
        again = trainer._compute_loss(trainer.model, {**batch, "advantages": wide})
        assert again.item() == pytest.approx(loss.item(), abs=1e-7), trainer.loss_type


def test_the_loss_reads_the_advantages_after_its_one_forward_pass(tmp_path: Path) -> None:
    # our off-policy mask replaces them in between
    trainer = stock(tmp_path)
    trainer.current_gradient_accumulation_steps = 1
    batch = batch_of(trainer)
    inner, calls = trainer._get_per_token_logps_and_entropies, []

    def forward(*args: Any, **kwargs: Any) -> Any:
        batch["advantages"] = torch.zeros_like(batch["advantages"])
        calls.append(kwargs["compute_entropy"])
        return inner(*args, **kwargs)

    trainer._get_per_token_logps_and_entropies = forward
    assert trainer._compute_loss(trainer.model, batch).item() == 0.0
    assert calls == [True]


def test_signatures() -> None:
    from trl import GRPOTrainer

    expected = {
        "_generate_and_score_completions": ["self", "inputs"],
        "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
        "_compute_loss": ["self", "model", "inputs"],
        "_save_checkpoint": ["self", "model", "trial"],
        "_load_optimizer_and_scheduler": ["self", "checkpoint"],
    }
    for name, parameters in expected.items():
        assert list(inspect.signature(getattr(GRPOTrainer, name)).parameters) == parameters
    forward = inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters
    first = ["self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size"]
    assert list(forward)[:6] == first
    assert forward["compute_entropy"].default is False


def test_attributes_that_we_read(tmp_path: Path) -> None:
    trainer = stock(tmp_path)
    for name in ATTRIBUTES:
        assert getattr(trainer, name, "absent") != "absent", name
    assert end_ids(trainer)


def test_delta_is_the_two_sided_clip(tmp_path: Path) -> None:
    trainer = stock(tmp_path, num_iterations=2, delta=1.5, epsilon=0.2, loss_type="bnpo")
    trainer.current_gradient_accumulation_steps = 1
    batch = batch_of(trainer)
    new = batch["old_per_token_logps"]
    old = new - torch.linspace(-1.0, 1.0, new.numel()).view_as(new)
    loss = trainer._compute_loss(trainer.model, {**batch, "old_per_token_logps": old})
    wide = batch["advantages"][:, None].expand_as(new)
    ratio = torch.exp(new - old)
    # -min( min(r, delta) A, clip(r, 1 - low, 1 + high) A )
    mine = -torch.min(ratio.clamp(max=1.5) * wide, ratio.clamp(0.8, 1.2) * wide)
    mask = batch["completion_mask"]
    assert loss.item() == pytest.approx(((mine * mask).sum() / mask.sum()).item(), abs=1e-6)


def test_accelerate_leaves_the_scheduler_to_the_overflow_flag() -> None:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState

    AcceleratorState._reset_state()
    PartialState._reset_state()
    accelerator = Accelerator(cpu=True)
    net = model()
    optimizer = accelerator.prepare(torch.optim.AdamW(net.parameters()))
    assert accelerator.optimizer_step_was_skipped is False
    optimizer._is_overflow = True
    optimizer.step()  # no gradient anywhere: nothing moves, and the flag stays
    assert accelerator.optimizer_step_was_skipped is True


def test_every_setting_of_one_gpu_is_a_field(tmp_path: Path) -> None:
    from assay.trainers.trl.one_gpu import ONE_GPU

    fields = vars(config(tmp_path))
    assert set(ONE_GPU) <= set(fields) | {"gradient_checkpointing"}

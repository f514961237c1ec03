"""Rows without an advantage: no backward pass, and not a digit of difference."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from assay.trainers.trl import shared_prefixes

from .quiet import MARKS
from .test_contract import LOSSES
from .test_trl import gradients
from .tiny import batch_of, lora, ours, stock, torch

pytestmark = MARKS
ONE_DEAD = (0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0)
"""Rewards of two groups of four: the first teaches nothing."""


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes whole rows, so that they can be counted: what they share is passed as one else."""
    monkeypatch.setattr(shared_prefixes, "shareable", lambda _: False)


def followed(trainer: Any) -> list[tuple[int, bool]]:
    """Returns a list that gets (rows, whether with a gradient) of every forward pass to come."""
    seen: list[tuple[int, bool]] = []

    def note(_: Any, args: Any, kwargs: Any) -> None:
        seen.append((len(kwargs["input_ids"]), torch.is_grad_enabled()))

    trainer.model.register_forward_pre_hook(note, with_kwargs=True)
    return seen


@pytest.mark.usefixtures("whole")
def test_gradients_are_stock_trls_and_half_of_the_rows_get_none(tmp_path: Path) -> None:
    theirs = stock(tmp_path, rewards=ONE_DEAD, num_iterations=2)
    mine = ours(tmp_path, rewards=ONE_DEAD, num_iterations=2)
    batch, own = batch_of(theirs), batch_of(mine)
    moved = torch.linspace(-0.6, 0.6, batch["completion_ids"].numel()).view_as(
        batch["old_per_token_logps"]
    )
    for each in (batch, own):
        each["old_per_token_logps"] = each["old_per_token_logps"] + moved
    seen = followed(mine)
    for loss_type in LOSSES:
        for level in ("token", "sequence"):
            for trainer in (theirs, mine):
                trainer.loss_type, trainer.importance_sampling_level = loss_type, level
            seen.clear()
            loss, gradient = gradients(theirs, batch)
            own_loss, own_gradient = gradients(mine, own)
            assert own_loss == pytest.approx(loss, abs=1e-7), (loss_type, level)
            assert gradient.abs().max().item() > 1e-3, (loss_type, level)
            assert (gradient - own_gradient).abs().max().item() <= 1e-7, (loss_type, level)
            assert seen == [(4, False), (4, True)], (loss_type, level)


def test_metrics_are_of_all_rows_in_their_order(tmp_path: Path) -> None:
    """Log-probabilities and entropies stand where the rows stand, dead ones in between."""
    rewards = (0.0, 0.0, 0.0, 0.0, 1.0, 0.0, None, None)
    mine = ours(tmp_path, rewards=rewards)
    batch = batch_of(mine)
    assert [bool(row) for row in (batch["advantages"] == 0).all(1)] == [True] * 4 + [
        False,
        False,
        True,
        True,
    ]
    shuffled = torch.tensor([4, 0, 6, 5, 1, 7, 2, 3])
    batch = {
        key: value[shuffled] if isinstance(value, torch.Tensor) and value.dim() else value
        for key, value in batch.items()
    }
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    seen = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    width = batch["completion_ids"].shape[1]
    whole = mine._get_per_token_logps_and_entropies(
        mine.model, ids, seen, width, compute_entropy=True
    )
    mine._open = batch
    parts = mine._get_per_token_logps_and_entropies(
        mine.model, ids, seen, width, compute_entropy=True
    )
    mine._open = None
    for one, other in zip(whole[:2], parts[:2], strict=True):
        assert (one - other).abs().max().item() <= 1e-6
    # the gradient of the sum of everything comes from the two rows that have an advantage
    total = parts[0][[0, 3]].sum()
    wanted = torch.autograd.grad(total, list(mine.model.parameters()), retain_graph=True)
    found = torch.autograd.grad(parts[0].sum(), list(mine.model.parameters()))
    for a, b in zip(wanted, found, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("why", ["kl", "entropy", "preserve", "sharded"])
def test_rows_that_another_loss_needs_are_not_left_out(tmp_path: Path, why: str) -> None:
    if why == "kl":
        pytest.importorskip("peft")
        mine = ours(tmp_path, rewards=ONE_DEAD, beta=0.1, peft=lora())
    elif why == "preserve":
        recipe = {"method": "grpo", "safety": {"preserve": 0.1}}
        mine = ours(tmp_path, rewards=ONE_DEAD, recipe=recipe)
    else:
        mine = ours(tmp_path, rewards=ONE_DEAD)
    batch = batch_of(mine)
    mine._open = batch
    assert why in ("kl", "preserve") or mine._idle(batch).any()
    if why == "entropy":
        mine._entropy_bonus_enabled = True
    if why == "sharded":  # every process must pass forward as often as the others
        mine.accelerator.state.distributed_type = "FSDP"
    assert not mine._idle(batch).any()


@pytest.mark.usefixtures("whole")
def test_a_batch_without_any_advantage_still_has_a_gradient(tmp_path: Path) -> None:
    """Processes that share a model wait for each other's: one row goes through, and gives 0."""
    mine = ours(tmp_path, rewards=[0.0] * 8)
    seen = followed(mine)
    batch = batch_of(mine)
    seen.clear()
    loss, gradient = gradients(mine, batch)
    assert seen == [(7, False), (1, True)]
    assert (loss, gradient.abs().max().item()) == (0.0, 0.0)

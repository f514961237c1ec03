"""Ratios of whole sequences, with a credit of its own for each token."""

from pathlib import Path

import pytest

pytest.importorskip("trl")

from assay.trainers.trl.losses import preserved

from .quiet import MARKS
from .test_trl import gradients
from .tiny import batch_of, ours, torch

pytestmark = MARKS


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "luspo"])
def test_each_token_learns_by_its_own_advantage(tmp_path: Path, loss_type: str) -> None:
    """GSPO-token: min(s A_t, clip(s) A_t), s the sequence's ratio, the gradient token t's own."""
    settings = {"loss_type": loss_type, "num_iterations": 2, "epsilon": 0.2}
    trainer = ours(tmp_path, importance_sampling_level="sequence", **settings)
    batch = batch_of(trainer)
    mask = batch["completion_mask"].float()
    batch["advantages"] = torch.linspace(-1, 1, mask.numel()).view_as(mask) * mask
    by_row = torch.linspace(-0.5, 0.5, 8)[:, None]  # some rows are clipped above, some below
    old = batch["old_per_token_logps"] + by_row + torch.linspace(-0.1, 0.1, mask.shape[1])
    loss, gradient = gradients(trainer, {**batch, "old_per_token_logps": old})

    trainer.model.zero_grad()
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    logits = trainer.model(input_ids=ids).logits[:, batch["prompt_ids"].shape[1] - 1 : -1]
    new = torch.log_softmax(logits, -1).gather(2, batch["completion_ids"][:, :, None])[:, :, 0]
    n = mask.sum(1, keepdim=True)
    s = torch.exp(((new - old) * mask).sum(1, keepdim=True) / n).detach()
    ratio = s * torch.exp(new - new.detach())
    A = batch["advantages"]
    each = -torch.minimum(ratio * A, ratio.clamp(0.8, 1.2) * A) * mask
    assert (s > 1.2).any()
    assert (s < 0.8).any()
    expected = {
        "grpo": (each / n).sum() / 8,
        "bnpo": each.sum() / n.sum(),
        "dapo": each.sum() / n.sum(),
        "dr_grpo": each.sum() / 8 / trainer.max_completion_length,
        "luspo": each.sum() / 8,
    }[loss_type]
    expected.backward()
    flat = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
    assert loss == pytest.approx(expected.item(), abs=1e-6)
    assert flat.abs().max().item() > 1e-3
    assert (gradient - flat).abs().max().item() <= 1e-6


def test_on_policy_too_and_the_level_is_put_back(tmp_path: Path) -> None:
    """Every ratio is 1. From advantages that add up to 0 in a row stock TRL would learn nothing."""
    found = []
    for level in ("token", "sequence"):
        trainer = ours(tmp_path, importance_sampling_level=level, loss_type="grpo")
        batch = batch_of(trainer)
        sign = torch.tensor([1.0, -1.0] + [0.0] * (batch["completion_mask"].shape[1] - 2))
        batch["advantages"] = sign.expand_as(batch["completion_mask"]).contiguous()
        found.append(gradients(trainer, batch)[1])
        assert trainer.importance_sampling_level == level
    assert found[0].abs().max().item() > 1e-3
    assert torch.equal(found[0], found[1])


def test_what_is_preserved_is_read_from_the_old_log_probabilities(tmp_path: Path) -> None:
    settings = {"num_iterations": 2, "loss_type": "bnpo", "importance_sampling_level": "sequence"}
    kept = ours(tmp_path, recipe={"method": "dr_grpo", "safety": {"preserve": 0.2}}, **settings)
    plain = ours(tmp_path, recipe="dr_grpo", **settings)
    batch, other = batch_of(kept), batch_of(plain)
    new, mask = batch["old_per_token_logps"], batch["completion_mask"]
    moved = torch.linspace(-0.1, 0.3, mask.shape[1]).expand_as(new)  # unlike at every token
    for each in (batch, other):
        each["old_per_token_logps"] = new + moved
    with_term, _ = gradients(kept, batch)
    without, _ = gradients(plain, other)
    held = preserved(batch["advantages"], new, new + moved, mask, batch["assay_span"])
    assert held.item() > 0.01
    assert with_term - without == pytest.approx(0.2 * held.item(), abs=1e-6)

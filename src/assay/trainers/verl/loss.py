"""verl's clipped loss, and how far sampled tokens moved: `actor.policy_loss.loss_mode=assay`."""
# pyright: reportMissingImports=false

from typing import Any, Final

import torch

NAME: Final = "assay"
LARGEST: Final = "actor/assay_ratio_max"
"""Largest ratio new / old of a sampled token; what `safety.back_off` looks at."""


def clipped(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Returns verl's vanilla loss to the bit, and its metrics with the largest ratio."""
    from verl.trainer.ppo.core_algos import get_policy_loss_fn

    loss, metrics = get_policy_loss_fn("vanilla")(
        old_log_prob=old_log_prob,
        log_prob=log_prob,
        advantages=advantages,
        response_mask=response_mask,
        loss_agg_mode=loss_agg_mode,
        config=config,
        rollout_is_weights=rollout_is_weights,
    )
    gap = torch.where(response_mask > 0, log_prob.detach() - old_log_prob, -torch.inf)
    largest = float(gap.exp().max()) if gap.numel() else 0.0
    return loss, {**metrics, LARGEST: largest}


def register() -> None:
    """Puts the loss into verl's table."""
    from verl.trainer.ppo.core_algos import register_policy_loss

    register_policy_loss(NAME)(clipped)

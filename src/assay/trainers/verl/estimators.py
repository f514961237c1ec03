"""Level 1: methods over verl's token rewards, in its table of estimators. Needs verl.

    algorithm.adv_estimator=nsr

A registered estimator sees rewards, mask and group of each row, and no more: a row is a trajectory
of one turn, its outcome the sum of its rewards. Names that verl has itself (grpo, rloo, ...) are
verl's. `assay` is level 2: it reads records, and the trainer puts its own numbers in its place.
"""
# pyright: reportMissingImports=false

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import torch

from assay.credit import METHODS
from assay.errors import UsageError
from assay.recipes import Recipe
from assay.signal import bare, per_row
from assay.trainers.verl.settings import LEVEL_2

_GATES: Final = Recipe().gates
INSIDE: Final = ContextVar("inside", default=False)
"""Set while the trainer asks for what it will replace."""
Estimator = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def over_rewards(name: str) -> Estimator:
    """Returns verl's estimator of a method by name."""

    def estimator(
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: Any = None,
        config: Any = None,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        made = advantage_of(Recipe.of(name), token_level_rewards, response_mask, index)
        return made, made

    return estimator


def advantage_of(
    recipe: Recipe, rewards: torch.Tensor, mask: torch.Tensor, index: Any
) -> torch.Tensor:
    """Returns the advantages (B, T) of rows by their rewards alone, 0 off the mask.

    Args:
        recipe: which method.
        rewards: (B, T), in whatever token they are paid.
        mask: (B, T), 1 where the policy sampled.
        index: the group of each row.

    Raises:
        UsageError: verl says nothing of groups.
    """
    if index is None:
        raise UsageError("estimator: verl gave no index; each row's group is needed")
    outcome = rewards.sum(-1)  # in verl's precision: it compares the same
    batch = bare(
        outcome.double().cpu().numpy(),
        index.tolist() if hasattr(index, "tolist") else index,
        (_counted(mask) if _asks_lengths(recipe) else _wrote(mask)).cpu().numpy(),
        pass_at=recipe.pass_at,
    )
    made = torch.as_tensor(per_row(batch, recipe), dtype=rewards.dtype, device=rewards.device)
    if mask.dtype == rewards.dtype:
        return mask * made[:, None]
    # verl's masks are int64: converted and written over, which beats a product of two types
    return mask.to(rewards.dtype).mul_(made[:, None])


def _asks_lengths(recipe: Recipe) -> bool:
    """Does anything ask how many tokens a row has, and not only whether it has any?"""
    return recipe.gates != _GATES or any(part.method.lengths for part in recipe.parts)


def _counted(mask: torch.Tensor) -> torch.Tensor:
    """Returns how many tokens of each row were sampled: exact, whatever the mask is made of."""
    return mask.sum(-1, dtype=torch.int64 if mask.dtype == torch.int64 else torch.float32).long()


def _wrote(mask: torch.Tensor) -> torch.Tensor:
    """Returns 1 for each row of which any token was sampled, else 0: the first one, as a rule, so
    that the rest of the mask is not read for it."""
    found = (mask[:, :1] != 0).any(-1)  # a batch may have no token at all
    if not found.all():
        rest = (~found).nonzero().squeeze(-1)
        found[rest] = (mask[rest] != 0).any(-1)
    return found.long()


def by_trainer(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns zeros, for the trainer to replace.

    Raises:
        UsageError: another trainer asks, which would train on them.
    """
    if not INSIDE.get():
        raise UsageError(
            "algorithm.adv_estimator=assay reads records, which only the synchronous trainer has: "
            "set trainer.use_v1=True and trainer.v1.trainer_mode=sync, or name a method instead of "
            "assay, as algorithm.adv_estimator=nsr"
        )
    nothing = torch.zeros_like(token_level_rewards)
    return nothing, nothing


def register() -> None:
    """Puts `assay` and the methods into verl's table; names that are taken stay verl's."""
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, register_adv_est

    register_adv_est(LEVEL_2)(by_trainer)
    for name in METHODS.names():
        if name not in ADV_ESTIMATOR_REGISTRY:
            register_adv_est(name)(over_rewards(name))

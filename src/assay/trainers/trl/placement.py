"""Where a process's rows lie, and what of the signal goes into TRL's dict for them. Needs torch."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Int64, Shaped

from assay.recipes.recipe import ROW_LOSSES, TOKEN_LOSSES
from assay.signal.signal import Signal
from assay.trainers.trl.adapter import check_mask


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where this process's rows lie among those of all processes."""

    mine: slice
    skip_K: Int64[np.ndarray, " K"]
    width: int
    """T of this process."""

    def wide(self, made: Signal) -> int:
        """Returns a width that fits the rows of all processes."""
        return max(self.width, int((made.length_K - self.skip_K).max(initial=0)))

    def cut(
        self, wide_KT: Shaped[np.ndarray, "K _"], device: torch.device
    ) -> Shaped[torch.Tensor, "B T"]:
        """Returns this process's part of an array over all rows."""
        return torch.as_tensor(wide_KT[self.mine, : self.width], device=device)


def placed(trainer: Any, output: dict[str, Any], made: Signal, place: Place) -> None:
    """Replaces advantages, mask and divisor in TRL's dict by what the signal says."""
    device, recipe = trainer.accelerator.device, trainer.recipe
    advantage_KT, weight_KT = made.rows(skip_K=place.skip_K, width=place.wide(made))
    local = place.cut(advantage_KT, device).float()
    if recipe.denominator == "kept":
        weight = (place.cut(weight_KT, device) > 0).long()
        output["tool_mask"] = output.get("tool_mask", torch.ones_like(weight)) * weight
        output["num_items_in_batch"] = _loss_tokens(trainer, output)
        if trainer.loss_type in ROW_LOSSES:
            kept = int((weight_KT > 0).any(1).sum())
            local = local * (weight_KT.shape[0] / max(kept, 1))
    elif recipe.denominator == "batch" and trainer.loss_type in TOKEN_LOSSES:
        constant = weight_KT.shape[0] * trainer.max_completion_length
        output["num_items_in_batch"] = torch.full_like(output["num_items_in_batch"], constant)
    output["advantages"] = local
    if recipe.safety.preserve:
        span_KT = made.spans(skip_K=place.skip_K, width=place.wide(made))
        output["assay_span"] = place.cut(span_KT, device)


def mask_from_records(trainer: Any, output: dict[str, Any], made: Signal, place: Place) -> None:
    """Holds TRL's mask to what the records say was sampled; gives it one where it has none."""
    wide = made.sampled(skip_K=place.skip_K, width=place.wide(made))
    sampled = place.cut(wide, trainer.accelerator.device)
    if "tool_mask" in output:
        check_mask(sampled, output["tool_mask"], output["completion_mask"])
    elif bool((wide == 0).any()):  # on every process or on none: the sum is taken together
        output["tool_mask"] = sampled
        output["num_items_in_batch"] = _loss_tokens(trainer, output)


def _loss_tokens(trainer: Any, output: dict[str, Any]) -> torch.Tensor:
    """Returns the tokens that the loss counts, over all processes."""
    mask = output["completion_mask"] * output["tool_mask"]
    return trainer.accelerator.gather(mask.sum()).sum()

"""Prompts that several rows share, passed once: what a group has in common costs one row, not G.

    keys and values of prompt[:-1], once per distinct prompt   ->   one row each, by index
    prompt[-1] and the completion, per row, over them

Every token meets the same keys, values and positions as in a pass over whole rows, and gradients
flow back through the keys and values: the numbers are the same up to rounding. Needs torch.
"""

from typing import Any, Final, final

import torch
from jaxtyping import Int, Shaped
from torch import nn

from assay.trainers.trl.padding import rotary

WORTH: Final = 0.05
"""Share of a pass's tokens that sharing must save: less is not worth a second pass."""
ATTENTION: Final = ("sdpa", "eager")
"""Attention whose pass over keys and values that are given we have tested."""


def shareable(model: Any) -> bool:
    """Returns whether this model, unwrapped, can take keys and values in training.

    Each token must look at all before it (no window, no state), nothing may be random, and no
    layer may be passed again in the backward pass (gradient checkpointing): it would add its keys
    twice.
    """
    config = model.config
    kinds = getattr(config, "layer_types", None) or ("full_attention",)
    drops = getattr(config, "attention_dropout", 0.0) or any(
        (isinstance(each, nn.Dropout) and each.p > 0)
        or getattr(each, "gradient_checkpointing", False)
        for each in model.modules()
    )
    return (
        rotary(config)
        and set(kinds) == {"full_attention"}
        and getattr(config, "sliding_window", None) is None
        and getattr(config, "_attn_implementation", None) in ATTENTION
        and not drops
        and config.get_text_config() is config
    )


@final
class SharedPrompts:
    """A model that passes shared prompts once; called as TRL calls one, for one pass of rows."""

    def __init__(self, model: Any, whole: Any, width: int) -> None:
        """Takes the model, the same unwrapped, and the width of completions."""
        self._model, self._width = model, width
        inner = whole.get_base_model() if hasattr(whole, "get_base_model") else whole
        self._backbone: Any = inner.base_model

    def __getattr__(self, name: str) -> Any:
        """Returns what the model has."""
        return getattr(self._model, name)

    def __call__(
        self, *, input_ids: torch.Tensor, attention_mask: torch.Tensor, **given: Any
    ) -> Any:
        """Returns what the model returns of the last prompt token and the completion."""
        prompt = input_ids.shape[1] - self._width
        distinct, row_B = _distinct(input_ids[:, :prompt], attention_mask[:, :prompt])
        saved = (len(row_B) - len(distinct)) * (prompt - 1)
        if saved <= WORTH * input_ids.numel():
            return self._model(input_ids=input_ids, attention_mask=attention_mask, **given)
        before = prompt - 1
        cache = self._backbone(
            input_ids=input_ids[distinct, :before],
            attention_mask=attention_mask[distinct, :before],
            use_cache=True,
        ).past_key_values
        cache.batch_select_indices(row_B)
        if given.get("labels") is not None:
            given["labels"] = given["labels"][:, before:]
        return self._model(
            input_ids=input_ids[:, before:],
            attention_mask=attention_mask,
            past_key_values=cache,
            **given,
        )


def _distinct(
    ids: Int[torch.Tensor, "B P"], seen: Shaped[torch.Tensor, "B P"]
) -> tuple[Int[torch.Tensor, " U"], Int[torch.Tensor, " B"]]:
    """Returns (a row of each distinct prompt, which of these each row has)."""
    key = torch.where(seen > 0, ids, -1)
    found, row_B = torch.unique(key, dim=0, return_inverse=True)
    first = torch.full((len(found),), len(ids), device=ids.device)
    first.scatter_reduce_(0, row_B, torch.arange(len(ids), device=ids.device), "amin")
    return first, row_B

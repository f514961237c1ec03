"""Less padding: what TRL pads to the longest row of a generated batch, cut to each micro-batch's.

One long trajectory otherwise sets the cost of every row. Columns in which every row is padding
change nothing but the time, and neither does the order of rows, as long as a loss is a sum over
tokens and not a mean over a micro-batch. Needs torch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch

Batch = dict[str, Any]
Better = Callable[[Sequence[Batch], torch.Tensor], torch.Tensor]
TEXT_ONLY: Final = ("token_type_ids", "mm_token_type_ids", "pixel_values")
"""Keys of inputs whose columns we do not know: those batches stay as they are."""


def rotary(config: Any) -> bool:
    """Returns whether a model of this configuration reads how far tokens are apart, and no more."""
    known = any(getattr(config, name, None) for name in ("rope_parameters", "rope_theta"))
    return known and not by_width(config)


def by_width(config: Any) -> bool:
    """Returns whether a model of this configuration reads how many columns there are: positions of
    the kinds "dynamic" and "longrope" are stretched by the longest row, padding included."""
    given: Any = getattr(config, "rope_parameters", None) or {}
    kinds = given.values() if all(isinstance(each, Mapping) for each in given.values()) else [given]
    return any(each.get("rope_type") in ("dynamic", "longrope") for each in kinds)


def trimmed(inputs: Mapping[str, Any], *, left: bool = True) -> Batch:
    """Returns a micro-batch without the columns in which every row is padding.

    Prompts are padded on the left, completions on the right; one column of each always stays.

    Args:
        inputs: TRL's micro-batch.
        left: whether prompts may be cut. That moves every token, which a model that numbers them
            by column (GPT-2) would notice; one that is `rotary` does not.
    """
    result = dict(inputs)
    if any(inputs.get(key) is not None for key in TEXT_ONLY):
        return result
    prompt, completion = inputs["prompt_mask"], inputs["completion_mask"]
    begin = min(_first(prompt.any(0)), prompt.shape[1] - 1) if left else 0
    end = max(completion.shape[1] - _first(completion.any(0).flip(0)), 1)
    for key in ("prompt_ids", "prompt_mask"):
        result[key] = inputs[key][:, begin:]
    wide = tuple(completion.shape)
    for key, value in inputs.items():
        of_tokens = isinstance(value, torch.Tensor) and tuple(value.shape) == wide
        if of_tokens and key not in ("prompt_ids", "prompt_mask"):
            result[key] = value[:, :end]
    return result


def _first(seen: torch.Tensor) -> int:
    """Returns the index of the first column that is in use; their number if none is."""
    return int(seen.int().argmax()) if bool(seen.any()) else int(seen.numel())


def by_length(
    batches: Sequence[Batch], window: int, better: Better = lambda _, order: order
) -> list[Batch]:
    """Returns the micro-batches with rows of about equal length together.

    Args:
        batches: micro-batches of a generated batch, all of the same number of rows.
        window: how many of them make one optimiser step; rows never leave their step.
        better: returns the order of a step's rows, given that by length.
    """
    made: list[Batch] = []
    for first in range(0, len(batches), window):
        made += _sorted(batches[first : first + window], better)
    return made


def _sorted(batches: Sequence[Batch], better: Better) -> list[Batch]:
    """Returns the micro-batches of one optimiser step, longest rows first."""
    if len(batches) == 1:
        return list(batches)
    lengths = torch.cat([b["prompt_mask"].sum(1) + b["completion_mask"].sum(1) for b in batches])
    order = better(batches, torch.argsort(lengths, descending=True, stable=True))
    many = len(order) // len(batches)
    parts = [order[at * many : (at + 1) * many] for at in range(len(batches))]
    made = [dict(batch) for batch in batches]
    for key, value in batches[0].items():
        if isinstance(value, torch.Tensor) and value.dim() > 0:
            rows = torch.cat([batch[key] for batch in batches])
            for batch, part in zip(made, parts, strict=True):
                batch[key] = rows[part]
        elif isinstance(value, list):
            flat = [each for batch in batches for each in batch[key]]
            for batch, part in zip(made, parts, strict=True):
                batch[key] = [flat[at] for at in part.tolist()]
    return made

"""Rows that begin alike, as leaves of a tree do, with everything they share passed once.

All that is computed token by token is computed on one line in which shared tokens stand once
(`prefixes`); attention alone is computed row by row, on queries, keys and values that rows take
from the line. So no token sees what it would not see in its row, forward and backward, and the
numbers are those of whole rows up to rounding: a token that rows share is scored once, each of them
reads its score, and what they send back to it is added. Needs torch.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from jaxtyping import Float, Int64
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from assay.trainers.trl.padding import TEXT_ONLY, Batch, Better
from assay.trainers.trl.prefixes import Line, Rows, added, line_of, repeated, rows_of
from assay.trainers.trl.shared_prompts import SharedPrompts, shareable
from assay.trainers.trl.zero_rows import WHOLE_MODEL

LESS: Final = 0.1
"""Share of the tokens that one line must save: rows take theirs from it in every layer."""
NAME: Final = "assay_rows_of_a_line"
ROUTED: Final = "output_router_logits"
"""A loss of the router counts the tokens that are passed: it wants whole rows."""


@final
@dataclass(frozen=True, slots=True)
class Scores:
    """What TRL reads of a pass: one number a token of the completions, 0 behind the last."""

    log_probs: torch.Tensor
    entropy: torch.Tensor | None
    aux_loss: None = None


@final
class SharedPrefixes:
    """A model that passes shared prefixes once; called as TRL calls one, for one pass of rows."""

    def __init__(self, model: Any, whole: Any, width: int) -> None:
        """Takes the model, the same unwrapped, and the width of completions."""
        self._model, self._whole, self._width = model, whole, width
        self._prompts = SharedPrompts(model, whole, width)

    def __getattr__(self, name: str) -> Any:
        """Returns what the model has."""
        return getattr(self._model, name)

    def __call__(
        self, *, input_ids: torch.Tensor, attention_mask: torch.Tensor, **given: Any
    ) -> Any:
        """Returns what the model returns of the completions."""
        whole = {"input_ids": input_ids, "attention_mask": attention_mask, **given}
        config = self._whole.config
        if given.get(ROUTED) or getattr(config, ROUTED, False):
            return self._model(**whole)
        if config._attn_implementation == "sdpa" and given.get("fused_lm_head"):
            rows = read(input_ids, attention_mask, input_ids.shape[1] - self._width)
            if rows is not None and worth_sharing(rows, self._width):
                scores = self._once(rows, input_ids.device, given)
                if scores is not None:
                    return scores
        return self._prompts(**whole)

    def _once(self, rows: Rows, device: torch.device, given: dict[str, Any]) -> Scores | None:
        """Returns the scores of the rows; None where the model's attention cannot be led."""
        line = line_of(rows, self._width)
        token, position, scored, said = (
            torch.as_tensor(each, device=device)
            for each in (line.token_N, line.position_N, line.scored_N, line.said_BT)
        )
        with _led(self._whole.config, _Rows(line, device)) as attention:
            out = self._model(
                **{
                    **given,
                    "input_ids": token[None],
                    "attention_mask": None,
                    "position_ids": position[None],
                    "labels": token.masked_fill(~scored, -100)[None],
                }
            )
        if not attention.asked:
            return None
        found = getattr(out, "entropy", None)
        entropy = None if found is None else _read(found[0], said)
        return Scores(_read(out.log_probs[0], said), entropy)


@final
class _Rows:
    """Attention within rows of what stands in a line: each row asks for the tokens it brought.

    Rows that brought more than half of the longest ask for all of theirs, which needs no mask.
    """

    def __init__(self, line: Line, device: torch.device) -> None:
        """Takes the line."""
        rows, first = np.unique(line.row_N, return_index=True)
        own = np.bincount(line.row_N)[rows]
        begin, longest = line.position_N[first], line.path_BL.shape[1]
        much = own > longest / 2
        whole, parts = line.path_BL[rows[much]], line.path_BL[rows[~much]]
        width = int(own[~much].max(initial=1))
        asks = np.minimum(first[~much, None] + np.arange(width), line.row_N.size - 1)
        until = begin[~much, None] + np.arange(width)
        start = np.zeros(int(rows.max()) + 1, np.int64)  # where a row's answers begin, less `begin`
        start[rows[much]] = np.arange(whole.shape[0]) * longest
        start[rows[~much]] = whole.size + np.arange(parts.shape[0]) * width - begin[~much]
        self._whole, self._parts, self._asks, self._own, self._until = (
            torch.as_tensor(each, device=device)
            for each in (whole, parts, asks, start[line.row_N] + line.position_N, until)
        )
        self.asked = False

    def __call__(
        self, module: Any, of_line: Sequence[torch.Tensor], given: dict[str, Any]
    ) -> tuple[torch.Tensor, None]:
        """Returns what each token of the line gets, (1, N, heads, width of a head).

        Args:
            module: the model's attention.
            of_line: queries, keys and values, each (1, heads, N, width of a head).
            given: what else attention is told.
        """
        self.asked = True
        flat = [each[0].transpose(0, 1).contiguous() for each in of_line]
        found = list[torch.Tensor]()
        reach = torch.arange(self._parts.shape[1], device=self._parts.device)
        mask = (reach <= self._until[..., None])[:, None]
        ways = ((self._whole, self._whole, None), (self._asks, self._parts, mask))
        for asks, path, seen in ways:
            if asks.shape[0]:
                query, key, value = (
                    _taken(each, at) for each, at in zip(flat, (asks, path, path), strict=True)
                )
                given = {**given, "is_causal": seen is None}
                out, _ = sdpa_attention_forward(module, query, key, value, seen, **given)
                found.append(out.reshape(-1, *out.shape[2:]))
        return torch.cat(found).index_select(0, self._own)[None], None


def _taken(flat: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Returns (B, heads, L, width) of tokens (N, heads, width), those `at` (B, L)."""
    taken = torch.nn.functional.embedding(at, flat.flatten(1))
    return taken.unflatten(-1, flat.shape[1:]).transpose(1, 2)


_ATTENTION: ContextVar[_Rows] = ContextVar("attention of rows in a line")


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: object,
    **given: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of a line, under the name by which models find it; it has no mask."""
    return _ATTENTION.get()(module, (query, key, value), given)


AttentionInterface.register(NAME, _attention)


@contextmanager
def _led(config: Any, attention: _Rows) -> Generator[_Rows]:
    """Has models of this configuration ask `attention` while it lasts."""
    before, token = config._attn_implementation, _ATTENTION.set(attention)
    config._attn_implementation = NAME
    try:
        yield attention
    finally:
        config._attn_implementation = before
        _ATTENTION.reset(token)


def _read(
    value_M: Float[torch.Tensor, " M"], said: Int64[torch.Tensor, "B T"]
) -> Float[torch.Tensor, "B T"]:
    """Returns the value of each token of the completions; value m is that of token m + 1."""
    return torch.where(said < 0, 0.0, value_M[(said - 1).clamp(min=0)])


def read(ids: torch.Tensor, seen: torch.Tensor, prompt: int) -> Rows | None:
    """Returns what rows share; None where one has a gap, or no prompt."""
    return rows_of(ids.cpu().numpy(), (seen > 0).cpu().numpy(), prompt)


def worth_sharing(rows: Rows, width: int) -> bool:
    """Returns whether one line of all rows is shorter, by `LESS`, than any other way to pass them.

    Args:
        rows: what is to be passed.
        width: columns of the completions.
    """
    return bool(added(rows).sum() < (1.0 - LESS) * repeated(rows, width))


def whole_rows_alone(trainer: Any, inputs: Mapping[str, Any]) -> bool:
    """Returns whether rows can be passed in a way of ours: all text, the model in one piece."""
    return trainer.accelerator.distributed_type in WHOLE_MODEL and not any(
        inputs.get(key) is not None for key in TEXT_ONLY
    )


def sharing(trainer: Any, model: Any, width: int, given: Mapping[str, Any]) -> Any:
    """Returns the model as it passes shared prefixes once; itself where that is not possible.

    Args:
        trainer: TRL's.
        model: as TRL calls it.
        width: columns of the completions.
        given: what else the rows have.
    """
    whole = trainer.accelerator.unwrap_model(model)
    if not whole_rows_alone(trainer, given) or not shareable(whole):
        return model
    return SharedPrefixes(model, whole, width)


def trees_together(whole: Any) -> Better:
    """Returns what puts the rows of a tree into one micro-batch, where fewer tokens are passed.

    Args:
        whole: the model, unwrapped.
    """

    def better(batches: Sequence[Batch], order: torch.Tensor) -> torch.Tensor:
        ids, seen = (
            torch.cat([torch.cat([b[f"prompt_{e}"], b[f"completion_{e}"]], 1) for b in batches])
            for e in ("ids", "mask")
        )
        prompt = batches[0]["prompt_ids"].shape[1]
        rows = read(ids, seen, prompt) if shareable(whole) else None
        if rows is None:
            return order
        orders = order.cpu().numpy(), rows.trees
        passed = [
            sum(_tokens(rows.part(part)) for part in np.split(each, len(batches)))
            for each in orders
        ]
        return torch.as_tensor(orders[int(passed[1] < passed[0])], device=order.device)

    return better


def _tokens(rows: Rows) -> int:
    """Returns the tokens that are passed of rows, cut to the longest of them."""
    width = int((rows.length_B - rows.prompt_B).max())
    return int(added(rows).sum()) if worth_sharing(rows, width) else repeated(rows, width)

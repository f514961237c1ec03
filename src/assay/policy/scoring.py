"""How likely a policy finds given tokens after given texts; no gradient.

A history is read once, however many texts go on from places in it: keys and values of its tokens
are kept, and each continuation looks at those before its place. Continuations of like length are
scored together, whichever history they go on from. Needs torch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, final

import torch
from jaxtyping import Float

from assay.errors import UsageError
from assay.policy.cache import chosen

Read = TypeVar("Read")
ROWS: Final = 16
"""Histories, or continuations, of one pass: few, as all of them are as long as the longest."""
Table = Float[torch.Tensor, "N V"]
"""Of each of N tokens, all V tokens of the vocabulary."""


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A continuation of a history, and which of it is scored."""

    history: int
    """Index of the history."""
    cut: int
    """Tokens of the history that it goes on from, at least 1."""
    given: tuple[int, ...]
    """What stands between; it may be empty."""
    scored: tuple[int, ...]
    """At least one token."""


def score(
    model: Any,
    histories: Sequence[Sequence[int]],
    asked: Sequence[Asked],
    *,
    batch: int = ROWS,
    temperature: float = 1.0,
) -> list[list[float]]:
    """Returns log p of each scored token given all before it, nats, for each continuation; see
    `scanned`."""

    def read(at: int, logp: Table) -> list[float]:
        tokens = torch.tensor(asked[at].scored, device=logp.device)
        return logp.gather(1, tokens[:, None])[:, 0].tolist()

    return scanned(model, histories, asked, read, batch=batch, temperature=temperature)


@torch.no_grad()
def scanned(
    model: Any,
    histories: Sequence[Sequence[int]],
    asked: Sequence[Asked],
    read: Callable[[int, Table], Read],
    *,
    batch: int = ROWS,
    temperature: float = 1.0,
) -> list[Read]:
    """Returns what `read` makes of each continuation: of its number, and of the log-probabilities
    of all tokens of the vocabulary, nats, at each scored token, given all before it.

    The model is put into evaluation mode while it scores.

    Args:
        model: any Hugging Face causal language model.
        histories: token ids.
        asked: continuations, in any order.
        read: called once for each of them.
        batch: histories of one pass, and continuations of one.
        temperature: logits are divided by it.

    Raises:
        UsageError: a continuation starts outside its history, or scores nothing.
    """
    for each in asked:
        if not (each.scored and 1 <= each.cut <= len(histories[each.history])):
            raise UsageError(
                f"score: a continuation at token {each.cut} of a history of "
                f"{len(histories[each.history])} scores {len(each.scored)}; expected a place from "
                "1 to its end, and at least one token"
            )
    found: dict[int, Read] = {}
    training = model.training
    model.eval()
    try:
        for first in range(0, len(histories), batch):
            mine = range(first, min(first + batch, len(histories)))
            places = [at for at, each in enumerate(asked) if each.history in mine]
            past = _past(model, histories, [asked[at] for at in places], mine)
            places.sort(key=lambda at: _length(asked[at], past is None))
            for one in range(0, len(places), batch):
                some = places[one : one + batch]
                tables = _pass(model, histories, [asked[at] for at in some], mine.start, past)
                for at, table in zip(some, tables, strict=True):
                    logits = table.float() if temperature == 1.0 else table.float() / temperature
                    found[at] = read(at, logits.log_softmax(-1))
    finally:
        model.train(training)
    return [found[at] for at in range(len(asked))]


@torch.no_grad()
def plain(model: Any, ids: Sequence[int], *, temperature: float = 1.0) -> list[float]:
    """Returns log p of each token but the first given all before it, nats, by one forward over all
    of them and nothing else: what `score` is checked with."""
    training = model.training
    model.eval()
    try:
        table = model(input_ids=torch.tensor([[*ids]], device=model.device)).logits[0, :-1]
    finally:
        model.train(training)
    following = torch.tensor([*ids[1:]], device=table.device)[:, None]
    return (table.float() / temperature).log_softmax(-1).gather(1, following)[:, 0].tolist()


def _length(each: Asked, whole: bool) -> int:
    """Returns the tokens of a continuation's row, `whole` with those of its history."""
    return (each.cut if whole else 0) + len(each.given) + len(each.scored)


def _past(
    model: Any, histories: Sequence[Sequence[int]], asked: Sequence[Asked], mine: range
) -> Any:
    """Returns keys and values of some histories, as far as their continuations look at them but for
    the last token. None: nothing of them is kept, or no continuation has a token before that."""
    reach = [max([e.cut for e in asked if e.history == at], default=1) - 1 for at in mine]
    if max(reach) == 0 or not _keeps_all(model.config):
        return None
    read = [histories[at][:n] for at, n in zip(mine, reach, strict=True)]
    ids, seen = _padded(read, model.device)
    out = model(input_ids=ids, attention_mask=seen, use_cache=True, logits_to_keep=1)
    return out.past_key_values


def _pass(
    model: Any,
    histories: Sequence[Sequence[int]],
    asked: Sequence[Asked],
    start: int,
    past: Any,
) -> Iterator[Table]:
    """Returns the logits (scored tokens, V) of some continuations; `past` is of the histories from
    the one at `start` on. The last token scored is not read: nothing follows it."""
    starts = [
        tuple(histories[each.history][0 if past is None else each.cut - 1 : each.cut])
        for each in asked
    ]
    rows = [(*s, *each.given, *each.scored[:-1]) for s, each in zip(starts, asked, strict=True)]
    ids, seen = _padded(rows, model.device)
    if past is None:
        more = {}
    else:
        before = torch.tensor([each.cut - 1 for each in asked], device=ids.device)
        length = int(before.max())
        of = torch.tensor([each.history - start for each in asked], device=ids.device)
        kept = (torch.arange(length, device=ids.device) < before[:, None]).long()
        seen = torch.cat([kept, seen], 1)
        position = before[:, None] + torch.arange(ids.shape[1], device=ids.device)
        more = {"past_key_values": chosen(past, of, length), "position_ids": position}
    first = min(len(row) - len(each.scored) for row, each in zip(rows, asked, strict=True))
    out = model(
        input_ids=ids, attention_mask=seen, logits_to_keep=ids.shape[1] - first, **more
    )  # fmt: skip
    return _of_scored(out.logits, rows, asked, first)


def _keeps_all(config: Any) -> bool:
    """Returns whether each layer keeps keys and values of all tokens, and looks at all of them."""
    kinds = getattr(config, "layer_types", None)
    known = kinds is None or set(kinds) == {"full_attention"}
    stretched: Any = getattr(config, "rope_parameters", None) or {}
    return (
        known
        and getattr(config, "sliding_window", None) is None
        and stretched.get("rope_type", "default") not in ("dynamic", "longrope")
        and hasattr(config, "num_attention_heads")
    )


def _padded(
    rows: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns ids and mask, padded on the right; a row without tokens has one that is not seen."""
    width = max(1, *map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)
    seen = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
    return ids, seen


def _of_scored(
    logits: torch.Tensor, rows: Sequence[Sequence[int]], asked: Sequence[Asked], first: int
) -> Iterator[Table]:
    """Yields the logits that foretell what is scored of each row: at as many of its last tokens;
    `logits` are of the padded rows from token `first` on."""
    for at, (row, each) in enumerate(zip(rows, asked, strict=True)):
        yield logits[at, len(row) - len(each.scored) - first : len(row) - first]

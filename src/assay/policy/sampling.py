"""Continues many texts at once, with the exact ids and log-probs of what was sampled.

What prompts share at their beginning is read once. All rows share one KV cache and take one token
per forward: a row that has something to read (the rest of its prompt, the world's answer) is fed,
the others sample. So every row is as long as every other, nothing is padded, and no token is ever
tokenised again. Rows that are done leave the batch.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, final

import torch
from jaxtyping import Float64

from assay.errors import UsageError
from assay.policy.cache import roomy

SAVED: Final = 64
"""Tokens of prompts that must be saved for one more forward."""
Reader = Callable[[int, Sequence[int], Sequence[float]], Sequence[int] | None]
"""(row, ids sampled since it last read, their log-probs) -> ids to read next; empty: go on
sampling; None: done. It is asked after every sampled token."""


@final
@dataclass(slots=True)
class Continuation:
    """One text: everything in it, and which of it was sampled."""

    ids: list[int]
    """The prompt, then what was sampled and what was read, in order."""
    sampled: list[int] = field(default_factory=list[int])
    """Positions in `ids` of the sampled tokens, ascending."""
    logprobs: list[float] = field(default_factory=list[float])
    """Nats of each sampled token under the distribution it was drawn from."""
    entropies: list[float] = field(default_factory=list[float])
    """Nats, of that distribution."""
    finished: bool = False
    """The reader said that it is done; else `max_tokens` or `max_length` stopped it."""


@torch.no_grad()
def sample(
    model: Any,
    prompts: Sequence[Sequence[int]],
    reader: Reader,
    *,
    max_tokens: int,
    max_length: int = 1024,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    uniform: Float64[torch.Tensor, "B T"] | None = None,
) -> list[Continuation]:
    """Returns the continued rows, in the order of the prompts.

    Args:
        model: any Hugging Face causal language model, in evaluation mode.
        prompts: ids, at least one in each.
        reader: says after each sampled token what the row reads next, see `Reader`.
        max_tokens: sampled tokens of a row, at most.
        max_length: tokens of a row, at most, whoever wrote them.
        temperature: logits are divided by it; 0 takes the likeliest token, with log-prob at 1.
        generator: source of chance; None is torch's own.
        uniform: chance itself, numbers in [0, 1): of each row, one for each token that it may
            sample, so that a row does not depend on those beside it. Then `generator` is not read.

    Raises:
        UsageError: a prompt is empty, or the temperature is negative.
    """
    if temperature < 0 or any(not prompt for prompt in prompts):
        raise UsageError("sample: expected temperature >= 0 and at least one token in every prompt")
    rows = [Continuation(list(prompt)) for prompt in prompts]
    if not rows:
        return rows
    fed = min(map(len, prompts))
    queues = [deque(prompt[fed:]) for prompt in prompts]
    since = [0] * len(rows)
    active = list(range(len(rows)))
    cache, logits = _begun(model, [tuple(prompt[:fed]) for prompt in prompts])
    length = fed
    while True:
        chance = (
            _chance(logits, active, generator)
            if uniform is None
            else torch.stack([uniform[at, len(rows[at].sampled)] for at in active])[:, None]
        )
        drawn, logprob, entropy = _drawn(logits, temperature, chance)
        length += 1
        following: dict[int, int] = {}
        for place, at in enumerate(active):
            draw = (drawn[place], logprob[place], entropy[place])
            token, goes_on = _next(at, rows[at], queues[at], draw, since, reader)
            if goes_on and len(rows[at].sampled) < max_tokens and length < max_length:
                following[place] = token
        if not following:
            return rows
        if len(following) < len(active):
            places = _closed_up(following)
            following = {place: following[place] for place in places}
            active = [active[place] for place in places]
            cache.batch_select_indices(torch.tensor(places, device=model.device))
        batch = torch.tensor([*following.values()], device=model.device)[:, None]
        out = model(input_ids=batch, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits = _scores(out.logits[:, -1])


def _begun(model: Any, starts: Sequence[tuple[int, ...]]) -> tuple[Any, torch.Tensor]:
    """Returns cache and logits (B, V) after texts of one length; what they share at their beginning
    is read once."""
    cache: Any = None
    out: Any = None
    read, nodes = 0, list[tuple[int, ...]]()
    for end in branches(starts):
        before = {start: place for place, start in enumerate(nodes)}
        nodes = [*dict.fromkeys(start[:end] for start in starts)]
        if cache is not None:
            above = [before[node[:read]] for node in nodes]
            cache.batch_select_indices(torch.tensor(above, device=model.device))
        batch = torch.tensor([node[read:] for node in nodes], device=model.device)
        out = model(input_ids=batch, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, read = out.past_key_values, end
    places = {start: place for place, start in enumerate(nodes)}
    of_row = torch.tensor([places[start] for start in starts], device=model.device)
    if len(nodes) < len(starts):
        cache.batch_select_indices(of_row)
    return roomy(cache), _scores(out.logits[of_row, -1])


def _scores(logits: torch.Tensor) -> torch.Tensor:
    """Returns logits in 32 bits, or 64 where the model has them."""
    return logits if logits.dtype == torch.float64 else logits.float()


def branches(starts: Sequence[tuple[int, ...]]) -> list[int]:
    """Returns at which lengths texts of one length are read on, the last being the whole: where
    they part, if to read what is before that once saves at least `SAVED` tokens."""
    texts, found = sorted(set(starts)), list[int]()
    shared = [
        next(n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
        for one, other in pairwise(texts)
    ]
    for end in sorted(set(shared)):
        nodes = 1 + sum(each < end for each in shared)
        if (len(texts) - nodes) * (end - (found[-1] if found else 0)) >= SAVED:
            found.append(end)
    return [*found, len(starts[0])]


def _next(
    at: int,
    row: Continuation,
    queue: deque[int],
    draw: tuple[int, float, float],
    since: list[int],
    reader: Reader,
) -> tuple[int, bool]:
    """Returns the token that a row reads next, given or drawn, and whether the row goes on."""
    if queue:
        return queue.popleft(), True
    token, logprob, entropy = draw
    row.sampled.append(len(row.ids))
    row.ids.append(token)
    row.logprobs.append(logprob)
    row.entropies.append(entropy)
    first = since[at]
    fresh = [row.ids[position] for position in row.sampled[first:]]
    more = reader(at, fresh, row.logprobs[first:])
    row.finished = more is None
    if more:
        row.ids += more
        queue.extend(more)
        since[at] = len(row.sampled)
    return token, more is not None


def _closed_up(kept: Collection[int]) -> list[int]:
    """Returns the places kept, those at the end moved into the gaps before them."""
    last = [place for place in kept if place >= len(kept)]
    return [place if place in kept else last.pop() for place in range(len(kept))]


def _chance(
    logits: torch.Tensor, active: Sequence[int], generator: torch.Generator | None
) -> torch.Tensor:
    """Returns a uniform number (B, 1) for each row, dealt out by row wherever a row stands."""
    exact = torch.float32 if logits.device.type == "mps" else torch.float64
    u = torch.rand(len(active), 1, dtype=exact, device=logits.device, generator=generator)
    return u[torch.tensor(active, device=logits.device).argsort().argsort()]


def _drawn(
    logits: torch.Tensor, temperature: float, u: torch.Tensor
) -> tuple[list[int], list[float], list[float]]:
    """Returns a token for each row, its log-prob and the distribution's entropy."""
    logprobs = torch.log_softmax(logits / (temperature or 1.0), dim=-1)
    chances = logprobs.exp()
    tokens = logits.argmax(dim=-1, keepdim=True) if temperature == 0 else one_of_each(chances, u)
    entropy = -(chances * logprobs.clamp_min(-1e4)).sum(dim=-1)
    return tokens[:, 0].tolist(), logprobs.gather(1, tokens)[:, 0].tolist(), entropy.tolist()


def one_of_each(chances: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Returns (B, 1) indices, each drawn from its row of `chances` (B, V), by inversion.

    The first index at which the sum of chances exceeds u (B, 1) times the whole, u uniform in
    [0, 1): a chance of 0 is never drawn. The largest u, 1 less half an ulp, times a sum rounds to
    less than the sum. One uniform number a row, where `torch.multinomial` draws V.
    """
    sums = chances.to(u.dtype).cumsum(-1)
    return torch.searchsorted(sums, u * sums[:, -1:], right=True)

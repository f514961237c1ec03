"""A simulated user who has words of his own, and says so; and sessions with him, recorded as a
gateway records them.

    ?money of Kenya             what he asks; by money he means the tool `currency`
    >region(Kenya)              what the policy calls
    no, I meant currency        what he says where that displeases him, every other time; else only
                                "no, that is not what I asked for"
    thanks, that is it          what he says where it pleases him: the tool that he meant was called

Which of the two complaints it is, and which one in ten of the first kind misleads (he then names
another tool), is a function of the request alone. The starting policy has never seen his words
(`assay.world.lookup.RENAMED`): it guesses, and calls the right tool about one time in nine.
Needs torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp
from random import Random
from typing import Any, Final, final

import numpy as np
import torch

from assay.policy.sampling import sample
from assay.policy.scoring import Asked, score
from assay.records.live import Closed, Event, NextState, Opened, Turn, packed, packed_floats
from assay.rollout.backends.base import number
from assay.rollout.protocols.line import Line
from assay.world.line import parse
from assay.world.lookup import RENAMED, VALUES, Lookup

LONGEST: Final = 24
"""Tokens of an answer, at most."""
HELD_OUT: Final = 1 << 20
"""Requests from this number on are never trained on."""
MISLEADS: Final = 0.1
SAYS_MORE: Final = 0.5


@final
@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks."""

    number: int
    text: str
    meant: str
    """The tool that answers it."""
    misleads: float = MISLEADS
    """How often he names another tool where he says what he meant."""

    def reply(self, answer: str) -> str:
        """Returns what the user says to an answer."""
        if parse(answer).tool == self.meant:
            return "thanks, that is it"
        rng = Random(f"own words/{self.number}")
        if rng.random() >= SAYS_MORE:
            return "no, that is not what I asked for"
        others = [word for word in VALUES if word != self.meant]
        named = rng.choice(others) if rng.random() < self.misleads else self.meant
        return f"no, I meant {named}"


@cache
def request(number: int) -> Request:
    """Returns a request: always the same of a number."""
    world, seed = Lookup(hops=1, renamed=True), number
    while True:
        text = world.reset(seed)
        meant = (world.best() or "").removeprefix(">").partition("(")[0]
        if meant in VALUES:
            return Request(number, text, meant)
        seed += 1 << 40


@final
@dataclass(frozen=True, slots=True)
class Served:
    """An answer of the policy, ids and all."""

    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str


def served(
    model: Any, tokenizer: Any, requests: Sequence[Request], seed: Sequence[int]
) -> list[Served]:
    """Returns what the policy answers; the same seed, the same answers."""
    line = Line(tokenizer)
    prompts = [tuple(line.encode(f"{each.text}\n")) for each in requests]
    rows = sample(
        model,
        prompts,
        lambda _, ids, __: None if line.is_over(ids) else (),
        max_tokens=LONGEST,
        generator=torch.Generator(device=model.device).manual_seed(number(seed)),
    )
    made: list[Served] = []
    for prompt, row in zip(prompts, rows, strict=True):
        ids = tuple(row.ids[at] for at in row.sampled)
        text = tokenizer.decode(list(ids), skip_special_tokens=True)
        made.append(Served(prompt, ids, tuple(row.logprobs), text))
    return made


def session_of(
    asked: Request, answer: Served, *, name: str, user: str, version: str, at: float
) -> Iterator[Event]:
    """Yields the events of a session of one turn, with the user's reply to it."""
    told = {"role": "user", "content": asked.text}
    yield Opened(session=name, at=at, run="simulated", user=user, consent="train")
    yield Turn(
        session=name,
        at=at,
        id=f"{name}/0",
        index=0,
        rule="simulated",
        request=f"{name}/0",
        model="embedded",
        messages=(told,),
        answer={"role": "assistant", "content": answer.text},
        finish_reason="stop",
        policy_version=version,
        sampler={"temperature": 1.0},
        prompt_ids=packed(answer.prompt_ids),
        completion_ids=packed(answer.ids),
        logprobs=packed_floats(answer.logprobs),
        trainable=True,
    )
    said = asked.reply(answer.text)
    yield NextState(session=name, at=at, turn=f"{name}/0", role="user", text=said)
    yield Closed(session=name, at=at)


def pleases(messages: Sequence[Mapping[str, Any]], answer: str) -> float | None:
    """Returns whether an answer calls the tool that the user meant, whatever was said of any other;
    None: the conversation does not begin with a request of his."""
    word = str(messages[0].get("content", "")).removeprefix("?").partition(" of ")[0]
    meant = next((tool for tool in VALUES if RENAMED[tool] == word), None)
    return None if meant is None else float(parse(answer).tool == meant)


def understood(model: Any, tokenizer: Any, requests: Sequence[Request]) -> np.ndarray:
    """Returns, of each request, how likely the policy is to begin with the tool that is meant."""
    line = Line(tokenizer)
    prompts = [line.encode(f"{each.text}\n") for each in requests]
    asked = [
        Asked(at, len(prompts[at]), (), tuple(line.encode(f">{each.meant}(")))
        for at, each in enumerate(requests)
    ]
    return np.array([exp(sum(values)) for values in score(model, prompts, asked)])

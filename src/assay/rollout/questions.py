"""Questions with options: how likely a policy finds each, with and without the context that tells.

    open book     the task, the context under it, then an option
    closed book   the task, then an option

What all options of a question begin with alike, as "=" in lines, is given and not scored.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any, Final, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.errors import UsageError, one_line
from assay.policy.scoring import Asked, score
from assay.rollout.chain import attributed
from assay.rollout.protocols.base import Protocol
from assay.world.environment import Environment

ROWS: Final = 16
"""Questions of one pass."""
SURROGATES: Final = frozenset(map(chr, range(0xD800, 0xE000)))
"""Halves of what is one character; alone they are no text, and no tokenizer reads them."""


@final
@dataclass(frozen=True, slots=True)
class Question:
    """One task, as tokens."""

    task: int
    prompt: str
    context: str
    options: tuple[str, ...]
    right: int
    """Number of the right option."""
    closed: tuple[int, ...]
    """The task, as a policy reads it."""
    open: tuple[int, ...]
    """The same with the context under it."""
    told: tuple[int, ...]
    """The context by itself."""
    turns: tuple[tuple[int, ...], ...]
    """Each option as a whole turn."""
    given: int
    """Tokens that all turns begin with alike."""

    @property
    def longest(self) -> int:
        """Tokens of the longest text that is scored."""
        return len(self.open) + max(map(len, self.turns))


@final
@dataclass(frozen=True, slots=True)
class Scored:
    """Mean log-probabilities, nats; NaN: a question has no such option."""

    open_QO: Float64[np.ndarray, "Q O"]
    closed_QO: Float64[np.ndarray, "Q O"]
    tokens: int
    """That were read, those that texts share once."""
    forwards: int
    """Texts that were scored."""


def question(environment: Environment, task: int, protocol: Protocol) -> Question:
    """Returns the question of a task.

    Raises:
        UsageError: the environment has no options or no context for it, an option twice, or its
            expert's turn is none of the options; a text is empty or no Unicode.
        DataError: the environment raises.
    """
    with attributed(environment, task, "reset, options, context or best"):
        prompt = environment.reset(task)
        options, context, best = environment.options(), environment.context(), environment.best()
    if isinstance(options, str):
        raise UsageError(
            f"env {environment.title()}, task {task}: got options {options!r}, one text; expected "
            "Environment.options to be a sequence of texts"
        )
    if len(set(options)) < 2 or len(set(options)) < len(options) or not context:
        raise UsageError(
            f"env {environment.title()}, task {task}: {len(options)} options, "
            f"{len(set(options))} of them different, and {'a' if context else 'no'} context; "
            "expected 2 or more and a context: Environment.options and .context, as almanac has"
        )
    _check_texts(f"env {environment.title()}, task {task}", (prompt, context, *options))
    if best not in options:
        raise UsageError(
            f"env {environment.title()}, task {task}: the right turn is {best!r}, which is none of "
            f"its options; expected Environment.best to be one of {', '.join(options)}"
        )
    turns = tuple(tuple(protocol.written(each, environment)[1]) for each in options)
    columns = takewhile(lambda tokens: len({*tokens}) == 1, zip(*turns, strict=False))
    shared = sum(1 for _ in columns)

    def read(*notes: str) -> tuple[int, ...]:
        steps = protocol.opening(environment, prompt, notes)
        return tuple(chain(*protocol.prompt_ids(steps, environment)))

    return Question(
        task=task,
        prompt=prompt,
        context=context,
        options=tuple(options),
        right=options.index(best),
        closed=read(),
        open=read(context),
        told=tuple(protocol.encode(f"{context}\n")),
        turns=turns,
        given=min(shared, min(map(len, turns)) - 1),
    )


def _check_texts(where: str, texts: Sequence[str]) -> None:
    for text in texts:
        said = "empty" if not text else "half a surrogate pair" if set(text) & SURROGATES else ""
        if said:
            raise UsageError(
                f"{where}: a prompt, context or option is {said}: {one_line(text)!r}; expected text"
            )


def questions(
    make: Callable[[], Environment], tasks: Iterable[int], protocol: Protocol
) -> list[Question]:
    """Returns the questions of tasks; see `question`."""
    environment = make()
    return [question(environment, task, protocol) for task in tasks]


def scored(model: Any, asked: Sequence[Question]) -> Scored:
    """Returns what a policy says of the options of questions, by forwards that train nothing.

    Args:
        model: a causal language model.
        asked: the questions.
    """
    width = max(len(each.turns) for each in asked)
    tables: list[Float64[np.ndarray, "Q O"]] = []
    read = forwards = 0
    for histories in ([each.open for each in asked], [each.closed for each in asked]):
        wanted = [
            Asked(at, len(histories[at]), turn[: each.given], turn[each.given :])
            for at, each in enumerate(asked)
            for turn in each.turns
        ]
        table = np.full((len(asked), width), np.nan)
        found = iter(score(model, histories, wanted, batch=ROWS))
        for at, each in enumerate(asked):
            for option in range(len(each.turns)):
                table[at, option] = np.mean(next(found))
        tables.append(table)
        read += sum(map(len, histories)) + sum(len(e.given) + len(e.scored) for e in wanted)
        forwards += len(wanted)
    return Scored(*tables, tokens=read, forwards=forwards)


def right(
    table_QO: Float64[np.ndarray, "Q O"], asked: Sequence[Question]
) -> Int64[np.ndarray, " Q"]:
    """Returns 1 for each question whose likeliest option is the right one, else 0."""
    best_Q = np.nanargmax(table_QO, axis=1)
    return (best_Q == np.array([each.right for each in asked])).astype(np.int64)

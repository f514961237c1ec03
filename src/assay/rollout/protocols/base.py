"""What a protocol decides: how a task is told, when a turn is over, what it asks, what is read.

Line    assay.rollout.protocols.line    one line a turn, the language of the embedded world
Chat    assay.rollout.protocols.chat    messages through a model's own chat template, tools in JSON

Without a tokenizer a protocol still takes texts apart, for people who play and for checks.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, final

from assay.errors import UsageError
from assay.records import Claim, ExpertCall, Span, SystemStep, ToolStep, UserStep
from assay.world.environment import Environment, Reply

Read = SystemStep | UserStep | ToolStep
"""What a policy reads."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The tokens of a turn as they were sampled."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Nats, one a token."""
    pieces: tuple[str, ...]
    """Text of each token: together they are the turn's text; an end token's piece is empty."""

    def tokens(self, start: int, end: int) -> tuple[int, int]:
        """Returns the tokens whose first character is in [start, end); trailing ends included."""
        starts = [0, *accumulate(len(piece) for piece in self.pieces)]
        begins, n = starts[:-1], len(self.ids)
        last = n if end >= starts[-1] else bisect_left(begins, end)
        return min(bisect_left(begins, start), last), last

    def placed(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Returns spans of characters as spans of tokens; a token belongs where it begins."""
        found: list[Span] = []
        for span in spans:
            start, end = self.tokens(span.start, span.end)
            found += [Span(role=span.role, start=start, end=end)] if start < end else []
        return tuple(found)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call of a turn, as it was written; `start` and `end` are characters of the turn."""

    name: str
    arguments: str
    """JSON text; of one that could not be read, what was written."""
    start: int
    end: int
    values: Mapping[str, Any] | None = None
    """The arguments. None: they could not be read."""
    why: str = ""
    """What was wrong with one that could not be read."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the policy wrote in one turn, taken apart. `spans` are in characters."""

    text: str
    """What `Environment.step` gets where nothing is called."""
    calls: tuple[Asked, ...] = ()
    spans: tuple[Span, ...] = ()
    confidence: float | None = None
    claim: Claim = "none"
    """What it says of the task, if the task ends with it."""


class Protocol(ABC):
    """How policy and world talk. One object serves any number of trajectories."""

    name: ClassVar[str]
    stop: tuple[str, ...] = ()
    """Texts at which an engine should stop and ask whether the turn is over."""
    ends: tuple[int, ...] = ()
    """Tokens that end a turn."""

    def __init__(self, tokenizer: Any = None) -> None:
        """Takes a transformers tokenizer. None: texts alone.

        Raises:
            UsageError: it has no end token, so that no answer could end.
        """
        if tokenizer is not None and tokenizer.eos_token_id is None:
            raise UsageError("the tokenizer has no end token; set tokenizer.eos_token")
        self._tokenizer: Any = tokenizer

    # texts

    @abstractmethod
    def opening(
        self, environment: Environment, task: str, notes: Sequence[str]
    ) -> tuple[Read, ...]:
        """Returns what the policy reads before its first turn."""

    @abstractmethod
    def turn(self, text: str, environment: Environment, ids: Sequence[int] = ()) -> Turn:
        """Returns a turn taken apart; `ids` are its tokens where it was sampled."""

    @abstractmethod
    def played(self, environment: Environment, turn: Turn) -> Iterator[tuple[int | None, Reply]]:
        """Yields the world's replies, each with the number of the call that it answers; the last
        one is the turn's."""

    @abstractmethod
    def heard(self, text: str, asked: Asked | None, reply: Reply) -> Read | None:
        """Returns what is read of a reply to a turn `text`. None: nothing."""

    @abstractmethod
    def expert(self, environment: Environment, turns: Sequence[str]) -> Iterator[ExpertCall]:
        """Yields the calls that an expert's turns make."""

    # tokens

    @abstractmethod
    def prompt_ids(self, read: Sequence[Read], environment: Environment) -> list[list[int]]:
        """Returns the ids of an opening, step by step; together they are the prompt."""

    @abstractmethod
    def is_over(self, ids: Sequence[int]) -> bool:
        """Returns whether these sampled ids are a whole turn."""

    @abstractmethod
    def sampled(self, ids: Sequence[int], logprobs: Sequence[float]) -> Sampled:
        """Returns sampled tokens with the text of each, so that the texts add up to the whole."""

    @abstractmethod
    def read_ids(
        self,
        read: Sequence[Read],
        environment: Environment,
        *,
        before: Sequence[int],
        turn: Sequence[int],
    ) -> list[list[int]]:
        """Returns the ids of what is read after a turn, step by step.

        Args:
            read: the replies to the turn, in order.
            environment: whose they are.
            before: everything before the turn, as it was fed.
            turn: the sampled ids of the turn.
        """

    @abstractmethod
    def written(self, turn: str, environment: Environment) -> tuple[str, list[int]]:
        """Returns text and ids of an expert's turn, as the policy would have to sample them."""

    def encode(self, text: str) -> list[int]:
        """Returns the ids of a text that continues another one."""
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)


def pieces(tokenizer: Any, ids: Sequence[int], *, skip: bool) -> list[str]:
    """Returns the text of each token, special ones left out where `skip` says so.

    A token that ends inside a character has no text; the one that completes it has it all.
    """
    found: list[str] = []
    before = ""
    for count in range(1, len(ids) + 1):
        text: str = tokenizer.decode(list(ids[:count]), skip_special_tokens=skip)
        if text.endswith("\ufffd") and count < len(ids):
            found.append("")
            continue
        found.append(text[len(before) :])
        before = text
    return found

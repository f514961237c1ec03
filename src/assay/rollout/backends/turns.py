"""Rows of an engine that stops where a turn may end: ask it, let the reader read, ask again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from assay.errors import AlignmentError
from assay.rollout.backends.base import SILENCE, Reader, Sampling


@final
@dataclass(slots=True)
class Pending:
    """One text under way."""

    at: int
    ids: list[int]
    """Everything so far, prompt first."""
    spent: int = 0
    """Tokens sampled, in its prompt too."""
    requests: int = 0
    fresh: list[int] = field(default_factory=list[int])
    """Tokens sampled since the row last read."""
    logprobs: list[float] = field(default_factory=list[float])
    """Theirs."""
    played: int = 0
    """How many of them belong to turns that are over: the world answered those with nothing."""
    done: bool = False

    def budget(self, sampling: Sampling) -> int:
        """Returns how many tokens the next request may sample."""
        return min(
            sampling.max_tokens - self.spent,
            sampling.turn_tokens - (len(self.fresh) - self.played),
            sampling.max_length - len(self.ids),
        )

    def take(
        self, ids: Sequence[int], logprobs: Sequence[float], reader: Reader, sampling: Sampling
    ) -> None:
        """Adds what was sampled, lets the reader read it, and adds what it reads next.

        Raises:
            AlignmentError: another number of log-probabilities than of tokens, or no token.
        """
        if len(ids) != len(logprobs) or not ids:
            raise AlignmentError(
                f"row {self.at}: the engine returned {len(ids)} tokens and {len(logprobs)} "
                "log-probabilities; expected as many, at least one"
            )
        self.requests += 1
        self.ids += ids
        self.fresh += ids
        self.logprobs += logprobs
        self.spent += len(ids)
        more = reader(self.at, tuple(self.fresh), tuple(self.logprobs))
        if more:
            self.ids += more
            self.fresh, self.logprobs = [], []
        if more or more is SILENCE:
            self.played = len(self.fresh)
        self.done = more is None or self.budget(sampling) < 1


def begun(prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Pending]:
    """Returns the rows of prompts; one that leaves no room to sample is done."""
    spent = sampling.spent or (0,) * len(prompts)
    rows = [
        Pending(at, list(ids), spent=n)
        for at, (ids, n) in enumerate(zip(prompts, spent, strict=True))
    ]
    for row in rows:
        row.done = row.budget(sampling) < 1
    return rows

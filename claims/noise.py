"""Environments whose verifier errs: some passes are scored as failures, or chance alone scores."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from random import Random
from typing import ClassVar

from assay.errors import UsageError
from assay.world.environment import Reply
from claims.inside import Inside


class Erring(Inside):
    """Another environment, whose scores are not its own.

    What is drawn is drawn anew at every attempt; each object has a source of chance of its own,
    numbered as objects are made, so a run that is resumed errs elsewhere than one that was not.
    """

    _made: ClassVar[Iterator[int]] = count()

    def __init__(self, *, env: str, rate: float, seed: int = 0) -> None:
        """Wraps the environment named `env`.

        Raises:
            UsageError: rate is not in [0, 1).
        """
        from assay.world import load

        if not 0 <= rate < 1:
            raise UsageError(f"{type(self).__name__}: rate must lie in [0, 1); got {rate:g}")
        self._inner, self._rate = load(env), rate
        self._chance = Random(f"{seed}/{next(self._made)}")

    def step(self, text: str) -> Reply:
        """Returns what the inner environment answers, and errs about how it ended."""
        reply = self._inner.step(text)
        return replace(reply, score=self.score(reply), parts={}) if reply.done else reply

    @abstractmethod
    def score(self, reply: Reply) -> float | None:
        """Returns what the verifier says of the last reply of a task."""

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns the settings."""
        return {**self._inner.dials(), "rate": self._rate}


class FalseNegatives(Erring):
    """A share `rate` of the passes is scored 0."""

    def score(self, reply: Reply) -> float | None:
        """Misses a pass now and then."""
        missed = reply.score == 1.0 and self._chance.random() < self._rate
        return 0.0 if missed else reply.score


class RandomReward(Erring):
    """A share `rate` of all attempts is scored 1, the others 0, whatever they did."""

    def score(self, reply: Reply) -> float | None:
        """Draws."""
        return float(self._chance.random() < self._rate)

"""What an environment must do: text in, text out. Two methods are required, the rest is optional.

A complete one:

    class Guess(Environment):
        def reset(self, seed):
            self.secret = Random(seed).randint(1, 9)
            return "?a number from 1 to 9"

        def step(self, text):
            right = text.strip() == f"={self.secret}"
            return Reply(done=True, score=float(right))
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, final

HintKind = Literal["right", "neutral", "wrong"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the world answers to one turn. None: the environment does not say."""

    text: str = ""
    """What the policy reads next; empty once the task is over."""
    done: bool = False
    score: float | None = None
    """Verified score in [0, 1], at the end. None: nobody scored it."""
    parts: Mapping[str, float] = field(default_factory=dict[str, float])
    """Named parts of the score."""
    ran: bool | None = None
    """Did the call run, that is, is the answer no error?"""
    found: bool | None = None
    """Did it return anything?"""
    on_path: bool | None = None
    """Did it bring the task a step closer to its end, along a shortest path?"""
    end: Literal["answered", "budget", "infra"] = "answered"
    """Why it is over, once it is."""


class Environment(ABC):
    """A set of tasks, one for each seed. One object plays one task at a time."""

    name: ClassVar[str] = ""
    """What its tasks are called in records; the class's name where it is empty."""

    @abstractmethod
    def reset(self, seed: int) -> str:
        """Starts the task of this seed and returns its prompt. The same seed, the same task."""

    @abstractmethod
    def step(self, text: str) -> Reply:
        """Returns the world's answer to one turn of the policy.

        Raises:
            UsageError: the task is over, or none was started.
        """

    def best(self) -> str | None:
        """Returns an expert's next turn from here, on a shortest path; None: not known."""
        return None

    def answer(self) -> str | None:
        """Returns the right answer of the current task, never shown to the policy."""
        return None

    def state_key(self) -> str | None:
        """Returns a name of the current state: two equal ones have the same future."""
        return None

    def belief(self) -> float | None:
        """Returns log p(right answer | what the world has said so far), nats."""
        return None

    def hint(self, kind: HintKind) -> str | None:
        """Returns a line to put under the prompt that is right, neutral or wrong about the task."""
        del kind
        return None

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns the settings that make its tasks easy or hard."""
        return {}

    @classmethod
    def title(cls) -> str:
        """Returns what its tasks are called in records."""
        return cls.name or cls.__name__.lower()

"""What an environment must do: text in, text out. Two methods are required, the rest is optional.

One that has tools says so in `tools` and plays each call of a turn by `call`; a turn without calls
is played by `step`, as everywhere else.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

import msgspec

from assay.errors import UsageError

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


class _Said(msgspec.Struct):
    """A call as an expert writes it."""

    name: str
    arguments: dict[str, Any]


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

    def system(self) -> str:
        """Returns instructions for the policy that are true of all tasks; empty: none."""
        return ""

    def tools(self) -> Sequence[Mapping[str, Any]]:
        """Returns the tools as OpenAI's function schemas: name, description, parameters (a JSON
        schema). Empty: there are none, and every turn goes to `step`."""
        return ()

    def call(self, name: str, arguments: Mapping[str, Any]) -> Reply:
        """Returns what one tool call returns; several calls of a turn are played in their order.

        Arguments are as the policy wrote them: an unknown tool, or arguments that do not fit, are
        answered (`ran=False`), not raised.

        Raises:
            UsageError: the task is over, none was started, or there are no tools.
        """
        raise UsageError(f"{self.title()}: call of {name!r} with {len(arguments)} arguments, but "
                         "the environment has no tools; override call beside tools")  # fmt: skip

    def best(self) -> str | None:
        """Returns an expert's next turn from here, on a shortest path; None: not known.

        A tool call is written as JSON: {"name": "look", "arguments": {"at": "door"}}.
        """
        return None

    def as_call(self, turn: str) -> tuple[str, Mapping[str, Any]] | None:
        """Returns the tool call that a turn of `best` stands for; None: it is text for `step`."""
        if not self.tools():
            return None
        try:
            said = msgspec.json.decode(turn, type=_Said)
        except msgspec.MsgspecError:
            return None
        return said.name, said.arguments

    def answer(self) -> str | None:
        """Returns the right answer of the current task, never shown to the policy."""
        return None

    def options(self) -> Sequence[str]:
        """Returns turns that answer the task, as `best` writes them, the right one among them.
        Empty: it is no question with options."""
        return ()

    def context(self) -> str | None:
        """Returns a line to put under the prompt from which the task can be answered, as a search
        would find it; what it says may be wrong. None: there is none."""
        return None

    def state_key(self) -> str | None:
        """Returns a name of the current state: two equal ones have the same future."""
        return None

    def belief(self) -> float | None:
        """Returns log p(right answer | what the world has said so far), nats."""
        return None

    def progress(self) -> float | None:
        """Returns how far the task has come, in [0, 1], on one scale throughout: 0 where it begins,
        1 only at its end. Written after each turn as its `scores["state"]`; after the last turn the
        verified score is, so that what steps change of it adds up to the outcome."""
        return None

    def hint(self, kind: HintKind) -> str | None:
        """Returns a line to put under the prompt that is right, neutral or wrong about the task."""
        return None

    def achieved(self) -> str | None:
        """Returns the prompt of a task that what was done since `reset` solves: the goal that was
        reached in place of the one that was set. Only where the state was changed on the way, and
        every turn was of use. None: there is none.

        Asked after the end of a task that was failed; `assay.rescue` trains on the answer.
        """
        return None

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns the settings that make its tasks easy or hard."""
        return {}

    def fork(self) -> "Environment | None":
        """Returns an independent copy that stands where this one does: neither notices what is
        done in the other. None: there is none; who needs one plays the turns again.

        Where all of its state is plain Python: `return copy.deepcopy(self)`.
        """
        return None

    @classmethod
    def title(cls) -> str:
        """Returns what its tasks are called in records."""
        return cls.name or cls.__name__.lower()

"""What the families share: turns are taken apart, counted, refused after the end; tools fail
on demand. A family says what a task is, what a call returns and what an answer is worth."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from random import Random
from typing import Any, ClassVar

from assay.errors import UsageError
from assay.world.environment import Environment, HintKind, Reply
from assay.world.line import GIVE_UP, Turn, parse

BUSY = "<error busy, try again"
NONE = "<none"
ANSWER = "answer"
"""Tool that a chat model gives its answer with."""
_ONE_TEXT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
NEUTRAL = ("take your time", "read it twice", "stay calm", "one line a turn", "think first")
"""Advice that says nothing about the task: the control for hints."""


class Family(Environment):
    """Base of the families. `reset` and `step` are here; the rest of a task is theirs."""

    offers: ClassVar[Mapping[str, str]] = {}
    """What each tool does, by name."""

    def __init__(self, *, steps: int, flaky: float = 0.0, **ranges: tuple[Any, Any, Any]) -> None:
        """Sets the dials.

        Args:
            steps: turns that a task allows; the trajectory that needs more has failed.
            flaky: probability that a call fails although it was right, in [0, 1).
            ranges: dials of the family's own: what was given, the least and the most that is
                allowed; whole numbers where the least is one.

        Raises:
            UsageError: a dial is out of its range, or no whole number.
        """
        given = {dial: value for dial, (value, _, _) in ranges.items()}
        whole = {dial: given[dial] for dial, (_, least, _) in ranges.items() if type(least) is int}
        for dial, value in {**whole, "steps": steps}.items():
            if type(value) is not int:
                raise UsageError(f"{self.title()}: got {dial}={value!r}; expected a whole number")
        if not all(least <= value <= most for value, least, most in ranges.values()):
            got = ", ".join(f"{dial}={value}" for dial, value in given.items())
            allowed = ", ".join(f"{least:g} to {most:g}" for _, least, most in ranges.values())
            raise UsageError(f"{self.title()}: got {got}; expected {allowed}")
        if steps < 1 or not 0 <= flaky < 1:
            raise UsageError(f"{self.title()}: got steps={steps}, flaky={flaky}; "
                             "expected steps >= 1 and flaky in [0, 1)")  # fmt: skip
        self._dials: dict[str, float | int | str] = {**given, "flaky": flaky, "steps": steps}
        self.steps, self.flaky = steps, flaky
        self._left: int | None = None
        self._rng = Random(0)
        self._prompt = ""

    def reset(self, seed: int) -> str:
        """Starts the task of this seed and returns its prompt."""
        self._rng = Random(f"{self.title()}/{seed}/tools")
        self._left = self.steps
        self._prompt = self.begin(Random(f"{self.title()}/{seed}"))
        return self._prompt

    def step(self, text: str) -> Reply:
        """Returns the world's answer to one turn.

        Raises:
            UsageError: the task is over, or none was started.
        """
        return self._played(parse(text))

    def tools(self) -> Sequence[Mapping[str, Any]]:
        """Returns the tools as chat models call them, one text each, and `answer`."""
        return [
            {"name": name, "description": said, "parameters": _ONE_TEXT}
            for name, said in {**self.offers, ANSWER: "Give the final answer."}.items()
        ]

    def call(self, name: str, arguments: Mapping[str, Any]) -> Reply:
        """Plays a tool call; `answer` ends the task.

        Raises:
            UsageError: the task is over, or none was started.
        """
        given = arguments.get("input")
        if not isinstance(given, str | int) or len(arguments) != 1:
            return self._played(Turn(kind="malformed", tool=name))
        if name == ANSWER:
            return self._played(Turn(kind="answer", answer=str(given).strip()))
        return self._played(Turn(kind="call", tool=name, argument=str(given).strip()))

    def as_call(self, turn: str) -> tuple[str, Mapping[str, Any]] | None:
        """Returns the tool call that a line stands for; an answer is one too."""
        said = parse(turn)
        named = {"call": (said.tool, said.argument), "answer": (ANSWER, said.answer)}
        tool, text = named.get(said.kind, ("", ""))
        return (tool, {"input": text}) if tool else None

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns the settings: the family's own, then those of all."""
        return self._dials

    def fork(self) -> "Family":
        """Returns an independent copy. What a family changes in place, it copies in `detach`."""
        made = copy(self)
        made._rng = copy(self._rng)
        made.detach()
        return made

    def detach(self) -> None:
        """Copies what is changed in place, once this is a copy of another object."""

    def _played(self, turn: Turn) -> Reply:
        if not self._left:
            raise UsageError(f"{self.title()}: step after the end of the task; call reset first")
        self._left -= 1
        reply = self._react(turn)
        if reply.done:
            self._left = 0
        elif not self._left:
            return replace(reply, text="", done=True, score=0.0, end="budget")
        return reply

    def _react(self, turn: Turn) -> Reply:
        if turn.kind == "malformed":
            return Reply(text="<error write >tool(x) or =answer", ran=False, found=False)
        if turn.kind == "answer":
            given = "" if turn.answer == GIVE_UP else turn.answer
            parts = self.grade(given)
            score = sum(parts.values()) / len(parts) if parts and given else 0.0
            return Reply(done=True, score=score, parts=parts)
        if self._rng.random() < self.flaky:
            return Reply(text=BUSY, ran=False, found=False)
        return self.use(turn.tool, turn.argument)

    @abstractmethod
    def begin(self, rng: Random) -> str:
        """Draws a task and returns its prompt."""

    @abstractmethod
    def use(self, tool: str, argument: str) -> Reply:
        """Returns what a call that is well formed returns."""

    @abstractmethod
    def grade(self, given: str) -> Mapping[str, float]:
        """Returns the named parts of an answer's score, each in [0, 1]; their mean is the score."""

    @abstractmethod
    def advice(self, kind: HintKind) -> str:
        """Returns what a right or a wrong hint says, without its mark."""

    def hint(self, kind: HintKind) -> str:
        """Returns a line of advice. It depends on the task alone, not on what was done in it."""
        if kind == "neutral":
            return f"!{Random(self._prompt).choice(NEUTRAL)}"
        return f"!{self.advice(kind)}"

    def advice_rng(self) -> Random:
        """Returns the source of a wrong hint's choices: the same for the same task."""
        return Random(f"{self._prompt}/wrong")


def unknown(tool: str) -> Reply:
    """Returns the answer to a call of a tool that does not exist."""
    return Reply(text=f"<error no tool {tool}", ran=False, found=False)

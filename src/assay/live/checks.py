"""What tells a good answer from a bad one, where a recorded turn is answered again.

    later        the answer that the same session's user accepted after he had refused this one: the
                 first turn behind it whose labels come to a pass, all between come to a failure
    PKG:NAME     a function (messages, answer) -> a number in [0, 1], or None: it cannot say

A check never reads the hint. Where it cannot say what is good, the turn is not replayed; nothing is
guessed. A judge is no check: what it was probed for is a verdict on what came after a turn, and
nothing comes after a replay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from math import nan
from typing import Any, Final, Protocol, cast, final, runtime_checkable

from assay.errors import DataError, UsageError, one_line
from assay.live.resolver import decided, record_of
from assay.records import Call, ModelStep
from assay.records.turns import Seen, Session
from assay.verify.canonical import call_form

LATER: Final = "later"


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered again."""

    text: str
    calls: tuple[Call, ...] = ()


Told = Callable[[Answer], float | None]
"""What an answer is worth, in [0, 1]; None: it cannot be said."""


@runtime_checkable
class Check(Protocol):
    """Knows what is good, of some turns."""

    @property
    def name(self) -> str:
        """How it is called in the store."""
        ...

    def of(self, session: Session, seen: Seen) -> Told | None:
        """Returns what tells good answers to a turn's prompt from bad ones; None: it is not known
        of this turn."""
        ...


@final
class Later:
    """What was accepted later."""

    def __init__(self) -> None:
        self.name = LATER

    def of(self, session: Session, seen: Seen) -> Told | None:
        """Returns whether an answer is the one that was accepted: the same calls, or, where it
        called nothing, the same words."""
        accepted = _accepted(session, seen)
        return None if accepted is None else partial(_same, accepted)


def _accepted(session: Session, seen: Seen) -> ModelStep | None:
    """Returns the first answer behind a turn that was accepted, every one between refused."""
    at = seen.turn.id
    main = [each for each in session.turns if each.turn.turn_type == "main"]
    while (after := next((each for each in main if each.turn.after == at), None)) is not None:
        record = record_of(session, after)
        value = decided(record).value
        if value is None:
            return None
        if value >= 0.5:
            return next(each for each in record.steps if type(each) is ModelStep)
        at = after.turn.id
    return None


def _same(accepted: ModelStep, answer: Answer) -> float:
    if not accepted.calls:
        return float(accepted.text.split() == answer.text.split())
    ours, theirs = (
        sorted(call_form(call.name, call.arguments) for call in calls)
        for calls in (accepted.calls, answer.calls)
    )
    return float(ours == theirs)


@final
@dataclass(frozen=True, slots=True)
class Own:
    """A function of a user's own: the world's check, or whatever knows what is good."""

    name: str
    function: Callable[[Sequence[Mapping[str, Any]], str], float | None]

    def of(self, session: Session, seen: Seen) -> Told:
        """Returns what it says of an answer to the turn's conversation."""
        del session
        return lambda answer: self._of(seen, answer)

    def _of(self, seen: Seen, answer: Answer) -> float | None:
        try:
            value = self.function(seen.messages, answer.text)
        except Exception as error:
            raise DataError(one_line(f"--check {self.name}: raised {error!r}")) from error
        number = None if value is None else _number(value)
        if number is not None and not 0.0 <= number <= 1.0:
            got = one_line(f"{value!r:.80}")
            raise DataError(f"--check {self.name}: got {got}; expected 0 to 1, or None")
        return number


def _number(value: Any) -> float:
    """Returns what a function gave as a number; NaN: it is none."""
    try:
        return nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        return nan


def check_of(name: str) -> Check:
    """Returns the check of a name.

    Raises:
        UsageError: there is none.
    """
    if name == LATER:
        return Later()
    module, colon, what = name.partition(":")
    try:
        found = getattr(import_module(module), what) if colon else None
    except Exception as error:  # whatever a module of a user's own does while it is imported
        raise UsageError(one_line(f"--check {name}: {error or type(error).__name__}")) from None
    if not callable(found):
        raise UsageError(f"--check {name}: expected {LATER}, or PACKAGE:FUNCTION")
    return Own(name, cast("Callable[[Sequence[Mapping[str, Any]], str], float | None]", found))

"""Who judged what, and why. Every level of evidence is kept apart; None is "nobody looked"."""

from collections.abc import Sequence
from typing import Literal

from assay.records.base import Record

Level = Literal["E0", "E1", "E2", "E3", "E4"]
"""E0 the agent's own claim, E1 a judge, E2 next-state facts, E3 an independent check of the state,
E4 a person."""
ResolvedLevel = Literal["none", "E1", "E2", "E3", "E4"]
"""Of what was decided from several; none: nobody knows."""


class CallEvidence(Record, frozen=True):
    """What is known of one tool call, weakest to strongest. None: nobody looked."""

    parsed: bool | None = None
    """The arguments are one JSON object."""
    ran: bool | None = None
    """The observation is no error."""
    sibling: bool | None = None
    """The same name and canonical arguments occur in a successful trajectory of the task."""
    expert: bool | None = None
    """It is one of the task's expert actions."""
    state: bool | None = None
    """The environment's state after it is on a path to success."""


NOBODY_LOOKED = CallEvidence()
"""The default: one object, so that it can be recognised by identity."""


class Grade(Record, frozen=True):
    """One judgement of the outcome."""

    level: Level
    value: float | None = None
    """The score; None: this judge abstained."""
    source: str = ""
    reason: str = ""


def strongest(
    grades: Sequence[Grade], levels: Sequence[ResolvedLevel] = ("E4", "E3", "E2", "E1")
) -> tuple[ResolvedLevel, set[float]]:
    """Returns the first of some levels at which anybody gave a value, and the values there."""
    for level in levels:
        values = {g.value for g in grades if g.level == level and g.value is not None}
        if values:
            return level, values
    return "none", set()


class Mark(Record, frozen=True):
    """Something a person, a review or an importer pointed at."""

    kind: str
    """For example "mistake" (a labelled decisive error), "review", "prefix_break"."""
    step: int | None = None
    """Index into `steps`; None: the whole trajectory."""
    text: str = ""
    source: str = ""

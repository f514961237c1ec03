"""A turn as a source of hints sees it, and how hints come onto records."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, final

from msgspec import structs

from assay.kernels.constancy import bar
from assay.records import Hint, ModelStep, Trajectory
from assay.verify.leaks import leaks

Leaks = Literal["drop", "keep"]
"""What is done with hints that name the right answer."""


@final
@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a trajectory and what came after it."""

    at: int
    """Index of its step in the record."""
    number: int
    """Which model step it is, from 0."""
    step: ModelStep
    heard: str
    """What was read before the policy wrote again; empty: nothing, as after the last turn."""


def turns(record: Trajectory) -> Iterator[Turn]:
    """Yields the turns of a record that the policy wrote in it; copied ones are another's."""
    places = [at for at, step in enumerate(record.steps) if type(step) is ModelStep]
    ends = [*places[1:], len(record.steps)]
    for number, (at, end) in enumerate(zip(places, ends, strict=True)):
        step = record.steps[at]
        if type(step) is ModelStep and step.untrainable != "copied":
            heard = "\n".join(each.text for each in record.steps[at + 1 : end])
            yield Turn(at, number, step, heard)


def failed(record: Trajectory, pass_at: float = 1.0) -> bool:
    """Returns whether a record was scored and does not pass."""
    return record.outcome is not None and record.outcome < bar(pass_at)


@final
@dataclass(frozen=True, slots=True)
class Given:
    """What a source says of one record."""

    hints: Mapping[int, tuple[Hint, ...]] = field(default_factory=dict[int, tuple[Hint, ...]])
    """By index of the step."""
    scores: Mapping[int, float | None] = field(default_factory=dict[int, float | None])
    """Verdicts by the next state, by index of the step: 1, 0, -1, or None where it was asked and
    there is none."""


class Source(ABC):
    """Says of turns what should have been known."""

    name: ClassVar[str]
    said: str = ""
    """What of its last call a person should know; empty: nothing."""
    leaked: int = 0
    """Hints of the last `given` that named the right answer and were dropped."""

    @abstractmethod
    def read(self, records: Sequence[Trajectory]) -> list[Given]:
        """Returns what it says of each record, in order."""


def given(
    source: Source, records: Sequence[Trajectory], leaked: Leaks = "drop"
) -> list[Trajectory]:
    """Returns the records with what a source says of them.

    Hints that the same source gave before are replaced, those of others stay. One that names the
    right answer (`verify.leaks`) is dropped, unless such are to be kept: a teacher that knows it
    makes the answer likelier wherever it stands. Verdicts become scores `next_state:NAME` of their
    steps, as the method `next_state` reads them.
    """
    said = zip(records, source.read(records), strict=True)
    source.leaked = 0
    return [_with(source, record, each, leaked) for record, each in said]


def _with(source: Source, record: Trajectory, said: Given, leaked: Leaks) -> Trajectory:
    steps = list(record.steps)
    for turn in turns(record):
        others = tuple(hint for hint in turn.step.hints if hint.source != source.name)
        scores = dict(turn.step.scores)
        if turn.at in said.scores:
            scores[f"next_state:{source.name}"] = said.scores[turn.at]
        mine = said.hints.get(turn.at, ())
        if leaked == "drop":
            fit = tuple(hint for hint in mine if not leaks(hint.text, record))
            source.leaked += len(mine) - len(fit)
            mine = fit
        hints = (*others, *mine)
        if hints != turn.step.hints or scores != turn.step.scores:
            steps[turn.at] = structs.replace(turn.step, hints=hints, scores=scores)
    return structs.replace(record, steps=tuple(steps))

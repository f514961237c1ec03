"""Evaluations in traces: which conversation each is about, and what it says."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

from assay.importers.fields import Fields
from assay.importers.labels import EVIDENCE, HINT, Told, grade_of, told_of
from assay.importers.otel_spans import EVALUATION, Event, Span
from assay.importers.otel_turns import Conversation
from assay.records import Grade

_LISTED: Final = re.compile(
    r"((?:trace\.|session\.)?(evaluation|annotation)s\.[0-9]+\.\2\.)(name|score|label)"
)
_LABEL: Final = {
    "source": "gen_ai.evaluation.name",
    "value": "gen_ai.evaluation.score.value",
    "reason": "gen_ai.evaluation.explanation",
    "evidence": EVIDENCE,
}
_KEYS: Final = {"name": "name", "score": "score.value", "label": "score.label"}


class Score(NamedTuple):
    """One evaluation: of a span, of a trace, and what it says."""

    span: str
    trace: str
    said: Fields
    """`name`, `score.value` and `score.label`, each behind `gen_ai.evaluation.`."""


def scores_in(
    events: Sequence[tuple[Event, str]], spans: Sequence[Span], trace_of: dict[str, str]
) -> Iterator[Score]:
    """Yields evaluations in the order of time: events, and attributes of OpenInference."""
    for span in spans:
        listed: dict[str, dict[str, object]] = {}
        for key, value in span.attributes.raw.items():
            if (match := _LISTED.fullmatch(key)) is not None:
                name = f"gen_ai.evaluation.{_KEYS[match[3]]}"
                listed.setdefault(match[1], {})[name] = value
        for raw in listed.values():
            said = Fields(raw, span.attributes.where, span.attributes.losses)
            yield Score(span.id, trace_of[span.id], said)
    for event, trace in events:
        if event.name == EVALUATION and EVIDENCE not in event.attributes.raw:
            yield Score(event.span, trace, event.attributes)


def placed(
    scores: Iterator[Score], all: Sequence[Conversation], trace_of: dict[str, str]
) -> list[dict[str, float | None]]:
    """Returns the named scores of each conversation.

    An evaluation of a model call is of its conversation, one of an agent of what that agent said
    first, any other of the first conversation of its trace. Of several by one name the last
    counts.
    """
    by_span: dict[str, int] = {}
    by_trace: dict[str, int] = {}
    for number, each in enumerate(all):
        by_span.setdefault(each.owner, number)
        for span in each.spans:
            by_span.setdefault(span.id, number)
            by_trace.setdefault(trace_of[span.id], number)
    found: list[dict[str, float | None]] = [{} for _ in all]
    for score in scores:
        at = by_span.get(score.span) if score.span else None
        at = by_trace.get(score.trace) if at is None else at
        name = score.said.text("gen_ai.evaluation.name", "evaluation")
        value = score.said.score("gen_ai.evaluation.score.value")
        if value is None:
            score.said.lose("evaluation_without_score")
        if at is None:
            score.said.lose("evaluation_of_nothing")
            continue
        if name in found[at]:
            score.said.lose("evaluation_repeated")
        found[at][name] = value
    return found


@final
@dataclass(slots=True)
class Labels:
    """What a live store's labels and hints say: of agents and of model calls, by their spans."""

    grades: dict[str, list[Grade]] = field(default_factory=dict[str, list[Grade]])
    turns: dict[str, Told] = field(default_factory=dict[str, Told])


def labels_in(events: Sequence[tuple[Event, str]], spans: dict[str, Span]) -> Labels:
    """Returns the labels and hints among events that stand on spans."""
    found = Labels()
    for event, _ in events:
        at, raw = event.attributes, event.attributes.raw
        span = spans.get(event.span)
        if span is None or not (event.name == HINT or EVIDENCE in raw):
            continue
        if event.name == HINT:
            hint = {key: raw.get(f"{HINT}.{key}") for key in ("source", "text")}
            told = told_of((), [Fields(hint, at.where, at.losses)])
        else:
            label = {key: raw.get(name) for key, name in _LABEL.items()}
            said = Fields(label, at.where, at.losses)
            if span.kind != "chat":
                found.grades.setdefault(span.id, []).append(grade_of(said))
                continue
            told = told_of([said], ())
        into = found.turns.setdefault(span.id, Told())
        into.scores |= told.scores
        into.hints += told.hints
    return found

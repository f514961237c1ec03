"""OpenTelemetry spans of model calls, by the GenAI or the OpenInference conventions.

OTLP JSON, one document or one a line, and lines of the SDK's `to_json`. Each call repeats the
whole history, so turns are rebuilt once (`otel_turns`). The span of a tool says what the messages
do not: a result that no later call was sent, an error. The task is the prompt. The outcome is a
`gen_ai.evaluation.result`; without one a trajectory is unscored. Labels and hints that
`assay live export` wrote are read as those of the store (`labels`).
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, final

from assay.errors import DataError
from assay.files.probe import Probe
from assay.importers.base import Importer, Log, Rank, Record, ends, graded, prompt_name
from assay.importers.fields import objects
from assay.importers.labels import Told, outcome_of
from assay.importers.messages import MESSAGE, Steps, content_of, copied
from assay.importers.otel_messages import CutError, said
from assay.importers.otel_scores import labels_in, placed, scores_in
from assay.importers.otel_spans import (
    DETAILS,
    SESSION,
    TASK,
    Span,
    Trace,
    ancestors,
    is_sdk_span,
    read_record,
)
from assay.importers.otel_tools import Tools
from assay.importers.otel_turns import Conversation, Conversations, Turn
from assay.records import End, Ledger, Mark, ModelStep, Step, Trajectory

_FINISH: dict[str, End] = ends(
    answered="stop end_turn stop_sequence completed COMPLETE STOP",
    budget="length max_tokens max_output_tokens MAX_TOKENS",
    infra="error",
)
_CONVERSATION: Final = ("gen_ai.conversation.id", "session.id")
_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"
_TOKENS: Final = ("gen_ai.usage.output_tokens", "llm.token_count.completion")


@final
class Otel(Importer):
    """A file of traces or a folder of them; spans of one trace may lie in several files."""

    name = "otel"
    title = "OpenTelemetry traces"
    record = "an object with resourceSpans, or a span"
    needs = "resourceSpans:array"

    def rank(self, seen: Probe) -> Rank:
        """Logs of the same traces, and spans of the SDK, are known too."""
        told = seen.has("resourceLogs") or is_sdk_span(seen.first)
        return max(super().rank(seen), Rank.SHAPE if told else Rank.NO)

    def parts(self, file: Path) -> None:
        """Spans of one trace lie in any file, and traces come in the order in which they begin."""

    def read(self, log: Log) -> Iterator[Trajectory]:
        """Yields a trajectory for each conversation, traces in the order in which they begin."""
        traces: dict[str, Trace] = {}

        def trace(name: str) -> Trace:
            return traces.setdefault(name, Trace(name))

        for place, file in enumerate(log.files):
            for index, (where, value) in enumerate(log.documents(file)):
                read_record(Record(value, where, log, self, place, index), trace)
        if traces and not any(span.kind == "chat" for t in traces.values() for span in t.spans):
            what = "no span of a model call in it, by gen_ai.operation.name or"
            raise DataError(f"{log.path}: {what} openinference.span.kind; expected one")
        read = 0
        for together in _together(traces):
            for trajectory in _Unit(together, log, self).trajectories():
                read += 1
                yield trajectory
        if traces and not read:
            raise DataError(
                f"{log.path}: no whole conversation in its spans; expected messages, uncut by a "
                f"length limit: GenAI instrumentations record them with {_CAPTURE}"
            )


def _together(traces: dict[str, Trace]) -> Iterator[list[Trace]]:
    """Yields traces, those of one conversation id together; what was yielded is forgotten."""
    named: dict[str, list[str]] = {}
    for name, trace in traces.items():
        named.setdefault(_conversation(trace) or f"trace {name}", []).append(name)
    for names in named.values():
        yield [traces[name] for name in names]
        for name in names:
            traces[name] = Trace(name)


def _conversation(trace: Trace) -> str | None:
    """Returns the one conversation that all of a trace is of."""
    found = {
        str(value)
        for span in trace.spans
        for key in _CONVERSATION
        if isinstance(value := span.attributes.raw.get(key), (str, int))
    }
    return next(iter(found)) if len(found) == 1 else None


class _Unit:
    """Traces that are read together."""

    def __init__(self, traces: list[Trace], log: Log, importer: Importer) -> None:
        self._log, self._importer = log, importer
        self._spans: dict[str, Span] = {s.id: s for trace in traces for s in trace.spans}
        self._trace_of = {s.id: trace.id for trace in traces for s in trace.spans}
        self._ordered = sorted(self._spans.values(), key=lambda span: span.start)
        events = [(event, trace.id) for trace in traces for event in trace.events]
        self._events = sorted(events, key=lambda each: each[0].time)
        self._labels = labels_in(self._events, self._spans)
        for event, _ in self._events:
            span = self._spans.get(event.span)
            if span is not None and event.name == DETAILS:
                span.attributes.raw.update(event.attributes.raw)

    def trajectories(self) -> Iterator[Trajectory]:
        """Yields one for each conversation."""
        all = self._conversations()
        tools = self._tools(all)
        listed = scores_in(self._events, self._ordered, self._trace_of)
        rewards = placed(listed, all, self._trace_of)
        seen: dict[str, int] = {}
        for each, named in zip(all, rewards, strict=True):
            if each.lost:
                each.spans[0].attributes.lose("conversation_cut")
                continue
            trace = self._trace_of[each.spans[0].id]
            seen[trace] = seen.get(trace, -1) + 1
            name = f"{trace}/{seen[trace]}" if seen[trace] else trace
            if each.owner in tools:
                each.turns = tools[each.owner].complete(each.turns)
            yield self._trajectory(each, name, named)

    def _conversations(self) -> list[Conversation]:
        made = Conversations()
        for span in self._ordered:
            if span.kind != "chat":
                continue
            try:
                found = said(span, self._log)
            except CutError:
                span.attributes.lose("attribute_cut")
                made.cut(span, self._owner(span))
                continue
            if found is None:
                span.attributes.lose("content_not_captured")
            else:
                made.add(span, self._owner(span), found)
        return made.all

    def _owner(self, span: Span) -> str:
        """Returns the agent that a span is inside of; "" for none."""
        inside = (above.id for above in ancestors(span, self._spans) if above.kind == "agent")
        return next(inside, "")

    def _tools(self, conversations: list[Conversation]) -> dict[str, Tools]:
        """Returns what the spans of tools say, by agent."""
        errors = {e.span: e for e, _ in self._events if e.name == "exception"}
        spans: dict[str, list[Span]] = {}
        for span in self._ordered:
            if span.kind == "tool":
                spans.setdefault(self._owner(span), []).append(span)
        turns: dict[str, list[list[Turn]]] = {}
        for each in conversations:
            turns.setdefault(each.owner, []).append([] if each.lost else each.turns)
        return {owner: Tools(found, errors, turns.get(owner, [])) for owner, found in spans.items()}

    def _trajectory(
        self, of: Conversation, name: str, rewards: dict[str, float | None]
    ) -> Trajectory:
        first = of.spans[0]
        about = self._spans.get(of.owner, first).attributes.raw | first.attributes.raw
        place, at = first.place, first.attributes
        record = Record(about, at.where, self._log, self._importer, place, first.index)
        steps, marks = _steps(of, record, self._labels.turns)
        session, named = about.get(SESSION), about.get(TASK)
        labels = tuple(self._labels.grades.get(of.owner, ()))
        task = named if isinstance(named, str) and named else _task(steps)
        outcome = next(iter(rewards.values())) if len(rewards) == 1 else None
        outcome = outcome_of(labels) if labels and not rewards else outcome
        if len(rewards) > 1 and record.choices.outcome is None:
            record.lose("several_evaluations")
        return record.trajectory(
            task,
            steps,
            id=name,
            session=session if isinstance(session, str) else None,
            trial=record.groups.trial(task),
            outcome=outcome,
            rewards=rewards,
            grades=labels if labels and not rewards else graded(outcome, next(iter(rewards), "")),
            end=_end(of),
            marks=marks,
            ledger=_ledger(of.spans),
            origin=record.origin(trace=self._trace_of[first.id], span=first.id),
        )


def _steps(
    of: Conversation, record: Record, told: dict[str, Told]
) -> tuple[tuple[Step, ...], tuple[Mark, ...]]:
    """Returns the steps, and a mark where the history before one was rewritten."""
    steps, marks = Steps(), list[Mark]()
    messages = (turn.message for turn in of.turns)
    where = f"{record.where}.messages"
    for turn, message in zip(
        of.turns, objects(messages, where, record.losses, MESSAGE), strict=True
    ):
        if turn.rewritten:
            record.lose("history_rewritten")
            marks.append(Mark(kind="prefix_break", step=len(steps), source="importer"))
        steps.say(message, content_of(message), message.need("role", str))
        last = steps[-1]
        if not turn.sampled:
            steps[-1] = copied(last)
        elif turn.span in told and type(last) is ModelStep:
            steps[-1] = told[turn.span].onto(last)
    return tuple(steps), tuple(marks)


def _task(steps: tuple[Step, ...]) -> str:
    """Returns the name of the task: all that was said before the policy spoke."""
    prompt: list[str] = []
    for step in steps:
        if type(step) is ModelStep and step.untrainable is None:
            break
        prompt.append(step.text)
    return prompt_name("\0".join(prompt))


def _end(of: Conversation) -> End:
    if of.spans[-1].failed and not (of.turns and of.turns[-1].sampled):
        return "infra"
    return _FINISH.get(of.finish, "unknown")


def _ledger(spans: Iterable[Span]) -> Ledger:
    """Returns what the model calls generated; None where one does not say."""
    tokens = [
        next((n for key in _TOKENS if (n := span.attributes.whole(key)) is not None), None)
        for span in spans
    ]
    known = [each for each in tokens if each is not None]
    return Ledger(tokens=sum(known) if known and len(known) == len(tokens) else None)

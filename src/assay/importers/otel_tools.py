"""What the spans of tools say and the messages of a conversation do not."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, final

from assay.importers.messages import as_text
from assay.importers.otel_messages import Message, arguments_form, call_form
from assay.importers.otel_spans import Event, Span
from assay.importers.otel_turns import Turn

_RESULTS = ("gen_ai.tool.call.result", "output.value")
_ARGUMENTS = ("gen_ai.tool.call.arguments", "input.value")
_IDS = ("gen_ai.tool.call.id", "tool.id")
_Key = tuple[str, ...]


@final
class Tools:
    """The spans of tools that one agent used, in the order of time. Each is of one call: of the one
    with its id, else of one with its name and arguments; of its name alone where a side does not
    say its arguments. Of several the first that began after the model asked for it."""

    def __init__(self, spans: Iterable[Span], errors: dict[str, Event]) -> None:
        """`errors`: the exception of a span, by its id."""
        self._errors = errors
        self._used: set[str] = set()
        self._spans: dict[_Key, deque[Span]] = {}
        bare: list[Span] = []
        for span in spans:
            if (call := _first(span, _IDS)) is None:
                bare.append(span)
            else:
                self._spans.setdefault(("id", call), deque()).append(span)
        # where some say their arguments, one that has none was called without
        told = any(_first(span, _ARGUMENTS) is not None for span in bare)
        for span in bare:
            name, form = _name(span), _form(span, told=told)
            for key in (("name", name), ("untold", name) if form is None else ("call", name, form)):
                self._spans.setdefault(key, deque()).append(span)

    def complete(self, turns: list[Turn]) -> list[Turn]:
        """Returns the turns with the results that no message holds, and which results are errors
        where the span of the tool says so."""
        out: list[Turn] = []
        at = 0
        while at < len(turns):
            turn, at = turns[at], at + 1
            out.append(turn)
            calls = turn.message.get("tool_calls")
            if not turn.sampled or not isinstance(calls, list):
                continue
            results: list[Message] = []
            while at < len(turns) and turns[at].message.get("role") in ("tool", "function"):
                results.append(turns[at].message)
                out.append(turns[at])
                at += 1
            asked = [each for each in calls if isinstance(each, dict)]
            out += self._missing(asked, results, turn.at)
        return out

    def _missing(self, calls: list[Message], results: list[Message], at: int) -> Iterator[Turn]:
        by_id = {each.get("tool_call_id"): each for each in results}
        by_place = results if set(by_id) <= {None} else []
        for place, call in enumerate(calls):
            span = self._taken(call, at)
            if span is None:
                continue
            id = call.get("id")
            result = by_id.get(id) if isinstance(id, str) else None
            if result is None and place < len(by_place):
                result = by_place[place]
            function = call.get("function")
            if isinstance(function, dict) and function.get("arguments") is None:
                function["arguments"] = _first(span, _ARGUMENTS)
            if result is None:
                yield Turn(self._result(span, id), sampled=False)
            elif span.failed:
                result["is_error"] = True

    def _taken(self, call: Message, at: int) -> Span | None:
        """Takes the span of a call that the model made at a time."""
        id, function = call.get("id"), call.get("function")
        keys: list[_Key] = [("id", id)] if isinstance(id, str) else []
        if isinstance(function, dict):
            name, form = call_form(call)
            known = function.get("arguments") is not None
            keys += [("call", name, form), ("untold", name)] if known else [("name", name)]
        spans = (self._next(self._spans.get(key, deque()), at) for key in keys)
        return next((span for span in spans if span is not None), None)

    def _next(self, spans: deque[Span], at: int) -> Span | None:
        """Takes the first of spans that nobody took: of those after a time, else of all."""
        while spans and spans[0].id in self._used:
            spans.popleft()
        later = (s for s in spans if s.start >= at and s.id not in self._used)
        found = next(later, spans[0] if spans else None)
        if found is not None:
            self._used.add(found.id)
        return found

    def _result(self, span: Span, id: Any) -> Message:
        text = _first(span, _RESULTS)
        error = self._errors.get(span.id)
        if text is None and error is not None:
            text = _first_of(error.attributes.raw, ("exception.message", "exception.type"))
        text = text or span.said or _first(span, ("error.type",))
        if text is None:
            span.attributes.lose("result_not_captured")
        message: Message = {"role": "tool", "content": text or ""}
        if isinstance(id, str):
            message["tool_call_id"] = id
        return {**message, "is_error": True} if span.failed else message


def _name(span: Span) -> str:
    named = _first(span, ("gen_ai.tool.name", "tool.name"))
    return span.name if named is None else named


def _form(span: Span, *, told: bool) -> str | None:
    """Returns the arguments of a call as they are compared; None where the span does not tell."""
    given = next((span.attributes.raw[k] for k in _ARGUMENTS if span.attributes.raw.get(k)), None)
    return arguments_form(given) if told or given is not None else None


def _first(span: Span, keys: tuple[str, ...]) -> str | None:
    return _first_of(span.attributes.raw, keys)


def _first_of(raw: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((as_text(raw[key]) for key in keys if raw.get(key) is not None), None)

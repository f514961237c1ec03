"""What the spans of tools say and the messages of a conversation do not."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, final

from assay.importers.messages import as_text
from assay.importers.otel_messages import Message
from assay.importers.otel_spans import Event, Span
from assay.importers.otel_turns import Turn

_RESULTS = ("gen_ai.tool.call.result", "output.value")
_ARGUMENTS = ("gen_ai.tool.call.arguments", "tool.parameters", "input.value")


@final
class Tools:
    """The spans of tools that one agent used, each taken once, in the order of time."""

    def __init__(self, spans: Iterable[Span], errors: dict[str, Event]) -> None:
        """`errors`: the exception of a span, by its id."""
        self._errors = errors
        self._by_id: dict[str, deque[Span]] = {}
        self._by_name: dict[str, deque[Span]] = {}
        for span in spans:
            call = span.attributes.raw.get("gen_ai.tool.call.id")
            if isinstance(call, str):
                self._by_id.setdefault(call, deque()).append(span)
            else:
                self._by_name.setdefault(_name(span), deque()).append(span)

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
            out += self._missing([each for each in calls if isinstance(each, dict)], results)
        return out

    def _missing(self, calls: list[Message], results: list[Message]) -> Iterator[Turn]:
        by_id = {each.get("tool_call_id"): each for each in results}
        by_place = results if set(by_id) <= {None} else []
        for place, call in enumerate(calls):
            span = self._taken(call)
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

    def _taken(self, call: Message) -> Span | None:
        """Takes the span of a call: by its id, else by its name."""
        id, function = call.get("id"), call.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        same = self._by_id.get(id) if isinstance(id, str) else None
        same = same or (self._by_name.get(name) if isinstance(name, str) else None)
        return same.popleft() if same else None

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


def _first(span: Span, keys: tuple[str, ...]) -> str | None:
    return _first_of(span.attributes.raw, keys)


def _first_of(raw: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((as_text(raw[key]) for key in keys if raw.get(key) is not None), None)

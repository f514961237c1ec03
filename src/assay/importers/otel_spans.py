"""Spans and log records of OpenTelemetry, as OTLP JSON and as the SDK's `to_json` write them.

Both become one `Span`: ids in hex, times in nanoseconds, attributes as plain values.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from assay.errors import DataError
from assay.importers.base import Record, keys
from assay.importers.fields import Fields, Losses, objects, shown, typed
from assay.importers.labels import HINT

Kind = Literal["chat", "tool", "agent", "other"]

EVALUATION: Final = "gen_ai.evaluation.result"
DETAILS: Final = "gen_ai.client.inference.operation.details"
"""Holds the messages of a model call where its span is told not to."""
_OPERATIONS: Final[dict[str, Kind]] = {
    **dict.fromkeys(("chat", "text_completion", "generate_content"), "chat"),
    "execute_tool": "tool",
    **dict.fromkeys(("invoke_agent", "invoke_workflow"), "agent"),
}
_KINDS: Final[dict[str, Kind]] = {"LLM": "chat", "TOOL": "tool", "AGENT": "agent"}
_TEXTS: Final = keys(
    "gen_ai.input.messages gen_ai.output.messages gen_ai.system_instructions"
    " gen_ai.tool.call.arguments gen_ai.tool.call.result input.value output.value"
)
_FLAT: Final = ("llm.input_messages.", "llm.output_messages.")
_SHORT: Final = 256
"""Characters of an attribute that is kept though nothing reads it: a group may be named by it."""
_DEEPEST: Final = 100
TESTED: Final = frozenset(
    {
        ("opentelemetry.instrumentation.genai.openai", "1.3b0"),
        ("opentelemetry.util.genai.handler", "1.3b0"),
        ("openinference.instrumentation.openai", "0.1.66"),
    }
)
"""Instrumentations whose spans were read, and their versions."""
OURS: Final = "assay.live"
"""The scope of what `assay live export` writes."""
TASK: Final = "assay.task"
"""The name of its task, as the store it was written from has it."""
SESSION: Final = "assay.session"
"""Of several conversations of one session its name."""
_HEX: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{16}|[0-9a-fA-F]{32})")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a span, or one log record."""

    name: str
    span: str
    """The span that it is about; "" for none."""
    time: int
    attributes: Fields


@dataclass(slots=True)
class Span:
    """One span, with the attributes that a reader may want."""

    id: str
    parent: str
    kind: Kind
    name: str
    start: int
    end: int
    failed: bool
    said: str
    """The message of its status; "" for none."""
    attributes: Fields
    place: int
    """Which file of the log it stands in."""
    index: int
    """Which record of that file."""


@dataclass(slots=True)
class Trace:
    """What has one trace id, in the order of the log."""

    id: str
    spans: list[Span] = field(default_factory=list[Span])
    events: list[Event] = field(default_factory=list[Event])


Adder = Callable[[str], Trace]
"""The trace of an id."""


def read_record(record: Record, trace: Adder) -> None:
    """Adds what one JSON value of a log holds to its traces.

    Raises:
        DataError: it is neither OTLP JSON nor a span of the SDK.
    """
    if "resourceSpans" in record.raw or "resourceLogs" in record.raw:
        _otlp(record, trace)
    elif is_sdk_span(record.raw):
        _sdk(record, trace)
    elif "resourceMetrics" in record.raw:
        record.lose("metrics")
    else:
        got = ", ".join(str(key)[:20] for key in list(record.raw)[:6]) or "none"
        what = "resourceSpans, or the name, context and attributes of a span"
        raise DataError(f"{record.where}: keys {got}; expected {what}")


def is_sdk_span(value: Any) -> bool:
    """Is it a span as the SDK's `to_json` writes it?"""
    has = isinstance(value, dict) and all(key in value for key in ("name", "context", "attributes"))
    return has and isinstance(value["context"], dict) and "trace_id" in value["context"]


def _otlp(record: Record, trace: Adder) -> None:
    for resource in record.each("resourceSpans", "a resourceSpans object"):
        about = attributes_of(resource.within("resource"))
        for scope in resource.each("scopeSpans", "a scopeSpans object"):
            name, version = _scope(scope)
            for raw in scope.each("spans", "a span object"):
                _otlp_span(raw, record, trace, about, name, version)
    for resource in record.each("resourceLogs", "a resourceLogs object"):
        for scope in resource.each("scopeLogs", "a scopeLogs object"):
            for raw in scope.each("logRecords", "a log record object"):
                if raw.raw.get("traceId"):
                    to = trace(hex_id(raw, "traceId"))
                    _event(raw, to, raw.text("eventName"), _parent(raw, "spanId"))


def _scope(scope: Fields) -> tuple[str, str]:
    about = scope.within("scope")
    return about.text("name"), about.text("version")


def _otlp_span(
    raw: Fields, record: Record, trace: Adder, resource: Fields, scope: str, version: str
) -> None:
    attributes = attributes_of(raw)
    status = raw.within("status")
    to = trace(hex_id(raw, "traceId"))
    span = Span(
        id=hex_id(raw, "spanId"),
        parent=_parent(raw, "parentSpanId"),
        kind=kind_of(attributes),
        name=raw.text("name"),
        start=_nanoseconds(raw, "startTimeUnixNano"),
        end=_nanoseconds(raw, "endTimeUnixNano"),
        failed=status.raw.get("code") in (2, "2", "STATUS_CODE_ERROR"),
        said=status.text("message"),
        attributes=_kept(attributes, resource),
        place=record.place,
        index=record.index,
    )
    _check_scope(span, scope, version)
    to.spans.append(span)
    for event in raw.each("events", "an event object"):
        _event(event, to, event.text("name"), span.id)


def _event(raw: Fields, to: Trace, name: str, span: str) -> None:
    """Adds an event that is read; others tell nothing."""
    if name in (EVALUATION, DETAILS, HINT, "exception"):
        time = _nanoseconds(raw, "timeUnixNano") or _nanoseconds(raw, "observedTimeUnixNano")
        to.events.append(Event(name, span, time, attributes_of(raw)))


def _sdk(record: Record, trace: Adder) -> None:
    context = record.within("context")
    attributes = record.within("attributes")
    status = record.within("status")
    to = trace(hex_id(context, "trace_id"))
    span = Span(
        id=hex_id(context, "span_id"),
        parent=_parent(record, "parent_id"),
        kind=kind_of(attributes),
        name=record.text("name"),
        start=_instant(record, "start_time"),
        end=_instant(record, "end_time"),
        failed=status.text("status_code") == "ERROR",
        said=status.text("description"),
        attributes=_kept(attributes, record.within("resource").within("attributes")),
        place=record.place,
        index=record.index,
    )
    if span.kind == "chat":
        record.lose("scope_not_said")
    to.spans.append(span)
    for event in record.each("events", "an event object"):
        if event.text("name") in (EVALUATION, HINT, "exception"):
            time = _instant(event, "timestamp")
            about = event.within("attributes")
            to.events.append(Event(event.text("name"), span.id, time, about))


def _check_scope(span: Span, scope: str, version: str) -> None:
    """Counts a model call that an instrumentation wrote which was not read before."""
    if span.kind == "chat" and not scope:
        span.attributes.lose("scope_not_said")
    elif span.kind == "chat" and scope != OURS and (scope, version) not in TESTED:
        span.attributes.lose(f"scope_not_tested:{scope}{version and '-'}{version}")


def kind_of(attributes: Fields) -> Kind:
    """Returns what a span is about, by either convention."""
    operation = attributes.raw.get("gen_ai.operation.name")
    named = attributes.raw.get("openinference.span.kind")
    if isinstance(operation, str) and operation in _OPERATIONS:
        return _OPERATIONS[operation]
    return _KINDS.get(named, "other") if isinstance(named, str) else "other"


def _kept(attributes: Fields, resource: Fields) -> Fields:
    """Returns what may be read again of a span's attributes, and of its resource's."""
    kept = {key: value for key, value in resource.raw.items() if _short(value)}
    for key, value in attributes.raw.items():
        if key in _TEXTS or key.startswith(_FLAT) or _short(value):
            kept[key] = value
    return Fields(kept, attributes.where, attributes.losses)


def _short(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= 8 and all(_short(each) for each in value)
    return not isinstance(value, dict) and (not isinstance(value, str) or len(value) <= _SHORT)


def attributes_of(owner: Fields) -> Fields:
    """Returns the attributes of OTLP JSON, a list of keys and typed values, as one object."""
    flat: dict[str, Any] = {}
    where = f"{owner.where}.attributes"
    for one in objects(owner.items("attributes"), where, owner.losses, "a key and a value"):
        flat[one.need("key", str)] = _value(
            one.raw.get("value"), f"{one.where}.value", owner.losses
        )
    return Fields(flat, where, owner.losses)


def _value(value: Any, where: str, losses: Losses, depth: int = 0) -> Any:
    """Returns one typed value: whole numbers are written as text."""
    if value is None or value == {}:
        return None
    if depth > _DEEPEST:
        raise DataError(f"{where}: nested too deeply; expected {_DEEPEST} levels at most")
    kind, inner = next(iter(typed(value, dict, where, "an object with a typed value").items()))
    match kind:
        case "stringValue":
            return typed(inner, str, where, "text")
        case "boolValue":
            return typed(inner, bool, where, "true or false")
        case "bytesValue":
            return typed(inner, str, where, "bytes in base64")
        case "intValue":
            return _whole(inner, where)
        case "doubleValue":
            return _double(inner, where)
        case "arrayValue":
            values = Fields(inner, where, losses).items("values")
            return [_value(each, where, losses, depth + 1) for each in values]
        case "kvlistValue":
            values = Fields(inner, where, losses).items("values")
            return {
                pair.need("key", str): _value(pair.raw.get("value"), where, losses, depth + 1)
                for pair in objects(values, where, losses, "a key and a value")
            }
        case _:
            expected = "stringValue, intValue or another kind of value"
            raise DataError(f"{where}: got {shown(kind)}; expected {expected}")


def _whole(value: Any, where: str) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        value = int(value)
    return typed(value, int, where, "a whole number")


def _double(value: Any, where: str) -> float | None:
    if value in ("NaN", "Infinity", "-Infinity"):  # as protobuf writes them
        return None
    number = float(typed(value, (int, float), where, "a number"))
    return number if math.isfinite(number) else None


def hex_id(at: Fields, key: str) -> str:
    """Returns an id of a trace or span in lower hex; it may be written in base64."""
    text = at.need(key, str)
    if (match := _HEX.fullmatch(text)) is not None:
        return match[1].lower()
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) not in (8, 16):
        raise at.wrong(key, shown(text), "8 or 16 bytes in hex or base64")
    return raw.hex()


def _parent(at: Fields, key: str) -> str:
    return hex_id(at, key) if at.raw.get(key) else ""


def _nanoseconds(at: Fields, key: str) -> int:
    value = at.raw.get(key)
    return 0 if value is None else _whole(value, f"{at.where}.{key}")


def _instant(at: Fields, key: str) -> int:
    """Returns a time that is written as text, in nanoseconds."""
    text = at.text(key)
    if not text:
        return 0
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1e6) * 1_000
    except (ValueError, OverflowError):
        raise at.wrong(key, shown(text), "a time such as 2026-01-01T00:00:00Z") from None


def ancestors(span: Span, spans: dict[str, Span]) -> Iterator[Span]:
    """Yields the spans that a span is inside of, from its parent up."""
    seen = {span.id}
    while (above := spans.get(span.parent)) is not None and above.id not in seen:
        seen.add(above.id)
        yield above
        span = above

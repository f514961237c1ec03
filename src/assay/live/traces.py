"""A store's sessions as ATIF documents and as OpenTelemetry spans (GenAI), one a line.

Labels and hints go with them. ATIF has no place for them but `extra`; of OpenTelemetry a label is
the event `gen_ai.evaluation.result` of the span that it is about, a model call's or, of a whole
session, its agent's. The conventions write events as log records, but a file of traces may hold no
logs, so they stand on the spans; what they have no attribute for begins with `assay.`.
`assay.importers.labels` reads both again.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from assay import __version__
from assay.errors import DataError, UsageError
from assay.files.lines import write_rows
from assay.importers.labels import EVIDENCE, HINT
from assay.importers.live import Line, lines
from assay.importers.live_outputs import told_only
from assay.importers.otel_spans import EVALUATION, OURS, SESSION, TASK
from assay.live.sessions import text_of
from assay.live.store import Store
from assay.records.live import TurnHint, TurnLabel
from assay.records.turns import Seen, Session

ATIF: Final = "ATIF-v1.8"
KINDS: Final = ("atif", "otel")
_KINDS_OF_LABEL: Final = ("E3", "E2", "E1", "E4")


def write_traces(store: Store, path: Path, *, to: str, now: float) -> int:
    """Writes the main turns of all sessions into a file, and into the store that it was made from
    them; returns how many conversations it holds.

    Args:
        store: open to write.
        path: of JSON Lines.
        to: a name of `KINDS`.
        now: seconds since 1970.

    Raises:
        UsageError: no such kind.
        DataError: there is no main turn; or a session was forgotten meanwhile.
    """
    if to not in KINDS:
        raise UsageError(f"--to {to}: expected {', '.join(KINDS)}, or verifiers")
    read, sessions = store.reading(), store.sessions()
    made = list(_made(sessions.values(), _atif if to == "atif" else _otel))
    if not made:
        raise DataError(f"{store.path}: no turn of an agent's own in it; nothing to export")
    with told_only(replace(read, of=frozenset(sessions)), now):
        write_rows(path, made)
    return len(made)


def _made(sessions: Any, form: Any) -> Iterator[dict[str, Any]]:
    for session in sessions:
        for line in lines(session):
            yield form(session, line)


def _atif(session: Session, line: Line) -> dict[str, Any]:
    """Returns one ATIF document; what a session's labels come to is `extra.reward`."""
    steps: list[dict[str, Any]] = []
    ours, last = {len(each.messages): each for each in line.turns}, line.turns[-1]
    for at, message in enumerate([*last.messages, last.turn.answer]):
        if message.get("role") == "tool" and steps and steps[-1]["source"] == "agent":
            result = {"source_call_id": message.get("tool_call_id"), "content": text_of(message)}
            steps[-1].setdefault("observation", {"results": []})["results"].append(result)
            continue
        steps.append({"step_id": len(steps) + 1, **_step(message, ours.get(at))})
    made: dict[str, Any] = {
        "schema_version": ATIF,
        "session_id": session.id,
        "trajectory_id": line.id,
        "agent": {
            "name": session.run or "agent",
            "version": last.turn.policy_version or "unknown",
            "model_name": last.turn.model or None,
        },
        "steps": steps,
    }
    reward, labels = (_reward(session), session.labels.values()) if line.whole else (None, ())
    extra = {"task": line.task, **({} if reward is None else {"reward": reward})}
    return {**made, "extra": {**extra, **_told(labels, session=line.session)}}


def _told(
    labels: Iterable[TurnLabel], hints: Iterable[TurnHint] = (), *, session: str | None = None
) -> dict[str, Any]:
    """Returns labels and hints as the key of an `extra` that holds them; none: no key. And of a
    trajectory, which session it shares with others."""
    said = [
        {"source": e.source, "value": e.value, "evidence": e.evidence, "reason": e.reason}
        for e in labels
    ]
    heard = [{"source": each.source, "text": each.text} for each in hints]
    found = {"session": session, "labels": said, "hints": heard}
    made = {key: value for key, value in found.items() if value}
    return {"assay": made} if made else {}


def _step(message: Mapping[str, Any], seen: Seen | None) -> dict[str, Any]:
    role = str(message.get("role"))
    source = {"assistant": "agent", "system": "system", "developer": "system"}.get(role, "user")
    made: dict[str, Any] = {"source": source, "message": text_of(message)}
    if thoughts := message.get("reasoning_content"):
        made["reasoning_content"] = thoughts
    if calls := message.get("tool_calls"):
        made["tool_calls"] = [_call(each) for each in calls]
    if source == "agent" and seen is None:
        made["is_copied_context"] = True
    if seen is not None:
        made["timestamp"] = datetime.fromtimestamp(seen.turn.at, UTC).isoformat()
        made["model_name"] = seen.turn.model or None
        made["metrics"] = _metrics(seen)
        made["extra"] = _told(seen.labels.values(), seen.hints) or None
    return {key: value for key, value in made.items() if value is not None}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "tool_call_id": str(call.get("id", "")),
        "function_name": str(function.get("name", "")),
        "arguments": _arguments(function.get("arguments")),
    }


def _arguments(text: Any) -> Any:
    """Returns the arguments of a call as an object; what is none stands under `_text`."""
    try:
        found = msgspec.json.decode(text) if isinstance(text, str) else text
    except msgspec.MsgspecError:
        return {"_text": text}
    return found if isinstance(found, dict) else {"_text": text}


def _metrics(seen: Seen) -> dict[str, Any] | None:
    made = {
        "prompt_token_ids": None if seen.prompt_ids is None else list(seen.prompt_ids),
        "completion_token_ids": None if seen.completion_ids is None else list(seen.completion_ids),
        "logprobs": None if seen.logprobs is None else list(seen.logprobs),
        "prompt_tokens": seen.turn.usage.get("prompt_tokens"),
        "completion_tokens": seen.turn.usage.get("completion_tokens"),
    }
    return {key: value for key, value in made.items() if value is not None} or None


def _reward(session: Session) -> float | None:
    """Returns what the strongest label of a session says; None: none, or they disagree."""
    for level in _KINDS_OF_LABEL:
        values = {
            each.value
            for each in session.labels.values()
            if each.evidence == level and each.value is not None
        }
        if values:
            return values.pop() if len(values) == 1 else None
    return None


def _otel(session: Session, line: Line) -> dict[str, Any]:
    """Returns OTLP JSON: a trace with a span for each turn, inside one of the agent. Token ids have
    no place in it."""
    trace, agent = (hashlib.blake2b(line.id.encode(), digest_size=n).hexdigest() for n in (16, 8))
    spans = [{**_span(each, trace, session.id), "parentSpanId": agent} for each in line.turns]
    about = [
        _attribute("gen_ai.operation.name", "invoke_agent"),
        _attribute("gen_ai.provider.name", "assay"),
        _attribute("gen_ai.conversation.id", session.id),
        _attribute("gen_ai.agent.name", session.run or "agent"),
        _attribute(TASK, line.task),
        *([_attribute(SESSION, line.session)] if line.session else []),
    ]
    root = {
        "traceId": trace,
        "spanId": agent,
        "name": f"invoke_agent {session.run or 'agent'}",
        "kind": 1,
        "startTimeUnixNano": spans[0]["startTimeUnixNano"],
        "endTimeUnixNano": spans[-1]["endTimeUnixNano"],
        "attributes": about,
        "events": [_evaluation(each) for each in session.labels.values()] if line.whole else [],
        "status": {},
    }
    resource = {"attributes": [_attribute("service.name", "assay")]}
    scope = {"name": OURS, "version": __version__}
    scoped = {"scope": scope, "spans": [root, *spans]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}


def _evaluation(label: TurnLabel) -> dict[str, Any]:
    """Returns a label as an event; one that cannot be scored has no value."""
    value = label.value
    word = "unscored" if value is None else "pass" if value >= 0.5 else "fail"
    texts = {
        "gen_ai.evaluation.name": label.source,
        "gen_ai.evaluation.score.label": word,
        "gen_ai.evaluation.explanation": label.reason,
        "gen_ai.response.id": label.turn or "",
        EVIDENCE: label.evidence,
    }
    numbers = {
        "gen_ai.evaluation.score.value": value,
        "assay.rho0": label.rho0,
        "assay.rho1": label.rho1,
    }
    attributes = [_attribute(key, text) for key, text in texts.items() if text]
    attributes += [
        {"key": key, "value": {"doubleValue": number}}
        for key, number in numbers.items()
        if number is not None
    ]
    return {"name": EVALUATION, "timeUnixNano": str(int(label.at * 1e9)), "attributes": attributes}


def _hint(hint: TurnHint) -> dict[str, Any]:
    attributes = [_attribute(f"{HINT}.source", hint.source), _attribute(f"{HINT}.text", hint.text)]
    return {"name": HINT, "timeUnixNano": str(int(hint.at * 1e9)), "attributes": attributes}


def _span(seen: Seen, trace: str, session: str) -> dict[str, Any]:
    turn = seen.turn
    end = int(turn.at * 1e9)
    said = [_message(each) for each in seen.messages]
    answer = {**_message(turn.answer), "finish_reason": turn.finish_reason or "error"}
    attributes = [
        _attribute("gen_ai.operation.name", "chat"),
        _attribute("gen_ai.provider.name", "assay"),
        _attribute("gen_ai.conversation.id", session),
        _attribute("gen_ai.request.model", turn.model),
        _attribute("gen_ai.response.model", turn.policy_version or turn.model),
        _attribute("gen_ai.response.id", turn.id),
        _attribute("gen_ai.input.messages", msgspec.json.encode(said).decode()),
        _attribute("gen_ai.output.messages", msgspec.json.encode([answer]).decode()),
    ]
    reasons = {"arrayValue": {"values": [{"stringValue": turn.finish_reason or "error"}]}}
    attributes.append({"key": "gen_ai.response.finish_reasons", "value": reasons})
    for key, name in (("input", "prompt_tokens"), ("output", "completion_tokens")):
        if isinstance(count := turn.usage.get(name), int):
            value = {"intValue": str(count)}
            attributes.append({"key": f"gen_ai.usage.{key}_tokens", "value": value})
    return {
        "traceId": trace,
        "spanId": hashlib.blake2b(turn.id.encode(), digest_size=8).hexdigest(),
        "name": f"chat {turn.model}",
        "kind": 3,
        "startTimeUnixNano": str(end - int((turn.seconds or 0.0) * 1e9)),
        "endTimeUnixNano": str(end),
        "attributes": attributes,
        "events": [*map(_evaluation, seen.labels.values()), *map(_hint, seen.hints)],
        "status": {},
    }


def _attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a message of the chat shape in parts."""
    role, parts = str(message.get("role")), list[dict[str, Any]]()
    text = text_of(message)
    if role == "tool":
        id = message.get("tool_call_id")
        return {
            "role": role,
            "parts": [{"type": "tool_call_response", "id": id, "response": text}],
        }
    if thoughts := message.get("reasoning_content"):
        parts.append({"type": "reasoning", "content": thoughts})
    if text:
        parts.append({"type": "text", "content": text})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        arguments = _arguments(function.get("arguments"))
        name = function.get("name")
        parts.append(
            {"type": "tool_call", "id": call.get("id"), "name": name, "arguments": arguments}
        )
    return {"role": role, "parts": parts}

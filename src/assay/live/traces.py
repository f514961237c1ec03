"""A store's sessions as ATIF documents and as OpenTelemetry spans (GenAI), one a line."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from assay import __version__
from assay.errors import DataError, UsageError
from assay.files.lines import write_rows
from assay.importers.live import lines
from assay.live.sessions import text_of
from assay.live.store import Store
from assay.records.live import Derived
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
        DataError: there is no main turn.
    """
    if to not in KINDS:
        raise UsageError(f"--to {to}: expected {', '.join(KINDS)}, or verifiers")
    sessions = store.sessions()
    made = list(_made(sessions.values(), _atif if to == "atif" else _otel))
    if not made:
        raise DataError(f"{store.path}: no turn of an agent's own in it; nothing to export")
    where = str(path.resolve())
    told = Derived(at=now, path=where, sessions=tuple(sessions), what=f"export to {to}")
    store.append(told, durable=True).result()
    write_rows(path, made)
    return len(made)


def _made(sessions: Any, form: Any) -> Iterator[dict[str, Any]]:
    for session in sessions:
        main = [turn for turn in session.turns if turn.turn.turn_type == "main"]
        for at, line in enumerate(several := lines(main)):
            name = session.id if at == 0 else f"{session.id}#{at}"
            yield form(session, line, name, whole=at == len(several) - 1)


def _atif(session: Session, line: Sequence[Seen], name: str, *, whole: bool) -> dict[str, Any]:
    """Returns one ATIF document; a session's label is `extra.reward`, which the format lacks."""
    steps: list[dict[str, Any]] = []
    ours = {len(each.messages): each for each in line}
    for at, message in enumerate([*line[-1].messages, line[-1].turn.answer]):
        if message.get("role") == "tool" and steps and steps[-1]["source"] == "agent":
            result = {"source_call_id": message.get("tool_call_id"), "content": text_of(message)}
            steps[-1].setdefault("observation", {"results": []})["results"].append(result)
            continue
        steps.append({"step_id": len(steps) + 1, **_step(message, ours.get(at))})
    made: dict[str, Any] = {
        "schema_version": ATIF,
        "session_id": session.id,
        "trajectory_id": name,
        "agent": {
            "name": session.run or "agent",
            "version": line[-1].turn.policy_version or "unknown",
            "model_name": line[-1].turn.model or None,
        },
        "steps": steps,
    }
    reward = _reward(session) if whole else None
    return made if reward is None else {**made, "extra": {"reward": reward}}


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


def _otel(session: Session, line: Sequence[Seen], name: str, *, whole: bool) -> dict[str, Any]:
    """Returns OTLP JSON: a trace with a span for each turn. Token ids have no place in it."""
    del whole
    trace = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    spans = [_span(each, trace, session.id) for each in line]
    resource = {"attributes": [_attribute("service.name", "assay")]}
    scope = {"name": "assay.live", "version": __version__}
    return {
        "resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]
    }


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

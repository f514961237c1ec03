"""Messages of model calls as spans hold them, put into the common chat form.

GenAI writes JSON text (structures on log events) of messages made of parts; OpenInference writes
the request and the response whole, and again as one attribute a field.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from assay.errors import DataError, TornError
from assay.files.strict import parse
from assay.importers.base import Log
from assay.importers.fields import Fields, typed
from assay.importers.messages import as_text
from assay.importers.otel_spans import Span

Message = dict[str, Any]

_INDEXED: Final = re.compile(r"([0-9]{1,6})\.(.+)")
_REDACTED: Final = "__REDACTED__"


@dataclass(frozen=True, slots=True)
class Said:
    """What one model call was sent, and what it answered."""

    inputs: list[Message]
    outputs: list[Message]
    """At most one: others of the same call are counted."""
    finish: str
    """Why it stopped, in the log's own word; "" where it does not say."""


class CutError(Exception):
    """The messages of a span were cut to a length, so they are no JSON any more."""


def said(span: Span, log: Log) -> Said | None:
    """Returns the messages of a model call; None where the span holds none.

    Raises:
        CutError: they are not whole.
        DataError: they are malformed.
    """
    at = span.attributes
    if "gen_ai.input.messages" in at.raw or "gen_ai.output.messages" in at.raw:
        return _genai(at, log)
    if any(key.startswith("llm.") or key == "input.value" for key in at.raw):
        return _openinference(at, log)
    return None


def _loaded(at: Fields, key: str, log: Log) -> Any:
    """Returns the value of an attribute that holds JSON text, or is a structure already."""
    value = at.raw.get(key)
    if not isinstance(value, str):
        return value
    try:
        text = value.encode("utf-8", "surrogatepass")
        return parse(text, f"{at.where}[{key!r}]", nan=log.nan)
    except TornError:
        raise CutError from None


def _genai(at: Fields, log: Log) -> Said:
    messages: dict[str, list[Message]] = {"input": [], "output": []}
    finish = ""
    instructions = _loaded(at, "gen_ai.system_instructions", log)
    if instructions is not None:
        parts = {"role": "system", "parts": instructions}
        messages["input"] += _of_parts(Fields(parts, at.where, at.losses))
    for side, into in messages.items():
        key = f"gen_ai.{side}.messages"
        values = typed(_loaded(at, key, log) or [], list, f"{at.where}[{key!r}]", "messages")
        if side == "output" and len(values) > 1:
            at.lose("choice_not_read", len(values) - 1)
            values = values[:1]
        for index, value in enumerate(values):
            where = f"{at.where}[{key!r}][{index}]"
            message = Fields(value, where, at.losses, "a message object")
            into += _of_parts(message)
            finish = message.text("finish_reason") or finish if side == "output" else finish
    reasons = at.raw.get("gen_ai.response.finish_reasons")
    if not finish and isinstance(reasons, list) and reasons and isinstance(reasons[0], str):
        finish = reasons[0]
    return Said(messages["input"], messages["output"], finish)


def _of_parts(message: Fields) -> Iterator[Message]:
    """Yields a GenAI message in the common form; each result in it is a message of its own."""
    role = message.text("role")
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Message] = []
    results: list[Message] = []
    for part in message.each("parts", "a part object"):
        match kind := part.text("type"):
            case "text":
                texts.append(part.text("content"))
            case "reasoning":
                thoughts.append(part.text("content"))
            case "tool_call":
                function = {"name": part.need("name", str), "arguments": part.raw.get("arguments")}
                calls.append({"id": part.maybe("id", str), "function": function})
            case "tool_call_response":
                content = as_text(part.raw.get("response", part.raw.get("result")))
                results.append(
                    {"role": "tool", "tool_call_id": part.maybe("id", str), "content": content}
                )
            case _:
                part.lose(f"content_part:{kind or 'unnamed'}")
    yield from results
    if texts or thoughts or calls or not results:
        plain = "system" if role in ("system", "developer") else role
        if role == "tool":  # a result that is written as text
            plain = "tool"
        made: Message = {"role": plain, "content": "\n".join(texts)}
        if thoughts:
            made["reasoning_content"] = "\n".join(thoughts)
        if calls:
            made["tool_calls"] = calls
        yield made


def _openinference(at: Fields, log: Log) -> Said | None:
    """Prefers the whole request and response, where they are those of a chat."""
    request, response = _loaded_json(at, "input", log), _loaded_json(at, "output", log)
    inputs = _chat(request.get("messages")) if isinstance(request, dict) else None
    if inputs is None:
        inputs = _flat(at, "llm.input_messages.")
    outputs = finish = None
    if isinstance(response, dict) and isinstance(choices := response.get("choices"), list):
        outputs, finish = _choice(choices, at)
    if outputs is None:
        outputs = _flat(at, "llm.output_messages.")
    if len(outputs) > 1:
        at.lose("choice_not_read", len(outputs) - 1)
    word = finish or at.raw.get("llm.finish_reason")
    if not inputs and not outputs:
        return None
    for message in (*inputs, *outputs):
        if message.get("content") == _REDACTED:
            at.lose("content_redacted")
    return Said(inputs, outputs[:1], word if isinstance(word, str) else "")


def _loaded_json(at: Fields, side: str, log: Log) -> Any:
    """Returns what `input.value` or `output.value` holds where it says that it is JSON.

    Raises:
        CutError: it says so, and is not.
    """
    if at.raw.get(f"{side}.mime_type") != "application/json":
        return None
    return _loaded(at, f"{side}.value", log)


def _chat(values: Any) -> list[Message] | None:
    """Returns chat messages, of which only what the common form has is kept."""
    if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
        return None
    return [_plain(each) for each in values]


_PLAIN: Final = ("role", "content", "tool_call_id", "name", "reasoning_content", "refusal")


def _plain(message: Message) -> Message:
    plain = {key: message[key] for key in _PLAIN if message.get(key) is not None}
    if message.get("tool_calls"):
        plain["tool_calls"] = message["tool_calls"]
    return plain


def _choice(choices: list[Any], at: Fields) -> tuple[list[Message] | None, str | None]:
    """Returns the message of a response's first choice, and why it ended."""
    if not choices or not isinstance(choices[0], dict):
        return None, None
    if len(choices) > 1:
        at.lose("choice_not_read", len(choices) - 1)
    messages = _chat([choices[0].get("message")])
    finish = choices[0].get("finish_reason")
    return messages, finish if isinstance(finish, str) else None


def _flat(at: Fields, prefix: str) -> list[Message]:
    """Returns messages that are written one attribute a field: `PREFIX0.message.role` ..."""
    table: dict[int, Message] = {}
    for key, value in at.raw.items():
        if key.startswith(prefix) and (match := _INDEXED.fullmatch(key[len(prefix) :])):
            table.setdefault(int(match[1]), {})[match[2]] = value
    if table and (lowest := min(table)) > 0:
        at.lose("history_start_evicted", lowest)
    return [_flat_message(table[index], at) for index in sorted(table)]


def _flat_message(fields: Message, at: Fields) -> Message:
    role = fields.get("message.role")
    made: Message = {"role": role if isinstance(role, str) else "user"}
    if not isinstance(role, str):
        at.lose("role_evicted")
    if (content := fields.get("message.content")) is not None:
        made["content"] = content
    else:
        made["content"] = "\n".join(_flat_texts(fields, at))
    for key in ("tool_call_id", "name"):
        if (value := fields.get(f"message.{key}")) is not None:
            made[key] = value
    calls = [
        {
            "id": call.get("tool_call.id"),
            "function": {
                "name": call.get("tool_call.function.name"),
                "arguments": call.get("tool_call.function.arguments", "{}"),
            },
        }
        for call in _numbered(fields, "message.tool_calls.")
    ]
    return {**made, "tool_calls": calls} if calls else made


def _flat_texts(fields: Message, at: Fields) -> Iterator[str]:
    for part in _numbered(fields, "message.contents."):
        if isinstance(text := part.get("message_content.text"), str):
            yield text
        elif (kind := part.get("message_content.type")) is not None:
            at.lose(f"content_part:{kind}")


def _numbered(fields: Message, prefix: str) -> list[Message]:
    """Returns the objects of a list that is written one attribute a field."""
    table: dict[int, Message] = {}
    for key, value in fields.items():
        if key.startswith(prefix) and (match := _INDEXED.fullmatch(key[len(prefix) :])):
            table.setdefault(int(match[1]), {})[match[2]] = value
    return [table[index] for index in sorted(table)]


def form_of(message: Message) -> tuple[Any, ...]:
    """Returns what two copies of one message have in common: role, text, and calls without ids.

    Thoughts are left out: many clients do not send them back.
    """
    calls = message.get("tool_calls")
    return (
        message.get("role"),
        _form(message.get("content") or ""),
        tuple(call_form(call) for call in calls) if isinstance(calls, list) else (),
    )


def _form(value: Any) -> str:
    return value if isinstance(value, str) else as_text(value) or ""


def call_form(call: Any) -> tuple[str, str]:
    """Returns the name of a call and its arguments in one form, where they have it."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return "", _form(call)
    given = given_of(arguments := function.get("arguments"))
    return str(function.get("name")), _form(arguments) if given is None else arguments_form(given)


def given_of(arguments: Any) -> dict[str, Any] | None:
    """Returns arguments, JSON text or an object, without nulls; None where they are no object."""
    if isinstance(arguments, str) and arguments:
        try:
            arguments = parse(arguments.encode("utf-8", "surrogatepass"), "", nan=lambda *_: None)
        except DataError:
            return None
    given = arguments or {}
    if not isinstance(given, dict):
        return None
    return {key: value for key, value in given.items() if value is not None}


def arguments_form(given: dict[str, Any]) -> str:
    """Returns arguments as JSON in one order."""
    return json.dumps(given, sort_keys=True)

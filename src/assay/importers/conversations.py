"""Conversations of tables to steps: OpenAI's messages, ShareGPT's, and those of SWE-agent's sets.

A list of messages, or the same as JSON text. Calls are `tool_calls`, else what is read off the text
(`text_calls`); the user's message after such a call is its result, as these sets write it. Parquet
pads objects with null where another row has a key: nulls are dropped.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from assay.errors import DataError
from assay.files.strict import parse
from assay.importers.base import keys
from assay.importers.blocks import common
from assay.importers.fields import Fields, objects, typed
from assay.importers.messages import MESSAGE, Steps, content_of, model_step
from assay.importers.text_calls import calls_in, has_calls
from assay.records import ModelStep, Step, UserStep

_ROLES = {
    **dict.fromkeys(("assistant", "ai", "gpt", "model", "bot", "chatgpt"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "call"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(
        ("tool", "function", "observation", "tool_response", "function_response", "environment"),
        "tool",
    ),
}
_TEXTS = ("content", "value", "text", "system_prompt")
"""Where the text of a message stands, the first that there is."""
_CALLED = "tool_calls"
_PLAIN = (str, int, float, bool, type(None))
_KNOWN = keys(
    "role from tool_calls tool_call_id tool_call_ids name reasoning_content reasoning refusal"
    " function_call is_error thought action agent message_type mask weight cutoff_date"
)
"""`thought` and `action` are copies of what the text says."""


def steps_in(value: Any, at: Fields, column: str, *, fenced: bool = False) -> tuple[Step, ...]:
    """Returns the steps of a conversation.

    Args:
        value: a list of messages, JSON text of one, or null, which has no steps.
        at: the row.
        column: its name, for errors.
        fenced: fenced blocks are calls, where the conversation has no other ones.

    Raises:
        DataError: it is no conversation; names row, column and message.
    """
    messages = list(_messages(value, at, column))
    if fenced:
        fenced = not any(m.raw.get(_CALLED) or has_calls(_text(m)) for m in messages)
    steps = Steps()
    written = False
    """The calls of the last turn were read off its text."""
    for message in messages:
        role, text = _role(message), _text(message)
        if role == "call":
            steps.act(ModelStep(text=text, calls=calls_in(_tagged(text), message)))
        elif role == "assistant":
            step = model_step(message, text)
            calls = step.calls or calls_in(text, message, fenced=fenced)
            written = bool(calls) and not step.calls
            steps.act(msgspec.structs.replace(step, calls=calls))
        elif role == "user" and written and steps.waiting:
            message.lose("result_from_user_message")
            steps.answer(message, text)
            written = False
        else:
            steps.say(message, text, role)
    return tuple(steps)


def said(value: Any, at: Fields, column: str, *, fenced: bool = False) -> tuple[Step, ...]:
    """Returns the steps of a completion: a conversation, or one text of the policy."""
    if not isinstance(value, str) or _is_list(value):
        return steps_in(value, at, column, fenced=fenced)
    if "<tool_response>" in value:
        at.lose("turns_not_separable")
    return (ModelStep(text=value, calls=calls_in(value, at, fenced=fenced)),)


def asked(value: Any, at: Fields, column: str) -> tuple[Step, ...]:
    """Returns the steps of a prompt: a conversation, or one text of the user. What a model says
    there is not of this trajectory."""
    if isinstance(value, str) and not _is_list(value):
        return (UserStep(text=value),)
    steps = steps_in(value, at, column)
    return tuple(
        msgspec.structs.replace(step, untrainable="copied") if type(step) is ModelStep else step
        for step in steps
    )


def _is_list(text: str) -> bool:
    """Does a text look like JSON of a list of objects?"""
    start = text[:40].lstrip()
    return start.startswith("[") and start[1:].lstrip()[:1] == "{"


def without_nulls(value: Any, where: str) -> Any:
    """Takes the keys that hold null out of a JSON value, and returns it.

    Raises:
        DataError: it holds what Parquet can hold and JSON cannot: bytes, dates, decimals.
    """
    rest = [value]
    while rest:
        one = rest.pop()
        kind = type(one)
        if kind is dict:
            held = one.values()
            if None in held:
                for key in [key for key, inner in one.items() if inner is None]:
                    del one[key]
            rest += [inner for inner in held if type(inner) is not str]
        elif kind is list:
            rest += [inner for inner in one if type(inner) is not str]
        elif kind not in _PLAIN:
            raise DataError(f"{where}: got {kind.__name__}; expected text or messages")
    return value


def _messages(value: Any, at: Fields, column: str) -> Iterator[Fields]:
    """Yields the messages, in the common form."""
    where = f"{at.where}.{column}"
    if isinstance(value, str):
        value = parse(value.encode("utf-8", "surrogatepass"), where) if value.strip() else None
    values = typed(value or [], list, where, "a list of messages, or JSON text of one")
    for message in objects(without_nulls(values, where), where, at.losses, MESSAGE):
        message.lose_unknown(_KNOWN.union(_TEXTS), "message_key")
        raw = message.raw
        if isinstance(raw.get(_CALLED), str):
            text = raw[_CALLED].encode("utf-8", "surrogatepass")
            raw[_CALLED] = parse(text, f"{message.where}.{_CALLED}")
        if isinstance(raw.get(_CALLED), list):
            raw[_CALLED] = [call for call in raw[_CALLED] if call != {}]
        answered = raw.get("tool_call_ids")
        if isinstance(answered, list) and len(answered) == 1 and "tool_call_id" not in raw:
            raw["tool_call_id"] = answered[0]
        yield from common(message)


def _role(message: Fields) -> str:
    role: str = message.need("from" if "from" in message.raw else "role", str)
    return _ROLES.get(role.lower(), role)


def _text(message: Fields) -> str:
    key = next((key for key in _TEXTS if key in message.raw), "content")
    return content_of(message, key)


def _tagged(text: str) -> str:
    """Returns a call that is a message of its own in the form that is read off texts."""
    return text if has_calls(text) else f"<tool_call>{text}</tool_call>"

"""OpenAI-style chat messages to steps: what most formats share.

Calls are paired with results by position inside their turn, and by id only where ids are unique
there: real logs reuse ids (73 times in 200 tau-bench trajectories). A tool result that answers no
call of the agent's is kept as a step and answers nothing.
"""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from assay.errors import DataError
from assay.importers.base import Losses
from assay.records import (
    Call,
    ExpertCall,
    ModelStep,
    Origin,
    Span,
    Step,
    SystemStep,
    ToolStep,
    UserStep,
)

T = TypeVar("T")
MISSING: Any = object()
_MOST = 2**63
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_WORDS: dict[Any, str] = {dict: "object", list: "array"}

_MESSAGE_KEYS = frozenset(
    [
        "role",
        "content",
        "tool_calls",
        "tool_call_id",
        "name",
        "reasoning_content",
        "reasoning",
        "refusal",
        "function_call",
        "is_error",
    ]
)


def typed(value: Any, kind: type[T] | tuple[type[T], ...], where: str, expected: str) -> T:
    """Returns `value` if it is of `kind` (a bool is no number), else one clear DataError."""
    if _fits(value, kind):
        return value
    raise DataError(f"{where}: got {_shown(value)}; expected {expected}")


def _fits(value: Any, kind: Any) -> bool:
    """Is `value` of `kind`? A bool is no number, and an integer is one of 64 bits."""
    if type(value) is bool:
        return kind is bool or bool in _kinds(kind)
    return isinstance(value, kind) and (type(value) is not int or -_MOST <= value < _MOST)


def _kinds(kind: Any) -> tuple[Any, ...]:
    return kind if isinstance(kind, tuple) else (kind,)


def _shown(value: Any) -> str:
    """Returns one short line for a value of any size and depth."""
    match value:
        case dict():
            return f"an object of {len(value)} keys"
        case list():
            return f"an array of {len(value)} elements"
        case str():
            cut = value if len(value) <= 40 else value[:37] + "..."
            return f"str {json.dumps(cut)}"
        case int() if not -_MOST < value < _MOST:
            return "an integer beyond 64 bits"
        case _:
            return f"{type(value).__name__} {json.dumps(value)}"


def take(record: dict[str, Any], key: str, kind: Any, where: str, *, default: Any = MISSING) -> Any:
    """Returns `record[key]`, checked; `default` where the key is missing or null."""
    value = record.get(key)
    if value is None:
        if default is not MISSING:
            return default
        raise DataError(f"{where}.{key}: missing; expected {_names(kind)}")
    if _fits(value, kind):
        return value
    raise DataError(f"{where}.{key}: got {_shown(value)}; expected {_names(kind)}")


def _names(kind: Any) -> str:
    return " or ".join(_WORDS.get(k, str(k.__name__)) for k in _kinds(kind))


def number(record: dict[str, Any], key: str, where: str) -> float | None:
    """Returns a finite number or None; a bool is not a number, a string is not either."""
    value = take(record, key, (int, float), where, default=None)
    return None if value is None else float(value)


def steps_of(messages: Sequence[Any], where: str, losses: Losses) -> tuple[Step, ...]:
    """Returns the steps of a list of chat messages, in order.

    Args:
        messages: objects with `role` and `content`; assistant ones may have `tool_calls`.
        where: names the list in errors, for example "log.jsonl line 3.messages".
        losses: counts parts that are not text, unknown keys and unpaired results.

    Raises:
        DataError: a message is no object, has no known role, or a call has no name.
    """
    steps: list[Step] = []
    open_calls: list[tuple[int, int, str | None]] = []  # (step, call, id) not answered yet
    for index, message in enumerate(messages):
        here = f"{where}[{index}]"
        message = typed(message, dict, here, "a message object")
        role = take(message, "role", str, here)
        count_keys(message, _MESSAGE_KEYS, here, losses, kind="message_key")
        text = content_text(message.get("content"), f"{here}.content", losses)
        name = take(message, "name", str, here, default="")
        match role:
            case "assistant" | "model":
                step = model_step(message, text, here, losses)
                open_calls = [(len(steps), c, call.id) for c, call in enumerate(step.calls)]
                steps.append(step)
            case "tool" | "function":
                call_id = take(message, "tool_call_id", str, here, default=None)
                answered = pair(open_calls, call_id)
                if answered is None:
                    losses.add("result_of_no_call", here)
                error = take(message, "is_error", bool, here, default=None)
                steps.append(ToolStep(text=text, name=name, call=answered, error=error))
            case "user" | "human":
                steps.append(UserStep(text=text, name=name))
            case "system" | "developer":
                steps.append(SystemStep(text=text))
            case _:
                raise DataError(
                    f"{here}.role: got {_shown(role)}; expected system, user, assistant or tool"
                )
    return tuple(steps)


def pair(
    open_calls: list[tuple[int, int, str | None]], call_id: str | None
) -> tuple[int, int] | None:
    """Takes the call that a result answers off the open ones: by unique id, else the first.

    Args:
        open_calls: (step, call, id) of the calls of this turn that nothing has answered yet.
        call_id: the id that the result names. None: it names none.

    Returns:
        (step, call), or None where no call is open.
    """
    if not open_calls:
        return None
    by_id = [i for i, (_, _, known) in enumerate(open_calls) if known == call_id]
    step, call, _ = open_calls.pop(by_id[0] if call_id is not None and len(by_id) == 1 else 0)
    return step, call


def model_step(message: dict[str, Any], text: str, where: str, losses: Losses) -> ModelStep:
    """Returns the model step of one assistant message; reasoning comes first, as a `think` span."""
    thought = take(message, "reasoning_content", str, where, default=None) or take(
        message, "reasoning", str, where, default=None
    )
    spans: tuple[Span, ...] = ()
    if thought:
        spans = (Span(role="think", start=0, end=len(thought)),)
        text = thought + text
    text += take(message, "refusal", str, where, default="")
    raw = take(message, "tool_calls", list, where, default=[])
    legacy = take(message, "function_call", dict, where, default=None)
    calls = [call_of(c, f"{where}.tool_calls[{i}]", losses) for i, c in enumerate(raw)]
    if legacy is not None:
        calls.append(call_of({"function": legacy}, f"{where}.function_call", losses))
    return ModelStep(text=text, calls=tuple(calls), spans=spans)


def call_of(call: Any, where: str, losses: Losses) -> Call:
    """Returns one tool call; `arguments` may be JSON text (OpenAI) or an object (others)."""
    call = typed(call, dict, where, "a tool call object")
    function = take(call, "function", dict, where, default=call)
    name = take(function, "name", str, where)
    call_id = take(call, "id", str, where, default=None)
    return Call(name=name, arguments=arguments_text(function.get("arguments")), id=call_id)


def arguments_text(arguments: Any) -> str:
    """Returns call arguments as JSON text: strings as they are, objects serialised, none as {}."""
    if isinstance(arguments, str):
        return arguments
    return "{}" if arguments is None else _ENCODER.encode(arguments)


def command_text(command: str) -> str:
    """Returns the arguments of a shell-like tool: `{"command": ...}` as JSON text."""
    return f'{{"command": {_ENCODER.encode(command)}}}'


def content_text(content: Any, where: str, losses: Losses) -> str:
    """Returns the text of a message's content: a string, null, or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts: list[str] = []
    for index, part in enumerate(typed(content, list, where, "text, null or a list of parts")):
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            parts.append(part["text"])
        else:
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            losses.add(f"content_part:{kind}", f"{where}[{index}]")
    return "\n".join(parts)


def count_keys(
    record: dict[str, Any], known: Collection[str], where: str, losses: Losses, *, kind: str = "key"
) -> None:
    """Counts a loss `kind:KEY` for each key outside `known` that holds anything."""
    for key in sorted(record.keys() - known):
        if record[key] not in (None, "", [], {}):
            losses.add(f"{kind}:{key}", where)


def origin(name: str, path: Path, index: int, **extra: str | int | None) -> Origin:
    """Returns where a record came from; `extra` without its None values."""
    return Origin(
        format=name,
        path=os.fsencode(path.name).decode("utf-8", "backslashreplace"),
        index=index,
        extra={key: str(value) for key, value in extra.items() if value is not None},
    )


def experts_of(actions: Iterable[Any], where: str) -> tuple[ExpertCall, ...]:
    """Returns the expert actions of a task: objects with `name` and `arguments` or `kwargs`."""
    experts: list[ExpertCall] = []
    for index, action in enumerate(actions):
        here = f"{where}[{index}]"
        action = typed(action, dict, here, "an expert action object")
        arguments = action.get("arguments", action.get("kwargs"))
        experts.append(
            ExpertCall(name=take(action, "name", str, here), arguments=arguments_text(arguments))
        )
    return tuple(experts)

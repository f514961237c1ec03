"""OpenAI-style chat messages to steps: what most formats share.

A result is paired with a call by id, else by name, else by position inside the turn, never by
force. Real logs reuse ids (73 times in 200 tau-bench trajectories), so the last turn's calls come
first; a result with an id of its own may come later than the next turn. What answers no call of
the agent's is kept as a step and answers nothing.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from assay.importers.base import keys
from assay.importers.fields import Fields, Losses, objects, shown, typed
from assay.records import Call, ExpertCall, ModelStep, Span, Step, SystemStep, ToolStep, UserStep

_ENCODER = json.JSONEncoder(ensure_ascii=False)
_MESSAGE = keys(
    "role content tool_calls tool_call_id name reasoning_content reasoning refusal function_call"
    " is_error"
)
MESSAGE = "a message object"


class Open(NamedTuple):
    """A call that nothing has answered yet."""

    step: int
    call: int
    id: str | None
    name: str


class Steps(list[Step]):
    """Steps in the making, and the calls that nothing has answered yet."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        super().__init__(steps)
        self.open: list[Open] = []
        """Those of the last turn."""
        self._late: dict[str, list[Open]] = {}
        """Those of earlier turns, by id."""

    def act(self, step: ModelStep) -> None:
        """Adds a model's turn: results without an id of their own answer its calls alone."""
        for call in self.open:
            if call.id is not None:
                self._late.setdefault(call.id, []).append(call)
        self.open = [Open(len(self), c, call.id, call.name) for c, call in enumerate(step.calls)]
        self.append(step)

    def pair(self, call_id: str | None, name: str = "") -> Open | None:
        """Takes the call that a result answers off the open ones. None: there is none.

        It is the one with the result's id, of the last turn or else the only one there is;
        without ids the first of the last turn with its name; without names the first.
        """
        open = self.open
        if call_id is not None:
            if same := [call for call in open if call.id == call_id]:
                found = next((call for call in same if call.name == name), same[0])
            elif len(self._late.get(call_id, ())) == 1:
                return self._late.pop(call_id)[0]
            else:
                found = next((c for c in open if c.id is None and name in ("", c.name)), None)
        else:
            found = next((call for call in open if name in ("", call.name)), None)
        if found is not None:
            open.remove(found)
        return found

    def answer(
        self,
        at: Fields,
        text: str,
        call_id: str | None = None,
        *,
        name: str = "",
        error: bool | None = None,
    ) -> None:
        """Adds a tool's result, with the call that it answers, whose name it takes if it has none;
        one that answers no call is counted."""
        answered = self.pair(call_id, name)
        if answered is None:
            at.lose("result_of_no_call")
            self.append(ToolStep(text=text, name=name, error=error))
        else:
            call = answered.step, answered.call
            self.append(ToolStep(text=text, name=name or answered.name, call=call, error=error))

    def say(self, message: Fields, text: str, role: str) -> None:
        """Adds one chat message of any role."""
        name = message.text("name")
        match role:
            case "assistant" | "model":
                self.act(model_step(message, text))
            case "tool" | "function":
                call_id, error = message.maybe("tool_call_id", str), message.maybe("is_error", bool)
                self.answer(message, text, call_id, name=name, error=error)
            case "user" | "human":
                self.append(UserStep(text=text, name=name))
            case "system" | "developer":
                self.append(SystemStep(text=text))
            case _:
                raise message.wrong("role", shown(role), "system, user, assistant or tool")


def steps_of(messages: Iterable[Fields]) -> tuple[Step, ...]:
    """Returns the steps of chat messages, one for each, in order.

    Args:
        messages: objects with `role` and `content`; assistant ones may have `tool_calls`.

    Raises:
        DataError: a message has no known role, or a call has no name.
    """
    steps = Steps()
    for message in messages:
        role = message.need("role", str)
        message.lose_unknown(_MESSAGE, "message_key")
        steps.say(message, content_of(message), role)
    return tuple(steps)


def chat(values: Iterable[Any], where: str, losses: Losses) -> tuple[Step, ...]:
    """Returns the steps of messages that an importer put into the common form."""
    return steps_of(objects(values, where, losses, MESSAGE))


def copied(step: Step) -> Step:
    """Returns a step of a prompt: what a model says there was not sampled for this trajectory."""
    return msgspec.structs.replace(step, untrainable="copied") if type(step) is ModelStep else step


def model_step(message: Fields, text: str) -> ModelStep:
    """Returns the model step of one assistant message; reasoning comes first, as a `think` span."""
    thought = message.text("reasoning_content") or message.text("reasoning")
    spans = (Span(role="think", start=0, end=len(thought)),) if thought else ()
    text = thought + text + message.text("refusal")
    calls = [call_of(call) for call in message.each("tool_calls", "a tool call object")]
    if (legacy := message.maybe("function_call", dict)) is not None:
        where = f"{message.where}.function_call"
        calls.append(call_of(Fields({"function": legacy}, where, message.losses)))
    return ModelStep(text=text, calls=tuple(calls), spans=spans)


def call_of(call: Fields) -> Call:
    """Returns one tool call; `arguments` may be JSON text (OpenAI) or an object (others)."""
    function = call.maybe("function", dict)
    inner = call if function is None else Fields(function, call.where, call.losses)
    name, arguments = inner.need("name", str), arguments_text(inner.raw.get("arguments"))
    return Call(name=name, arguments=arguments, id=call.maybe("id", str))


def arguments_text(arguments: Any) -> str:
    """Returns call arguments as JSON text: strings as they are, objects serialised, none as {}."""
    if isinstance(arguments, str):
        return arguments
    return "{}" if arguments is None else _ENCODER.encode(arguments)


def command_text(command: str) -> str:
    """Returns the arguments of a shell-like tool: `{"command": ...}` as JSON text."""
    return f'{{"command": {_ENCODER.encode(command)}}}'


def as_text(value: Any) -> str | None:
    """Returns a value as text: text as it is, null as None, the rest as JSON."""
    return value if value is None or isinstance(value, str) else _ENCODER.encode(value)


def content_of(message: Fields, key: str = "content") -> str:
    """Returns the text of a message's content: a string, null, or a list of parts."""
    content = message.raw.get(key)
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    where = f"{message.where}.{key}"
    parts: list[str] = []
    for index, part in enumerate(typed(content, list, where, "text, null or a list of parts")):
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            parts.append(part["text"])
        else:
            kind = part.get("type") if isinstance(part, dict) else type(part).__name__
            message.losses.add(f"content_part:{kind}", f"{where}[{index}]")
    return "\n".join(parts)


def experts_of(actions: Iterable[Fields]) -> tuple[ExpertCall, ...]:
    """Returns the expert actions of a task: objects with `name` and `arguments` or `kwargs`."""
    return tuple(
        ExpertCall(
            name=action.need("name", str),
            arguments=arguments_text(action.raw.get("arguments", action.raw.get("kwargs"))),
        )
        for action in actions
    )


def experts_in(record: Fields, key: str) -> tuple[ExpertCall, ...] | None:
    """Returns the expert actions under a key; None where it is missing."""
    actions = record.each(key, "an expert action object")
    return None if record.raw.get(key) is None else experts_of(actions)

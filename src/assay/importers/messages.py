"""Chat messages to steps, in OpenAI's form or Anthropic's: what most formats share.

A result is paired with a call by id, else by name, else by position inside the turn, never by
force. Real logs reuse ids (73 times in 200 tau-bench trajectories), so the last turn's calls come
first; a result with an id of its own may come later than the next turn. What answers no call of
the agent's is kept as a step and answers nothing.
"""

import json
from collections import deque
from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from assay.importers.base import keys
from assay.importers.blocks import common
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


class _Loose(NamedTuple):
    """A result that names no call by id."""

    at: Fields
    place: int
    """Of the result among the steps."""
    name: str
    foreign: bool
    """It has an id that no call has: it may answer a call without one."""


class Steps(list[Step]):
    """Steps in the making. Results that name no call by id are paired when the turn is over: when
    the next one begins, or when somebody goes through the steps."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        super().__init__(steps)
        self._open: dict[tuple[int, int], Open] = {}
        """Calls of the last turn that no result names."""
        self._named: dict[str, deque[Open]] = {}
        """The same by id."""
        self._late: dict[str, list[Open]] = {}
        """Those of earlier turns, by id."""
        self._loose: list[_Loose] = []
        """Results that came after the last turn."""

    @property
    def waiting(self) -> bool:
        """Does a call of the last turn wait for its result?"""
        return len(self._open) > len(self._loose)

    def __iter__(self) -> Iterator[Step]:
        """Yields the steps, with every result paired."""
        self._settle()
        return super().__iter__()

    def act(self, step: ModelStep) -> None:
        """Adds a model's turn: results without an id of their own answer its calls alone."""
        self._settle()
        for call in self._open.values():
            if call.id is not None:
                self._late.setdefault(call.id, []).append(call)
        calls = [Open(len(self), c, call.id, call.name) for c, call in enumerate(step.calls)]
        self._open, self._named = {(call.step, call.call): call for call in calls}, {}
        for call in calls:
            if call.id is not None:
                self._named.setdefault(call.id, deque()).append(call)
        self.append(step)

    def _settle(self) -> None:
        """Pairs the results that name no call by id: by name, then what is left by position."""
        queues: dict[tuple[str, bool], deque[Open]] = {}
        for call in self._open.values() if self._loose else ():
            for name in {call.name, ""}:
                for foreign in {False, call.id is None}:
                    queues.setdefault((name, foreign), deque()).append(call)
        for loose in sorted(self._loose, key=lambda one: not one.name):
            queue = queues.get((loose.name, loose.foreign), deque())
            while queue and queue[0][:2] not in self._open:
                queue.popleft()
            if not queue:
                loose.at.lose("result_of_no_call")
                continue
            call, result = queue[0], self[loose.place]
            self._take(call)
            self[loose.place] = msgspec.structs.replace(
                result, name=loose.name or call.name, call=(call.step, call.call)
            )
        self._loose = []

    def _take(self, call: Open) -> None:
        """Takes a call of the last turn off those that are open."""
        del self._open[call.step, call.call]
        if call.id is not None:
            self._named[call.id].remove(call)

    def _by_id(self, call_id: str, name: str) -> Open | None:
        """Takes the call that has an id: of the last turn, or the only one before that has it. Of
        calls that share it, one of the result's name."""
        same, late = self._named.get(call_id, ()), self._late.get(call_id, [])
        alike = [call for call in late if call.name == name] if name else []
        found = next((call for call in same if call.name == name), None)
        if found is None and len(alike) != 1 and same:
            found = same[0]
        if found is not None:
            self._take(found)
            return found
        if len(alike or late) != 1:
            return None
        found = (alike or late)[0]
        late.remove(found)
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
        """Adds a tool's result. It answers the call that has its id; else, when its turn is over,
        the first call left that has its name, or without a name the first. It takes the name of its
        call if it has none; one that answers no call is counted."""
        found = None if call_id is None else self._by_id(call_id, name)
        if found is None:
            self._loose.append(_Loose(at, len(self), name, call_id is not None))
            self.append(ToolStep(text=text, name=name, error=error))
        else:
            call = found.step, found.call
            self.append(ToolStep(text=text, name=name or found.name, call=call, error=error))

    def fill(
        self, place: tuple[int, int], text: str, *, name: str = "", error: bool | None = None
    ) -> None:
        """Adds the result of the call at a place: the log itself says which."""
        made = self[place[0]].calls[place[1]]  # pyright: ignore[reportAttributeAccessIssue]
        call = Open(*place, made.id, made.name)
        if place in self._open:
            self._take(call)
        elif call.id is not None and call in self._late.get(call.id, ()):
            self._late[call.id].remove(call)
        self.append(ToolStep(text=text, name=name or call.name, call=place, error=error))

    def say(self, message: Fields, text: str, role: str) -> None:
        """Adds one chat message of any role."""
        name = message.text("name")
        match role:
            case "assistant" | "model":
                self.act(model_step(message, text))
            case "tool" | "function":
                call_id, error = message.maybe_name("tool_call_id"), message.maybe("is_error", bool)
                self.answer(message, text, call_id, name=name, error=error)
            case "user" | "human":
                self.append(UserStep(text=text, name=name))
            case "system" | "developer":
                self.append(SystemStep(text=text))
            case _:
                raise message.wrong("role", shown(role), "system, user, assistant or tool")


def steps_of(messages: Iterable[Fields]) -> tuple[Step, ...]:
    """Returns the steps of chat messages in order: one for each, and one for each result where
    a message of Anthropic's holds several (`blocks.common`).

    Args:
        messages: objects with `role` and `content`; assistant ones may have `tool_calls`.

    Raises:
        DataError: a message has no known role, or a call has no name.
    """
    steps = Steps()
    for whole in messages:
        whole.lose_unknown(_MESSAGE, "message_key")
        for message in common(whole):
            role = message.need("role", str)
            text = content_of(message, result=role in ("tool", "function"))
            steps.say(message, text, role)
    return tuple(steps)


def chat(values: Iterable[Any], where: str, losses: Losses) -> tuple[Step, ...]:
    """Returns the steps of messages that an importer put into the common form."""
    return steps_of(objects(values, where, losses, MESSAGE))


def unfolded(
    values: Iterable[Any], where: str, losses: Losses
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields messages of which `chat` makes one step each, with the place of the whole message."""
    for place, whole in enumerate(objects(values, where, losses, MESSAGE)):
        for message in common(whole):
            yield place, message.raw


def copied(step: Step) -> Step:
    """Returns a step of a prompt: what a model says there was not sampled for this trajectory."""
    return msgspec.structs.replace(step, untrainable="copied") if type(step) is ModelStep else step


def partly_copied(messages: list[Any], copies: Container[int], at: Fields) -> tuple[Step, ...]:
    """Returns the steps of messages, of which those at some places are of a prompt: what a model
    says there was not sampled for this trajectory."""
    told = list(unfolded(messages, f"{at.where}.messages", at.losses))
    steps = chat((message for _, message in told), f"{at.where}.messages", at.losses)
    pairs = zip(told, steps, strict=True)
    return tuple(copied(step) if place in copies else step for (place, _), step in pairs)


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
    given = inner.raw.get("arguments", inner.raw.get("args"))  # as LangChain names them
    name, arguments = inner.need("name", str), arguments_text(given)
    return Call(name=name, arguments=arguments, id=call.maybe_name("id"))


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


def content_of(message: Fields, key: str = "content", *, result: bool = False) -> str:
    """Returns the text of a message's content: a string, null, or a list of parts; of the result
    of a tool it may be any value, kept as JSON."""
    content = message.raw.get(key)
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if result and not isinstance(content, list):
        return _ENCODER.encode(content)
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

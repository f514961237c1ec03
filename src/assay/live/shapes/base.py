"""What a shape must do."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, cast, runtime_checkable

import msgspec

from assay.errors import UsageError
from assay.live.answers import Answer
from assay.live.engines import objects

Body = dict[str, Any]
SAME: Final = ("model", "temperature", "top_p", "stream", "seed", "user")
"""Keys that mean the same in every shape."""


@runtime_checkable
class Stream(Protocol):
    """An answer as a client's stream of events, made while the engine's comes in."""

    def begin(self) -> bytes:
        """Returns what comes before the model says anything."""
        ...

    def more(self, chunk: Mapping[str, Any]) -> bytes:
        """Returns what a piece of the engine's stream becomes."""
        ...

    def end(self, answer: Answer) -> bytes:
        """Returns what comes last; it is sent once the turn is on the disk."""
        ...


@runtime_checkable
class Shape(Protocol):
    """One API."""

    @property
    def name(self) -> str:
        """What turns call it."""
        ...

    def request(self, body: Body) -> Body:
        """Returns a client's request in the chat shape.

        Raises:
            UsageError: it is none, or asks for what no engine is asked for.
        """
        ...

    def answer(self, answer: Answer, request: Body, *, id: str, now: float) -> Body:
        """Returns an answer as the client expects it.

        Args:
            answer: the model's.
            request: in the chat shape.
            id: of the turn.
            now: seconds since 1970.
        """
        ...

    def stream(self, request: Body, *, id: str, now: float) -> Stream | None:
        """Returns what makes the client's stream; None: the engine's passes as it is."""
        ...

    def error(self, status: int, message: str) -> Body:
        """Returns a refusal as the client's library reads it."""
        ...


def event(name: str | None, data: Mapping[str, Any]) -> bytes:
    """Returns one server-sent event."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"


def items(body: Mapping[str, Any], key: str) -> Sequence[Body]:
    """Returns the objects of a list of a request.

    Raises:
        UsageError: it is no list of objects.
    """
    found = body.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UsageError(f"{key}: expected a list of objects")
    return cast("list[Body]", found)


def delta_of(chunk: Mapping[str, Any]) -> Body:
    """Returns what the first choice of a piece of a stream adds."""
    for choice in objects(chunk.get("choices")):
        if not choice.get("index"):
            delta = choice.get("delta")
            return cast("Body", delta) if isinstance(delta, dict) else {}
    return {}


def pieces_of(delta: Mapping[str, Any]) -> list[tuple[int, Body]]:
    """Returns the pieces of tool calls in a delta, each with its call's place."""
    found: list[tuple[int, Body]] = []
    for place, call in enumerate(objects(delta.get("tool_calls"))):
        at = call.get("index")
        if not isinstance(call.get("function"), dict):
            call = {**call, "function": {}}
        found.append((at if isinstance(at, int) else place, call))
    return found


def tokens(answer: Answer) -> tuple[int, int]:
    """Returns how many tokens were read and written, as far as anybody says."""
    sampled, usage = answer.sampled, answer.usage
    read, wrote = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (
        read if isinstance(read, int) else len(sampled.prompt_ids or ()),
        wrote if isinstance(wrote, int) else len(sampled.ids or ()),
    )

"""An answer in the chat shape, put together aside while its bytes pass by: text, thoughts, tool
calls, usage and what was sampled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast, final

import msgspec

from assay.live.engines import Sampled, objects

DONE: Final = b"data: [DONE]"
_decode = msgspec.json.Decoder().decode


@final
class Lines:
    """Events of a stream of server-sent events, cut where they end, whatever pieces they come in.

    The end mark is kept back until `rest` is asked for, so that it can wait for the disk.
    """

    def __init__(self, most: int) -> None:
        self._most, self._left, self.done = most, b"", False
        self._held, self._size = b"", 0

    def feed(self, data: bytes) -> tuple[bytes, list[bytes]]:
        """Returns what may pass on of some bytes, and the data of the events that ended in them.

        Raises:
            ValueError: the stream is longer than it may be.
        """
        whole = self._held + data
        self._held, passed = b"", whole
        if self.done:
            self._held, passed = whole, b""
        elif (at := _mark(whole)) >= 0:
            passed, self._held = whole[:at], whole[at:]
            self.done = whole.startswith(DONE, at)
        lines = (self._left + passed).split(b"\n")
        self._left = lines.pop()
        self._size += len(data)
        if self._size > self._most:
            raise ValueError(f"more than {self._most:,} bytes")
        return passed, [line[5:].strip() for line in lines if line.startswith(b"data:")]

    def rest(self) -> bytes:
        """Returns what was kept back."""
        held, self._held = self._held, b""
        return held


def _mark(data: bytes) -> int:
    """Returns where the end mark begins, or may begin at the end of the data; else -1."""
    at = data.find(DONE)
    if at >= 0 and (at == 0 or data[at - 1 : at] == b"\n"):
        return at
    last = data.rfind(b"\n") + 1
    tail = data[last:]
    return last if tail and DONE.startswith(tail) else -1


@final
@dataclass(slots=True)
class Answer:
    """What the model said, until now."""

    text: str = ""
    thoughts: str = ""
    calls: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    model: str = ""
    id: str = ""
    sampled: Sampled = field(default_factory=Sampled)
    broken: str = ""
    """Why it is not whole; empty: it is, as far as it came."""
    others: bool = False
    """There were more answers than one."""

    def chunk(self, data: bytes) -> dict[str, Any] | None:
        """Takes the data of one event; returns it decoded, None where it is no object."""
        if data == b"[DONE]":
            return None
        try:
            made = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.broken = self.broken or "unreadable_answer"
            return None
        if not isinstance(made, dict):
            return None
        found = cast("dict[str, Any]", made)
        self._top(found, "delta")
        return found

    def whole(self, made: Mapping[str, Any]) -> None:
        """Takes an answer that came in one piece."""
        self._top(made, "message")

    def _top(self, made: Mapping[str, Any], part: str) -> None:
        if made.get("error") is not None and not made.get("choices"):
            self.broken = "upstream_error"
        self.model = str(made.get("model") or self.model)
        self.id = str(made.get("id") or self.id)
        if isinstance(usage := made.get("usage"), dict):
            self.usage = usage
        choices = objects(made.get("choices"))
        for choice in choices:
            if choice.get("index"):
                self.others = True
            else:
                self._choice(made, choice, part)
        if not choices and made.get("prompt_token_ids"):
            self.sampled.take(made, {})

    def _choice(self, top: Mapping[str, Any], choice: Mapping[str, Any], part: str) -> None:
        said = choice.get(part)
        said = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        self.text += _text(said.get("content"))
        self.thoughts += _text(said.get("reasoning_content") or said.get("reasoning"))
        for at, call in enumerate(objects(said.get("tool_calls"))):
            self._call(call, at)
        if isinstance(reason := choice.get("finish_reason"), str):
            self.finish_reason = reason
        self.sampled.take(top, choice)

    def _call(self, piece: Mapping[str, Any], place: int) -> None:
        """Adds a piece of a call: its name and id come once, its arguments in parts."""
        at = piece.get("index")
        at = at if isinstance(at, int) else place
        call = self.calls.setdefault(at, {"id": "", "name": "", "arguments": ""})
        function = piece.get("function")
        function = cast("dict[str, Any]", function) if isinstance(function, dict) else {}
        call["id"] = _text(piece.get("id")) or call["id"]
        call["name"] += _text(function.get("name")) if not call["name"] else ""
        call["arguments"] += _text(function.get("arguments"))

    def message(self) -> dict[str, Any]:
        """Returns the assistant's message, in the chat shape."""
        made: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.thoughts:
            made["reasoning_content"] = self.thoughts
        if self.calls:
            made["tool_calls"] = [
                {
                    "id": call["id"] or f"call_{at}",
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for at, call in sorted(self.calls.items())
            ]
        return made


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

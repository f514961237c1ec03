"""Anthropic's messages."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast, final

import msgspec

from assay.errors import UsageError
from assay.live.answers import Answer
from assay.live.sessions import text_of
from assay.live.shapes.base import SAME, Body, Stream, delta_of, event, items, pieces_of, tokens

_STOPS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_ERRORS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}


@final
class Messages:
    """`POST /v1/messages`."""

    name = "messages"

    def request(self, body: Body) -> Body:
        """Returns the request in the chat shape. Thoughts that are sent back are left out."""
        made: Body = {key: body[key] for key in SAME if key in body}
        made["messages"] = [*_system(body), *_conversation(body)]
        made |= {key: body[key] for key in ("top_k", "max_tokens") if key in body}
        if body.get("stop_sequences"):
            made["stop"] = body["stop_sequences"]
        if body.get("tools"):
            made["tools"] = [_tool(each) for each in items(body, "tools")]
        if isinstance(choice := body.get("tool_choice"), dict):
            made["tool_choice"] = _choice(cast("Body", choice))
        if made.get("stream"):
            made["stream_options"] = {"include_usage": True}
        return made

    def answer(self, answer: Answer, request: Body, *, id: str, now: float) -> Body:
        """Returns a message."""
        del now
        content: list[Body] = []
        if answer.text or not answer.calls:
            content.append({"type": "text", "text": answer.text})
        for call in answer.message().get("tool_calls", ()):
            name, text = call["function"]["name"], call["function"]["arguments"]
            content.append(
                {"type": "tool_use", "id": call["id"], "name": name, "input": _input(text)}
            )
        read, wrote = tokens(answer)
        return {
            **_head(answer.model, request, id),
            "content": content,
            "stop_reason": _stop(answer),
            "usage": {"input_tokens": read, "output_tokens": wrote},
        }

    def stream(self, request: Body, *, id: str, now: float) -> Stream | None:
        """Returns what makes a message's events."""
        del now
        return _Events(request, id)

    def error(self, status: int, message: str) -> Body:
        """Returns Anthropic's form of an error."""
        return {
            "type": "error",
            "error": {"type": _ERRORS.get(status, "api_error"), "message": message},
        }


@final
class _Events:
    """A message's blocks, opened and closed as pieces come."""

    def __init__(self, request: Body, id: str) -> None:
        self._request, self._id = request, id
        self._count, self._open = 0, ""

    def begin(self) -> bytes:
        empty = {
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        head = {**_head("", self._request, self._id), **empty}
        return event("message_start", {"type": "message_start", "message": head})

    def more(self, chunk: Mapping[str, Any]) -> bytes:
        delta, made = delta_of(chunk), b""
        if isinstance(text := delta.get("content"), str) and text:
            made += self._block("text", {"type": "text", "text": ""})
            made += self._delta({"type": "text_delta", "text": text})
        for at, piece in pieces_of(delta):
            function = piece.get("function") or {}
            block = {
                "type": "tool_use",
                "id": piece.get("id") or f"call_{at}",
                "name": function.get("name") or "",
                "input": {},
            }
            made += self._block(f"call {at}", block)
            if part := function.get("arguments"):
                made += self._delta({"type": "input_json_delta", "partial_json": part})
        return made

    def _block(self, name: str, block: Body) -> bytes:
        """Returns what opens a block, unless it is open; the one before it is closed."""
        if self._open == name:
            return b""
        made = self._closed()
        self._open = name
        data = {"type": "content_block_start", "index": self._count, "content_block": block}
        return made + event("content_block_start", data)

    def _delta(self, delta: Body) -> bytes:
        data = {"type": "content_block_delta", "index": self._count, "delta": delta}
        return event("content_block_delta", data)

    def _closed(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        self._count += 1
        data = {"type": "content_block_stop", "index": self._count - 1}
        return event("content_block_stop", data)

    def end(self, answer: Answer) -> bytes:
        read, wrote = tokens(answer)
        data = {
            "type": "message_delta",
            "delta": {"stop_reason": _stop(answer), "stop_sequence": None},
            "usage": {"input_tokens": read, "output_tokens": wrote},
        }
        last = event("message_stop", {"type": "message_stop"})
        return self._closed() + event("message_delta", data) + last


def _head(model: str, request: Body, id: str) -> Body:
    return {
        "id": f"msg_{id}",
        "type": "message",
        "role": "assistant",
        "model": model or str(request.get("model", "")),
        "stop_sequence": None,
    }


def _stop(answer: Answer) -> str:
    if answer.calls:
        return "tool_use"
    return _STOPS.get(answer.finish_reason or "stop", "end_turn")


def _system(body: Body) -> list[Body]:
    system = body.get("system")
    if not system:
        return []
    if isinstance(system, str):
        return [{"role": "system", "content": system}]
    return [{"role": "system", "content": _joined(items(body, "system"))}]


def _conversation(body: Body) -> Iterator[Body]:
    for message in items(body, "messages"):
        role, content = message.get("role"), message.get("content")
        if role not in ("user", "assistant", "system"):
            raise UsageError(f"messages: role {str(role)[:40]!r}; expected user or assistant")
        if isinstance(content, str):
            yield {"role": role, "content": content}
        elif role == "assistant":
            yield _said(items(message, "content"))
        else:
            yield from _heard(str(role), items(message, "content"))


def _said(blocks: "list[Body] | Any") -> Body:
    made: Body = {"role": "assistant", "content": _joined(blocks)}
    calls = [
        {
            "id": str(block.get("id", "")),
            "type": "function",
            "function": {
                "name": str(block.get("name", "")),
                "arguments": msgspec.json.encode(block.get("input") or {}).decode(),
            },
        }
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    return {**made, "tool_calls": calls} if calls else made


def _heard(role: str, blocks: "list[Body] | Any") -> Iterator[Body]:
    """Yields the results of tools, each as a message, and then what the user says."""
    rest: list[Body] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            content = block.get("content")
            text = content if isinstance(content, str) else _joined(content or [])
            yield {
                "role": "tool",
                "tool_call_id": str(block.get("tool_use_id", "")),
                "content": f"error: {text}" if block.get("is_error") else text,
            }
        elif block.get("type") == "image":
            rest.append(_image(block))
        elif isinstance(block.get("text"), str):
            rest.append({"type": "text", "text": block["text"]})
    if any(part["type"] != "text" for part in rest):
        yield {"role": role, "content": rest}
    elif rest:
        yield {"role": role, "content": _joined(rest)}


def _image(block: Body) -> Body:
    source = block.get("source") or {}
    if source.get("type") == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
    else:
        url = str(source.get("url", ""))
    return {"type": "image_url", "image_url": {"url": url}}


def _joined(blocks: Any) -> str:
    return text_of({"content": blocks})


def _tool(tool: Body) -> Body:
    function = {
        "name": tool.get("name"),
        "description": tool.get("description", ""),
        "parameters": tool.get("input_schema") or {"type": "object", "properties": {}},
    }
    return {"type": "function", "function": function}


def _choice(choice: Body) -> Any:
    kind = choice.get("type")
    if kind == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return {"any": "required", "none": "none"}.get(str(kind), "auto")


def _input(text: str) -> Any:
    """Returns the arguments of a call; those that are no object stand under a key of their own."""
    try:
        made = msgspec.json.decode(text or "{}")
    except msgspec.MsgspecError:
        return {"_unreadable": text}
    return made if isinstance(made, dict) else {"_unreadable": text}

"""OpenAI's responses. Nothing is kept for `previous_response_id`: the input is sent whole."""

from collections.abc import Iterator, Mapping
from typing import Any, cast, final

from assay.errors import UsageError
from assay.live.answers import Answer
from assay.live.shapes.base import SAME, Body, Stream, delta_of, event, items, pieces_of, tokens
from assay.live.shapes.chat import Chat


@final
class Responses:
    """`POST /v1/responses`."""

    name = "responses"

    def request(self, body: Body) -> Body:
        """Returns the request in the chat shape. Reasoning that is sent back is left out."""
        if body.get("previous_response_id") or body.get("conversation"):
            raise UsageError("previous_response_id: no response is kept; send the whole input")
        made: Body = {key: body[key] for key in SAME if key in body}
        made["messages"] = _joined(_conversation(body))
        if body.get("max_output_tokens") is not None:
            made["max_tokens"] = body["max_output_tokens"]
        if body.get("parallel_tool_calls") is not None:
            made["parallel_tool_calls"] = body["parallel_tool_calls"]
        if body.get("tools"):
            made["tools"] = [_tool(each) for each in items(body, "tools")]
        if (choice := body.get("tool_choice")) is not None:
            made["tool_choice"] = _choice(choice)
        if (form := _format(body)) is not None:
            made["response_format"] = form
        if made.get("stream"):
            made["stream_options"] = {"include_usage": True}
        return made

    def answer(self, answer: Answer, request: Body, *, id: str, now: float) -> Body:
        """Returns a response."""
        output = [_message(answer.text, id)] if answer.text or not answer.calls else []
        output += [
            _call(call["function"]["name"], call["function"]["arguments"], call["id"], at)
            for at, call in enumerate(answer.message().get("tool_calls", ()))
        ]
        return _whole(answer, request, output, id=id, now=now)

    def stream(self, request: Body, *, id: str, now: float) -> Stream | None:
        """Returns what makes a response's events."""
        return _Events(request, id, now)

    def error(self, status: int, message: str) -> Body:
        """Returns OpenAI's form of an error."""
        return Chat().error(status, message)


@final
class _Events:
    """A response's items, opened and closed as pieces come."""

    def __init__(self, request: Body, id: str, now: float) -> None:
        self._request, self._id, self._now = request, id, now
        self._number = 0
        self._done: list[Body] = []
        self._open: Body | None = None
        self._name = ""

    def _event(self, kind: str, **data: Any) -> bytes:
        self._number += 1
        return event(kind, {"type": kind, "sequence_number": self._number - 1, **data})

    def begin(self) -> bytes:
        empty = _whole(Answer(), self._request, [], id=self._id, now=self._now)
        empty |= {"status": "in_progress", "usage": None}
        created = self._event("response.created", response=empty)
        return created + self._event("response.in_progress", response=empty)

    def more(self, chunk: Mapping[str, Any]) -> bytes:
        delta, made = delta_of(chunk), b""
        if isinstance(text := delta.get("content"), str) and text:
            made += self._begun("text", _message("", self._id))
            assert self._open is not None, "it was just opened"
            self._open["content"][0]["text"] += text
            made += self._of("response.output_text.delta", content_index=0, delta=text, logprobs=[])
        for at, piece in pieces_of(delta):
            function = piece.get("function") or {}
            name, id = function.get("name") or "", piece.get("id") or f"call_{at}"
            made += self._begun(f"call {at}", _call(name, "", id, at))
            assert self._open is not None, "it was just opened"
            if part := function.get("arguments"):
                self._open["arguments"] += part
                made += self._of("response.function_call_arguments.delta", delta=part)
        return made

    def _of(self, kind: str, **data: Any) -> bytes:
        assert self._open is not None, "an item is open"
        return self._event(kind, item_id=self._open["id"], output_index=len(self._done), **data)

    def _begun(self, name: str, item: Body) -> bytes:
        """Returns what opens an item, unless it is open; the one before it is closed."""
        if self._name == name:
            return b""
        made = self._closed()
        self._name, self._open = name, item
        shown = {**item, "status": "in_progress"}
        if item["type"] != "message":
            return made + self._event(
                "response.output_item.added", output_index=len(self._done), item=shown
            )
        made += self._event(
            "response.output_item.added",
            output_index=len(self._done),
            item={**shown, "content": []},
        )
        part = {**item["content"][0]}
        return made + self._of("response.content_part.added", content_index=0, part=part)

    def _closed(self) -> bytes:
        item = self._open
        if item is None:
            return b""
        if item["type"] == "message":
            part = item["content"][0]
            made = self._of(
                "response.output_text.done", content_index=0, text=part["text"], logprobs=[]
            )
            made += self._of("response.content_part.done", content_index=0, part=part)
        else:
            made = self._of(
                "response.function_call_arguments.done",
                arguments=item["arguments"],
                name=item["name"],
            )
        made += self._event("response.output_item.done", output_index=len(self._done), item=item)
        self._done.append(item)
        self._open, self._name = None, ""
        return made

    def end(self, answer: Answer) -> bytes:
        made = self._closed()
        if not self._done:
            made = self._begun("text", _message("", self._id)) + self._closed()
        whole = _whole(answer, self._request, self._done, id=self._id, now=self._now)
        kind = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
        return made + self._event(kind, response=whole)


def _message(text: str, id: str) -> Body:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": f"msg_{id}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def _call(name: str, arguments: str, id: str, at: int) -> Body:
    return {
        "id": f"fc_{id}_{at}",
        "type": "function_call",
        "call_id": id,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def _whole(answer: Answer, request: Body, output: list[Body], *, id: str, now: float) -> Body:
    read, wrote = tokens(answer)
    cut = answer.finish_reason == "length"
    return {
        "id": f"resp_{id}",
        "object": "response",
        "created_at": int(now),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model or str(request.get("model", "")),
        "output": output,
        "parallel_tool_calls": bool(request.get("parallel_tool_calls", True)),
        "temperature": request.get("temperature"),
        "top_p": request.get("top_p"),
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": wrote,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + wrote,
        },
    }


def _conversation(body: Body) -> Iterator[Body]:
    if body.get("instructions"):
        yield {"role": "system", "content": str(body["instructions"])}
    if isinstance(text := body.get("input"), str):
        yield {"role": "user", "content": text}
        return
    for item in items(body, "input"):
        kind = item.get("type", "message")
        if kind == "message":
            yield {"role": item.get("role", "user"), "content": _content(item.get("content"))}
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments", "")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            yield {"role": "assistant", "content": "", "tool_calls": [call]}
        elif kind == "function_call_output":
            content = _content(item.get("output"))
            yield {"role": "tool", "tool_call_id": item.get("call_id"), "content": content}
        elif kind != "reasoning":
            raise UsageError(f"input: an item of type {str(kind)[:40]!r} is not known here")


def _joined(messages: Iterator[Body]) -> list[Body]:
    """Returns messages, what one turn of the assistant said and called in one of them."""
    made: list[Body] = []
    for message in messages:
        if made and message["role"] == made[-1]["role"] == "assistant" and "tool_calls" in message:
            calls = [*made[-1].get("tool_calls", ()), *message["tool_calls"]]
            made[-1] = {**made[-1], "tool_calls": calls}
        else:
            made.append(message)
    return made


def _content(content: Any) -> Any:
    if isinstance(content, str) or content is None:
        return content or ""
    if not isinstance(content, list):
        raise UsageError("input: content is neither text nor a list of parts")
    parts = [_part(cast("Body", part)) for part in content if isinstance(part, dict)]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: Body) -> Body:
    kind = part.get("type")
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    if isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if isinstance(part.get("refusal"), str):
        return {"type": "text", "text": part["refusal"]}
    raise UsageError(f"input: a part of type {str(kind)[:40]!r} is not known here")


def _tool(tool: Body) -> Body:
    if tool.get("type") != "function":
        raise UsageError(f"tools: type {str(tool.get('type'))[:40]!r}; expected function")
    function = {key: tool[key] for key in ("name", "description", "parameters") if key in tool}
    return {"type": "function", "function": function}


def _choice(choice: Any) -> Any:
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return choice


def _format(body: Body) -> Body | None:
    text = body.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    if not isinstance(form, dict) or form.get("type") in (None, "text"):
        return None
    if form["type"] == "json_schema":
        return {
            "type": "json_schema",
            "json_schema": {k: v for k, v in form.items() if k != "type"},
        }
    return {"type": form["type"]}

"""An engine that plays a part: what it says at each turn of a task is written down beforehand. It
answers in the shape of vLLM's server, each prompt with the ids of the turn before at its head."""

import itertools
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

ROLES = {"system": 256, "developer": 256, "user": 257, "assistant": 258, "tool": 259}
END = 260
"""Ids behind those of the 256 bytes: what begins a message of each role, and what ends one."""


@dataclass(frozen=True)
class Said:
    """One turn: a text, and calls of tools by name and arguments."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()


@dataclass
class Sampled:
    """What the engine sampled, and for what."""

    prompt: list[int]
    ids: list[int]
    logprobs: list[float]
    asked: dict[str, Any]
    message: dict[str, Any] = field(default_factory=dict[str, Any])


class Scripted:
    """Plays the part whose name is in a conversation's first message of a user; which turn it is,
    is the number of answers in the conversation."""

    def __init__(self, parts: Mapping[str, Sequence[Said]]) -> None:
        self._parts = parts
        self.sampled: list[Sampled] = []
        self._names, self._lock = itertools.count(), threading.Lock()

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/models", self.models),
            ]
        )

    async def models(self, _: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        said = self._turn(body["messages"])
        if said is None:
            return JSONResponse({"error": {"message": "no part, or no turn of it"}}, 400)
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None}
        if said.calls:
            message["tool_calls"] = [self._call(name, given) for name, given in said.calls]
        ids = [*written(message), END]
        made = Sampled(
            prompt_of(body["messages"]), ids, [-(1 + each % 7) / 8 for each in ids], body, message
        )
        with self._lock:
            self.sampled.append(made)
        if body.get("stream"):
            return StreamingResponse(streamed(made), media_type="text/event-stream")
        return JSONResponse(whole(made))

    def _turn(self, messages: Sequence[dict[str, Any]]) -> Said | None:
        task = next(text_of(each) for each in messages if each["role"] == "user")
        at = sum(each["role"] == "assistant" for each in messages)
        found = [part for name, part in self._parts.items() if name in task]
        return found[0][at] if len(found) == 1 and at < len(found[0]) else None

    def _call(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        function = {"name": name, "arguments": json.dumps(given)}
        return {"id": f"call_{next(self._names)}", "type": "function", "function": function}


def text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content)


def written(message: Mapping[str, Any]) -> list[int]:
    """Returns the ids of a message, as a template writes it: its bytes, and those of its calls."""
    calls = [each["function"] for each in message.get("tool_calls") or ()]
    parts = [text_of(message), *(f"\n{c['name']} {c['arguments']}" for c in calls)]
    return list("".join(parts).encode())


def prompt_of(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    made = [[ROLES[each["role"]], *written(each), END] for each in messages]
    return [*itertools.chain.from_iterable(made), ROLES["assistant"]]


def head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "m"}


def rows(logprobs: Sequence[float]) -> dict[str, Any]:
    return {"content": [{"token": "t", "logprob": each, "top_logprobs": []} for each in logprobs]}


def usage(made: Sampled) -> dict[str, int]:
    read, wrote = len(made.prompt), len(made.ids)
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def reason(made: Sampled) -> str:
    return "tool_calls" if made.message.get("tool_calls") else "stop"


def whole(made: Sampled) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "message": made.message, "finish_reason": reason(made)}
    if made.asked.get("logprobs"):
        choice["logprobs"] = rows(made.logprobs)
    answer = {**head("chat.completion"), "choices": [choice], "usage": usage(made)}
    if made.asked.get("return_token_ids"):
        answer["prompt_token_ids"], choice["token_ids"] = made.prompt, made.ids
    return answer


def deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields a message in pieces, as vLLM's parsers of calls cut it."""
    text = text_of(message)
    for at in range(0, len(text), 5):
        yield {"content": text[at : at + 5]}
    for at, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        begun = {"name": function["name"], "arguments": ""}
        yield {"tool_calls": [{**call, "index": at, "function": begun}]}
        for cut in range(0, len(function["arguments"]), 7):
            part = {"arguments": function["arguments"][cut : cut + 7]}
            yield {"tool_calls": [{"index": at, "function": part}]}


async def streamed(made: Sampled):
    """Yields the stream; the ids are spread over its pieces, the rest comes with the end."""
    asked, pieces = made.asked, list(deltas(made.message))
    each = max(1, len(made.ids) // (len(pieces) + 1))
    first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    top = {"prompt_token_ids": made.prompt} if asked.get("return_token_ids") else {}
    yield chunk(choices=[first], **top)
    for at, delta in enumerate([*pieces, {}]):
        last = at == len(pieces)
        part = slice(at * each, None if last else (at + 1) * each)
        choice: dict[str, Any] = {"index": 0, "delta": delta}
        choice["finish_reason"] = reason(made) if last else None
        if asked.get("return_token_ids"):
            choice["token_ids"] = made.ids[part]
        if asked.get("logprobs"):
            choice["logprobs"] = rows(made.logprobs[part])
        yield chunk(choices=[choice])
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield chunk(choices=[], usage=usage(made))
    yield "data: [DONE]\n\n"


def chunk(**more: Any) -> str:
    return f"data: {json.dumps({**head('chat.completion.chunk'), **more})}\n\n"

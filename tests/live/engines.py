"""Engines that answer as vLLM, SGLang and transformers serve do, in this process: what each
returns is written down from their documents and sources, field by field."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

PIECES = ("Hel", "lo", " you")
IDS = (11, 12, 13, 2)
LOGPROBS = (-0.5, -1.25, -0.125, -0.0625)
PROMPT = (1, 5, 6, 7)


class Stub:
    """An engine that says "Hello you", or calls a tool where it is given some."""

    def __init__(self, kind: str = "vllm") -> None:
        self.kind = kind
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.hook: Callable[[dict[str, Any]], Response | None] = lambda _: None
        """What answers in its place; None: it does."""
        self.pause = 0.0
        self.late = 0.0
        """Seconds until it says who it is."""
        self.cut = False
        """Its streams end before their end."""
        self.prompt: Callable[[dict[str, Any]], list[int]] = lambda _: list(PROMPT)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/models", self.models),
            ]
        )

    async def models(self, _: Request) -> JSONResponse:
        await asyncio.sleep(self.late)
        return JSONResponse({"object": "list", "data": [{"id": "m", "owned_by": self.kind}]})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        if (other := self.hook(body)) is not None:
            return other
        if self.kind == "strict" and ("return_token_ids" in body or "logprobs" in body):
            return JSONResponse({"error": {"message": "unknown field"}}, 400)
        if body.get("stream"):
            return StreamingResponse(self.stream(body), media_type="text/event-stream")
        return JSONResponse(self.whole(body))

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "m"}

    def said(self, body: dict[str, Any]) -> tuple[dict[str, Any], str]:
        if body.get("tools"):
            function = {"name": "look", "arguments": '{"at": "x"}'}
            call = {"id": "call_9", "type": "function", "function": function}
            return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
        return {"role": "assistant", "content": "".join(PIECES)}, "stop"

    def whole(self, body: dict[str, Any]) -> dict[str, Any]:
        message, reason = self.said(body)
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
        made = {**self.head("chat.completion"), "choices": [choice]}
        prompt = self.prompt(body)
        made["usage"] = {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}
        if body.get("logprobs"):
            rows = [{"token": "t", "logprob": each, "top_logprobs": []} for each in LOGPROBS]
            choice["logprobs"] = {"content": rows}
        if self.kind == "vllm" and body.get("return_token_ids"):
            made["prompt_token_ids"], choice["token_ids"] = prompt, list(IDS)
        if self.kind == "sglang" and body.get("return_meta_info"):
            choice["prompt_token_ids"] = prompt
            rows = [[p, i, None] for p, i in zip(LOGPROBS, IDS, strict=True)]
            choice["meta_info"] = {"output_token_logprobs": rows}
        return made

    async def stream(self, body: dict[str, Any]):
        message, reason = self.said(body)
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if "tool_calls" in message:
            call = message["tool_calls"][0]
            name = {"name": call["function"]["name"], "arguments": ""}
            deltas.append(
                {"tool_calls": [{"index": 0, "id": "call_9", "type": "function", "function": name}]}
            )
            for part in ('{"at"', ': "x"}'):
                deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        else:
            deltas += [{"content": piece} for piece in PIECES]
        deltas.append({})
        for at, delta in enumerate(deltas):
            last = at == len(deltas) - 1
            if last and self.cut:
                return
            choice: dict[str, Any] = {
                "index": 0, "delta": delta, "finish_reason": reason if last else None,
            }  # fmt: skip
            chunk = {**self.head("chat.completion.chunk"), "choices": [choice]}
            if self.kind == "vllm" and body.get("return_token_ids"):
                if at == 0:
                    chunk["prompt_token_ids"] = self.prompt(body)
                elif not (last and len(deltas) > 5):
                    choice["token_ids"] = [IDS[at - 1]]
                    row = {"token": "t", "logprob": LOGPROBS[at - 1]}
                    choice["logprobs"] = {"content": [row]}
            yield f"data: {json.dumps(chunk)}\n\n"
            await asyncio.sleep(self.pause)
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 4, "completion_tokens": 4, "total_tokens": 8}
            chunk = {**self.head("chat.completion.chunk"), "choices": [], "usage": usage}
            yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serves an application on a free port; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        for _ in range(3000):
            if server.started:
                break
            threading.Event().wait(0.01)
        else:
            raise TimeoutError("the server did not start")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)

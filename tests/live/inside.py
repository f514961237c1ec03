"""A gateway without sockets: its application is called as a server calls it. What takes a second
over a socket takes a millisecond here, so a law can be tried with many requests."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from assay.live.engines import Engine
from assay.live.gateway import Gateway
from assay.live.guard import Guard
from assay.live.store import Store
from assay.live.upstream import Reply
from tests.live.engines import Stub

SECRET = b"s" * 32
SAID = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Inside:
    """An engine that answers as `Stub` does."""

    def __init__(self, name: str | None = None) -> None:
        self.name, self.stub, self.asked = name, Stub(), list[dict[str, Any]]()
        self.change: Callable[[dict[str, Any]], Any] = lambda _: None
        """Changes an answer before it is sent."""

    async def engine(self) -> Engine:
        return "vllm"

    async def models(self) -> bytes:
        return b'{"object": "list", "data": []}'

    async def close(self) -> None:
        pass

    @asynccontextmanager
    async def ask(self, body: bytes) -> AsyncGenerator[Reply]:
        made = json.loads(body)
        self.asked.append(made)

        async def chunks() -> AsyncIterator[bytes]:
            answer = self.stub.whole(made)
            self.change(answer)
            yield json.dumps(answer).encode()

        yield Reply(200, "application/json", chunks())


@dataclass
class Answered:
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> str:
        """The message of an error."""
        return json.loads(self.body)["error"]["message"]


def gateway(store: Store | None, *, name: str | None = None, **more: Any) -> Gateway:
    guard = Guard(
        secret=SECRET,
        needs_key=more.pop("needs_key", False),
        consent=more.pop("consent", "train"),
        hosts=more.pop("hosts", frozenset({"127.0.0.1", "localhost", "::1"})),
    )
    return Gateway(upstream=Inside(name), store=store, guard=guard, **more)


def engine(live: Gateway) -> Inside:
    """The engine of a gateway that `gateway` made."""
    assert isinstance(live.upstream, Inside)
    return live.upstream


def asked(live: Gateway) -> list[dict[str, Any]]:
    """What its engine was asked for."""
    return engine(live).asked


def call(
    live: Gateway,
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    body: Any = None,
    path: str = "/r/r/v1/chat/completions",
    method: str = "POST",
    raw_path: str | None = None,
) -> Answered:
    """Sends a request; `headers` come after a host and a type, in place of those of their name."""
    scope, data = request(headers, body, path, method, raw_path)
    return asyncio.run(called(live, scope, data))


def request(
    headers: dict[str, str] | list[tuple[str, str]] | None = None,
    body: Any = None,
    path: str = "/r/r/v1/chat/completions",
    method: str = "POST",
    raw_path: str | None = None,
) -> tuple[dict[str, Any], bytes]:
    """A request as a server hands it on: its scope and its body."""
    given = [*(headers.items() if isinstance(headers, dict) else headers or ())]
    named = {name.lower() for name, _ in given}
    usual = [("host", "127.0.0.1:8400"), ("content-type", "application/json")]
    raw = [each for each in usual if each[0] not in named] + given
    data = body if isinstance(body, bytes) else json.dumps(SAID if body is None else body).encode()
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": (path if raw_path is None else raw_path).encode("latin-1"),
        "query_string": b"",
        "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in raw],
    }
    return scope, data


async def called(live: Gateway, scope: dict[str, Any], data: bytes | None) -> Answered:
    """Does it; without data its client leaves at once."""
    waiting, found = [data], Answered(0, {}, b"")

    async def receive() -> dict[str, Any]:
        if data is None:
            return {"type": "http.disconnect"}
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        await asyncio.sleep(60.0)
        raise TimeoutError("the gateway waits for more than there is")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = {n.decode(): v.decode() for n, v in message["headers"]}
        else:
            found.body += message.get("body", b"")

    async with asyncio.timeout(30.0):
        await live.app(scope, receive, send)
    return found

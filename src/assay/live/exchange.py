"""One request on its way through: to the engine, back to its client, and into the store."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Send

from assay.live.answers import DONE, Answer, Lines
from assay.live.engines import Engine, asked, routed
from assay.live.guard import Limits
from assay.live.recorder import Exchange, Recorder
from assay.live.shapes import Shape
from assay.live.shapes.base import Body, event
from assay.live.upstream import Reply, Upstream, UpstreamError
from assay.records.live import Turn

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream; charset=utf-8"
_END: Final = DONE + b"\n\n"


@final
class Serving:
    """One request, whose answer passes while it is put together aside."""

    def __init__(
        self,
        upstream: Upstream,
        recorder: Recorder,
        limits: Limits,
        shape: Shape,
        exchange: Exchange,
        engine: Engine,
        raw: bytes,
        take: Callable[[Exchange], None],
    ) -> None:
        self.exchange = exchange
        self._upstream, self._recorder, self._limits = upstream, recorder, limits
        self._shape, self._raw, self._take = shape, raw, take
        self._engine: Engine = engine
        self._begun = self._trains = False

    async def run(self, send: Send, receive: Receive) -> None:
        """Serves it.

        Raises:
            UpstreamError: nothing was sent yet, and the client is to be told.
        """
        self._send, exchange = send, self.exchange
        placed = exchange.placed
        self._trains = placed.session.consent == "train" and placed.turn_type == "main"
        self._leaving = leaving = asyncio.ensure_future(_left(receive))
        try:
            if self._trains and self._engine != "plain":
                body = self._body(asked(exchange.request, self._engine))
                if await self._try(body, may_fail=True):
                    return
                exchange.answer = Answer()  # it refuses what it was asked for beside: as it came
            await self._try(self._body({**exchange.request}), may_fail=False)
        finally:
            leaving.cancel()
            with suppress(asyncio.CancelledError):
                await leaving

    def _body(self, made: dict[str, Any]) -> bytes:
        """Returns what the engine is sent: the client's own bytes where nothing is changed."""
        if self.exchange.version is not None:
            made |= routed(self._engine, str(made.get("model", "")), self.exchange.version)
        self.exchange.sent = made
        if self._shape.name == "chat" and made == self.exchange.request:
            return self._raw
        return msgspec.json.encode(made)

    async def _try(self, body: bytes, *, may_fail: bool) -> bool:
        """Asks once; returns False where the engine refuses a request that may fail."""
        try:
            async with self._upstream.ask(body) as reply:
                if reply.status == 400 and may_fail:
                    return False
                if reply.status != 200:
                    await self._refused(reply)
                elif "event-stream" in reply.content_type:
                    await self._streamed(reply)
                else:
                    await self._whole(reply)
        except UpstreamError as error:
            if not self._begun:
                raise
            self.exchange.answer.broken = "upstream_broke_off"
            await self._recorder.turn(self.exchange)
            await self._piece(self._failure(error), last=True)
        return True

    async def _refused(self, reply: Reply) -> None:
        """Passes on why an engine refuses; nothing is kept."""
        self.exchange.answer.broken = "upstream_error"
        body = await _read(reply, 1 << 20)
        if self._shape.name != "chat":
            said = " ".join(body[:500].decode("utf-8", "replace").split())
            body = msgspec.json.encode(self._shape.error(reply.status, said))
        await self._start(reply.status, _JSON, {})
        await self._piece(body, last=True)

    async def _whole(self, reply: Reply) -> None:
        body, exchange = await _read(reply, self._limits.answer), self.exchange
        try:
            made: Any = msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise UpstreamError("the engine's answer is no JSON") from None
        if not isinstance(made, dict):
            raise UpstreamError("the engine's answer is no JSON object")
        exchange.answer.whole(made)
        if exchange.answer.broken:
            raise UpstreamError("the engine's answer says that it failed")
        if self._shape.name != "chat":
            body = msgspec.json.encode(
                self._shape.answer(
                    exchange.answer, {**exchange.request}, id=exchange.turn, now=exchange.began
                )
            )
        if self._leaving.done():
            exchange.answer.broken = "client_left"
        why = await self._kept()
        await self._start(200, _JSON, {"X-Assay-Recorded": why or "trainable"})
        await self._piece(body, last=True)

    async def _streamed(self, reply: Reply) -> None:
        """Passes a stream on as it comes; its end waits until the turn is on the disk, where it may
        be trained on. What passes unchanged is read once it has passed."""
        exchange, lines = self.exchange, Lines(self._limits.answer)
        events = self._shape.stream({**exchange.request}, id=exchange.turn, now=exchange.began)
        await self._start(200, _EVENTS, {"Cache-Control": "no-cache"})
        unread: list[bytes] = []
        if events is not None:
            await self._piece(events.begin())
        async for data in reply.chunks:
            passed = self._fed(lines, data, unread)
            if events is not None:
                chunks = self._read_in(unread)
                passed = b"".join(events.more(chunk) for chunk in chunks)
            if passed:
                await self._piece(passed)
            if self._leaving.done():
                exchange.answer.broken = "client_left"
                break
        waits = self._trains or events is not None or not lines.done
        if not waits:
            await self._piece(lines.rest(), last=True)
        self._read_in(unread)
        if not lines.done and not exchange.answer.broken and not exchange.answer.finish_reason:
            raise UpstreamError("the engine's stream ended before its end")
        await self._kept()
        if waits:
            last = lines.rest() if events is None else events.end(exchange.answer)
            await self._piece(last, last=True)

    def _fed(self, lines: Lines, data: bytes, unread: list[bytes]) -> bytes:
        """Returns what may pass of some bytes; what is to be read of them goes to `unread`."""
        try:
            passed, found = lines.feed(data)
        except ValueError as error:
            raise UpstreamError(f"the engine sent {error}") from None
        unread += found
        return passed

    def _read_in(self, unread: list[bytes]) -> list[dict[str, Any]]:
        """Takes what was not read yet into the answer; returns it."""
        chunks = [self.exchange.answer.chunk(each) for each in unread]
        unread.clear()
        return [chunk for chunk in chunks if chunk is not None]

    async def _kept(self) -> str | None:
        """Writes the turn, and remembers it before its client can go on from it."""
        why = await self._recorder.turn(self.exchange)
        self._take(self.exchange)
        return why

    def _failure(self, error: UpstreamError) -> bytes:
        """Returns what ends a stream that broke off, as the client's library reads it."""
        said = self._shape.error(error.status, str(error))
        name = "error" if self._shape.name != "chat" else None
        if self._shape.name == "responses":
            said = {"type": "error", "sequence_number": 0, **said["error"]}
        return event(name, said)

    async def _start(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self._begun = True
        kept = {
            "X-Assay-Turn": self.exchange.turn,
            "X-Assay-Session": self.exchange.placed.session.id,
        }  # of a refusal nothing is kept, and nobody can label it
        named = {"Content-Type": kind, **(kept if status == 200 else {}), **headers}
        raw = [(k.lower().encode(), v.encode("latin-1", "replace")) for k, v in named.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def _piece(self, data: bytes, *, last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})


async def _left(receive: Receive) -> None:
    """Returns once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(reply: Reply, most: int) -> bytes:
    parts, size = list[bytes](), 0
    async for data in reply.chunks:
        size += len(data)
        if size > most:
            raise UpstreamError(f"the engine's answer is longer than {most:,} bytes")
        parts.append(data)
    return b"".join(parts)


def replayed(turn: Turn, shape: Shape, request: Body, now: float) -> Response:
    """Returns the answer that a turn had, for its request that comes again."""
    answer = Answer(finish_reason=turn.finish_reason, usage=turn.usage, model=turn.model)
    answer.whole({"choices": [{"message": turn.answer}]})
    headers = {
        "X-Assay-Turn": turn.id,
        "X-Assay-Session": turn.session,
        "X-Assay-Recorded": "before",
    }
    if not request.get("stream"):
        body = msgspec.json.encode(shape.answer(answer, request, id=turn.id, now=now))
        return Response(body, 200, headers, _JSON)
    events = shape.stream(request, id=turn.id, now=now)
    pieces = list(_chunks(answer, turn, now))
    if events is None:
        data = b"".join(event(None, piece) for piece in pieces) + _END
    else:
        data = events.begin() + b"".join(map(events.more, pieces)) + events.end(answer)
    return Response(data, 200, headers, _EVENTS)


def _chunks(answer: Answer, turn: Turn, now: float) -> Iterable[Body]:
    """Yields the pieces of a stream that says an answer at once."""
    said = answer.message()
    for at, call in enumerate(said.get("tool_calls", ())):
        call["index"] = at
    for delta, reason in ((said, None), ({}, turn.finish_reason)):
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        yield {
            "id": f"chatcmpl-{turn.id}",
            "object": "chat.completion.chunk",
            "created": int(now),
            "model": turn.model,
            "choices": [choice],
        }

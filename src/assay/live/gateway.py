"""The gateway: requests of three APIs in, one engine behind, turns into the store.

POST /r/RUN/v1/chat/completions   POST /r/RUN/v1/responses   POST /r/RUN/v1/messages
GET  /r/RUN/v1/models             and nothing else
"""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, final

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from assay.errors import AssayError, DataError, UsageError
from assay.live.exchange import Serving, replayed
from assay.live.guard import (
    Guard,
    Limits,
    RefusedError,
    check_size,
    headers_of,
    name_in,
    parsed,
)
from assay.live.keys import Key
from assay.live.recorder import Exchange, Recorder
from assay.live.sessions import Placed, Sessions, owner_of
from assay.live.shapes import SHAPES, Shape
from assay.live.store import Store, digest
from assay.live.upstream import Upstream, UpstreamError
from assay.live.versions import NAMED, Versions
from assay.records.live import Turn

IDLE: Final = 1800.0
"""Seconds without a word after which a session's last turn has no next state."""
RESTORED: Final = 3600.0
"""Seconds: sessions of which something was heard within them go on after a restart."""
_LOOK: Final = 1.0
"""Seconds between looks for new versions."""
_JSON: Final = "application/json"
ADDRESSES: Final = (
    "POST /r/RUN/v1/chat/completions, POST /r/RUN/v1/responses, POST /r/RUN/v1/messages, "
    "GET /r/RUN/v1/models"
)
"""All that there is."""


@final
@dataclass(kw_only=True)
class Gateway:
    """What serves. `app` is the ASGI application."""

    upstream: Upstream
    store: Store | None
    """None: nothing is kept."""
    guard: Guard
    limits: Limits = field(default_factory=Limits)
    processed: bool = False
    """The engine's log-probs count the temperature in."""
    idle: float = IDLE
    clock: Callable[[], float] = time.time
    counts: Counter[str] = field(default_factory=Counter[str])
    """What was served, kept and refused, by kind."""

    def __post_init__(self) -> None:
        """Takes up sessions where they were left."""
        self.sessions, self.versions = Sessions(), Versions(self.store)
        self.recorder = Recorder(
            self.store,
            processed=self.processed,
            patience=self.limits.patience,
            clock=self.clock,
            counts=self.counts,
        )
        self._under_way = set[str]()
        self._busy = 0
        if self.store is not None:
            since = self.clock() - RESTORED
            going = [s for s in self.store.sessions().values() if s.last_at >= since]
            self.sessions.restore(each for each in going if not each.closed)
            self.versions.refresh()

    @property
    def app(self) -> ASGIApp:
        """The application."""
        rest = Starlette(lifespan=self._life)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await rest(scope, receive, send)
            chat, here = SHAPES["chat/completions"], f"there is {ADDRESSES}"
            match scope["method"], _parts(scope):
                case "POST", ["", "r", run, "v1", end] if end in SHAPES:
                    await self.answer(scope, receive, send, run, SHAPES[end])
                case "GET", ["", "r", run, "v1", "models"]:
                    await (await self._models(run, scope))(scope, receive, send)
                case _, ["", "r", _, "v1", end] if end == "models" or end in SHAPES:
                    wrong = RefusedError(405, f"not by this method; {here}")
                    await self._refusal(chat, wrong)(scope, receive, send)
                case _:
                    wrong = RefusedError(404, f"no such address; {here}")
                    await self._refusal(chat, wrong)(scope, receive, send)

        return app

    @asynccontextmanager
    async def _life(self, app: Starlette) -> AsyncGenerator[None]:
        del app
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            await self.upstream.close()

    async def _watch(self) -> None:
        """Looks for new versions, and for sessions that went quiet."""
        while True:
            await asyncio.sleep(_LOOK)
            for session in self.sessions.idle(before=self.clock() - self.idle):
                await self.recorder.ended(session, closed=False)
            await self.recorder.again()
            try:
                self.versions.refresh()
            except DataError:
                self.counts["store_failures"] += 1

    async def _models(self, run: str, scope: Scope) -> Response:
        try:
            self.guard.check(run, headers_of(scope["headers"]), self.clock())
            listed, versions = await self.upstream.models(), self.versions
            listed = _with(listed, versions.here)
            return Response(listed, media_type=_JSON)
        except (RefusedError, UpstreamError) as error:
            return self._refusal(SHAPES["chat/completions"], error)

    def _refusal(self, shape: Shape, error: RefusedError | UpstreamError) -> Response:
        self.counts[f"refused:{error.status}"] += 1
        headers = {}
        if isinstance(error, RefusedError) and error.after is not None:
            headers["Retry-After"] = str(error.after)
        body = msgspec.json.encode(shape.error(error.status, str(error)))
        return Response(body, error.status, headers, _JSON)

    async def answer(
        self, scope: Scope, receive: Receive, send: Send, run: str, shape: Shape
    ) -> None:
        """Serves one request to a run."""
        try:
            if self._busy >= self.limits.at_once:
                raise RefusedError(429, f"{self._busy} requests are under way", 1)
            self._busy += 1
            try:
                await self._serve(Request(scope, receive), run, shape, send, receive)
            finally:
                self._busy -= 1
        except ClientDisconnect:
            self.counts["client_left"] += 1
        except (RefusedError, UpstreamError) as error:
            await self._refusal(shape, error)(scope, receive, send)

    async def _serve(
        self, request: Request, run: str, shape: Shape, send: Send, receive: Receive
    ) -> None:
        began, ticks = self.clock(), asyncio.get_running_loop().time()
        headers = headers_of(request.scope["headers"])
        key = self.guard.check(run, headers, began)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            raise RefusedError(415, f"expected content-type {_JSON}")
        raw = await self._body(request, headers)
        chat = self._chat(shape, raw)
        self._check_model(chat)
        name, mark = self._name(key, headers), digest(raw)
        if name in self._under_way:
            raise RefusedError(409, "a request of this name is under way", 1)
        if (kept := self._kept(name, mark)) is not None:
            return await replayed(kept, shape, chat, began)(request.scope, receive, send)
        if name:
            self._under_way.add(name)
        try:
            placed = await self._placed(key, headers, chat)
            if placed.session.consent == "train" and not await self.recorder.room():
                raise RefusedError(429, "turns to train on wait to be written; come again", 1)
            with self.sessions.under_way(placed):
                whole = (placed, shape, chat, raw, key, name, mark, began, ticks)
                serving = await self._serving(*whole)
                await serving.run(send, receive)
            if headers.get("x-session-done") is not None:
                await self._done(placed)
        finally:
            self._under_way.discard(name)

    def _chat(self, shape: Shape, raw: bytes) -> dict[str, Any]:
        """Returns a body in the chat shape."""
        try:
            chat = shape.request(parsed(raw, self.limits))
        except UsageError as error:
            raise RefusedError(400, str(error)) from None
        except (TypeError, AttributeError, KeyError, ValueError):
            raise RefusedError(400, "the request has not the shape of its API") from None
        check_size(chat, self.limits)
        return chat

    def _check_model(self, chat: Mapping[str, Any]) -> None:
        """Raises RefusedError where a request names a model that does not answer here: a version
        that does not serve, or of an engine with one model any other name."""
        model, own, here = str(chat.get("model") or ""), self.upstream.name, self.versions.here
        other = own is not None and model not in ("", own)
        if model not in here and (other or NAMED.fullmatch(model) is not None):
            known = ", ".join([own or "a model of the engine", *here])
            raise RefusedError(404, f"model {model[:80]!r}: expected {known}")

    async def _body(self, request: Request, headers: Mapping[str, str]) -> bytes:
        length = headers.get("content-length", "0")
        too_long = RefusedError(413, f"the body is longer than {self.limits.body:,} bytes")
        if not length.isdecimal() or len(length) > 18 or int(length) > self.limits.body:
            raise too_long
        parts, size = list[bytes](), 0
        try:
            async with asyncio.timeout(self.limits.upload):
                async for part in request.stream():
                    size += len(part)
                    if size > self.limits.body:
                        raise too_long
                    parts.append(part)
        except TimeoutError:
            raise RefusedError(408, "the body did not come in time") from None
        return b"".join(parts)

    def _name(self, key: Key, headers: Mapping[str, str]) -> str:
        """Returns what stands for a request's name; empty: it has none."""
        name = name_in(headers, "idempotency-key") or name_in(headers, "x-request-id")
        whose = f"{key.run}\0{key.user}\0{key.session or ''}"
        return digest(f"{whose}\0{name}".encode()) if name else ""

    def _kept(self, name: str, mark: str) -> Turn | None:
        """Returns the turn that a request of this name became already.

        Raises:
            RefusedError: it said something else.
        """
        try:
            kept = self.store.turn_of(name) if self.store is not None and name else None
        except AssayError:
            self.counts["store_failures"] += 1
            return None
        if kept is not None and kept.digest != mark:
            raise RefusedError(409, "another request had this name")
        if kept is not None:
            self.counts["replayed"] += 1
        return kept

    async def _placed(self, key: Key, headers: Mapping[str, str], chat: dict[str, Any]) -> Placed:
        """Returns where a request belongs, its session's consent brought up to date."""
        named, said = None, name_in(headers, "x-session-id")
        whose = f"{key.run}/{_part(key.user)}" if key.user else key.run
        if key.session is not None:
            named = (f"{whose}/{_part(key.session)}", "key")
        elif said is not None:
            named = (f"{whose}/{_part(said)}", "header")
        placed = self.sessions.place(
            chat,
            owner=owner_of(key.run, key.user),
            named=named,
            turn_type=headers.get("x-turn-type"),
            fresh_id=f"{whose}/{secrets.token_hex(8)}",
            now=self.clock(),
        )
        consent = self.guard.consent_of(key, headers.get("x-assay-consent"))
        if placed.new:
            placed.session.consent = consent
            current = self.versions.current
            version = None if current is None else current.name
            try:
                self.recorder.opened(placed, key.run, key.user, version)
            except AssayError:
                self.counts["store_failures"] += 1
        await self.recorder.consented(placed.session, consent)
        return placed

    async def _serving(
        self,
        placed: Placed,
        shape: Shape,
        chat: dict[str, Any],
        raw: bytes,
        key: Key,
        name: str,
        mark: str,
        began: float,
        ticks: float,
    ) -> Serving:
        version = self.versions.of(placed.session.version)
        exchange = Exchange(
            placed=placed,
            shape=shape.name,
            request=chat,
            turn=secrets.token_hex(12),
            name=name,
            digest=mark,
            version=None if version is None else version.name,
            skillbank=None if version is None else version.skillbank_version,
            began=began,
            ticks=ticks,
        )
        engine = await self.upstream.engine()
        return Serving(
            self.upstream, self.recorder, self.limits, shape, exchange, engine, raw, self._take
        )

    def _take(self, exchange: Exchange) -> None:
        """Remembers what a main turn came to, for the requests that go on from it."""
        placed, answer = exchange.placed, exchange.answer
        if placed.turn_type == "main" and not answer.broken:
            session, said = placed.session, answer.message()
            self.sessions.answered(session, exchange.turn, exchange.request, said)

    async def _done(self, placed: Placed) -> None:
        if (session := self.sessions.drop(placed.session.id)) is not None:
            await self.recorder.ended(session, closed=True)


def _with(listed: bytes, versions: Sequence[str]) -> bytes:
    """Returns an engine's list of models with the versions that serve; what is no list, and one
    that has them all, as it came."""
    try:
        made = msgspec.json.decode(listed)
        ids = {each["id"] for each in made["data"]}
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError, KeyError, RecursionError):
        return listed
    more = [
        {"id": name, "object": "model", "created": 0, "owned_by": "assay"}
        for name in versions
        if name not in ids
    ]
    return msgspec.json.encode({**made, "data": [*made["data"], *more]}) if more else listed


def _parts(scope: Scope) -> list[str]:
    """Returns an address in its parts. One that is written with escapes is none of ours: who stands
    between might have read it otherwise."""
    return [] if b"%" in scope.get("raw_path", b"") else scope["path"].split("/", 4)


def _part(name: str) -> str:
    """Returns a name as a part of a session's: no slash in it says whose another session is, and
    `#1` or `~2` behind a session's name are its trajectories', and no other session's."""
    for each in "%/#~":
        name = name.replace(each, f"%{ord(each):02X}")
    return name

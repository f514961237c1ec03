"""The engine behind a gateway, over HTTP."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast, final, runtime_checkable

import aiohttp

from assay.errors import AssayError
from assay.files.web import check_address
from assay.live.engines import Engine, named, objects

CONNECT: Final = 5.0
"""Seconds in which the engine must take a connection."""
_AGAIN: Final = 5.0
"""Seconds after which an engine that did not say who it is is asked again."""


class UpstreamError(AssayError, OSError):
    """The engine could not be reached, or stopped in the middle; `status` is what a client gets."""

    def __init__(self, message: str, status: int = 502) -> None:
        super().__init__(message)
        self.status = status


@final
@dataclass(slots=True)
class Reply:
    """What the engine says, as it comes."""

    status: int
    content_type: str
    chunks: AsyncIterator[bytes]


@runtime_checkable
class Upstream(Protocol):
    """An engine."""

    @property
    def name(self) -> str | None:
        """The one model that it has. None: it has several, and refuses itself what it has not."""
        ...

    async def engine(self) -> Engine:
        """Returns which one it is."""
        ...

    def ask(self, body: bytes) -> AbstractAsyncContextManager[Reply]:
        """Returns a context that holds the `Reply` to a chat completion.

        Raises:
            UpstreamError: as it is entered, or while its chunks are read.
        """
        ...

    async def models(self) -> bytes:
        """Returns the list of its models, as it gives it.

        Raises:
            UpstreamError: it gives none.
        """
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


@final
class Server:
    """An engine at an address; nothing of its client's headers reaches it."""

    name: str | None = None

    def __init__(
        self, url: str, *, key: str | None, engine: Engine | None, timeout: float, most: int
    ) -> None:
        """Takes an address.

        Args:
            url: up to and with its version, as http://127.0.0.1:8000/v1.
            key: sent as a bearer token.
            engine: which one it is; None: asked of it, once it answers.
            timeout: seconds of each wait for it.
            most: requests at a time.

        Raises:
            UsageError: it is no address.
        """
        check_address("--upstream", url, key)
        self._url, self._most = url.rstrip("/"), most
        self._engine: Engine | None = engine
        self._asking, self._again = asyncio.Lock(), 0.0
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT, connect=None, sock_read=timeout
        )
        self._session: aiohttp.ClientSession | None = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._most, ttl_dns_cache=60),
                timeout=self._timeout,
                headers=self._headers,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def engine(self) -> Engine:
        """Returns which one it is: who it says owns its models. Until it answers: "plain". Requests
        that come while it is asked wait for what it says."""
        if self._engine is None:
            async with self._asking:
                now = asyncio.get_running_loop().time()
                if self._engine is None and now >= self._again:
                    self._engine = await self._who()
                    self._again = now + _AGAIN
        return self._engine or "plain"

    async def _who(self) -> Engine | None:
        try:
            async with asyncio.timeout(CONNECT):
                made = json.loads(await self.models())
        except (UpstreamError, ValueError, TimeoutError):
            return None
        return named(objects(cast("Any", made).get("data")) if isinstance(made, dict) else [])

    @asynccontextmanager
    async def ask(self, body: bytes) -> AsyncGenerator[Reply]:
        """Asks for a chat completion."""
        try:
            async with await self._posted(body) as answer:
                yield Reply(answer.status, answer.content_type, _chunks(answer))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failed(error) from None

    async def _posted(self, body: bytes) -> aiohttp.ClientResponse:
        """Returns the answer, as it begins. Where a connection that was kept turns out to be closed
        another one is tried: nothing was answered yet."""
        url = f"{self._url}/chat/completions"
        try:
            return await self._client().post(url, data=body, allow_redirects=False)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return await self._client().post(url, data=body, allow_redirects=False)

    async def models(self) -> bytes:
        """Returns its models."""
        try:
            async with asyncio.timeout(10.0):
                async with self._client().get(f"{self._url}/models", allow_redirects=False) as got:
                    if got.status != 200:
                        raise UpstreamError(f"the engine answers {got.status} for its models")
                    return await got.content.read(1 << 20)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise failed(error) from None

    async def close(self) -> None:
        """Closes its connections."""
        if self._session is not None:
            await self._session.close()


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for data in answer.content.iter_any():
            yield data
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise failed(error) from None


def failed(error: BaseException) -> UpstreamError:
    """Returns what a client is told: 504 where the engine took too long, else 502."""
    if isinstance(error, UpstreamError):
        return error
    if isinstance(error, TimeoutError):
        return UpstreamError("the engine did not answer in time", 504)
    return UpstreamError(f"the engine cannot be reached, or broke off ({type(error).__name__})")

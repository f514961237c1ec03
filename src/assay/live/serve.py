"""A gateway as a process: it listens, writes down how it is, and ends without losing a turn."""

import asyncio
import gc
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import msgspec
import uvicorn

from assay.errors import AssayError, UsageError
from assay.files.atomic import publish
from assay.live.gateway import Gateway
from assay.live.keeper import Keeper
from assay.live.status import GATEWAY
from assay.live.store import Store

_EVERY: Final = 2.0
_HOUR: Final = 3600.0
_GRACE: Final = 20
"""Seconds that requests under way get to end."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where it listens."""

    host: str = "127.0.0.1"
    port: int = 8400
    """0: one that is free."""
    cert: Path | None = None
    key: Path | None = None


@final
class _Quiet(uvicorn.Server):
    """Leaves signals alone: `serve` takes them, so that the store is closed."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Takes none."""
        yield


def serve(
    gateway: Gateway,
    listen: Listen,
    taken: socket.socket,
    *,
    retain: float | None,
    ready: Callable[[str], None],
    keeper: Keeper | None = None,
) -> None:
    """Serves until it is interrupted or terminated; then ends what is under way and closes the
    store.

    Args:
        gateway: what serves.
        listen: where.
        taken: the socket that `bound` returns of it; closed at the end.
        retain: seconds after which a session of which nothing was heard is forgotten; it looks once
            an hour. None: never.
        ready: is told the address.
        keeper: sees to it that the engine has the versions that serve.

    Raises:
        UsageError: a certificate cannot be read.
    """
    if keeper is not None:
        keeper.look()
    gc.collect()
    gc.freeze()  # what is there now stays: no collection goes through it again
    gc.set_threshold(20_000, 50, 50)
    try:
        config = uvicorn.Config(
            gateway.app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=listen.cert,
            ssl_keyfile=None if listen.key is None else str(listen.key),
        )
        config.load()
    except (OSError, ValueError) as error:
        taken.close()
        raise UsageError(f"--cert {listen.cert}: {error}; expected a certificate") from None
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:  # uvloop's, if there
            runner.run(_until_told(gateway, _Quiet(config), taken, retain, ready, listen, keeper))
    finally:
        taken.close()
        if gateway.store is not None:
            gateway.store.close()


def bound(listen: Listen) -> socket.socket:
    """Returns the socket that a gateway listens on, taken before it has a store.

    Raises:
        UsageError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so: TCP_NODELAY
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((listen.host, listen.port))
        made.listen(2048)
    except (OSError, OverflowError) as error:
        made.close()
        raise UsageError(f"--port {listen.port}: {error}; choose another") from None
    return made


async def _until_told(
    gateway: Gateway,
    server: uvicorn.Server,
    taken: socket.socket,
    retain: float | None,
    ready: Callable[[str], None],
    listen: Listen,
    keeper: Keeper | None,
) -> None:
    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop)
    scheme = "http" if listen.cert is None else "https"
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    address = f"{scheme}://{host}:{taken.getsockname()[1]}"
    chores = asyncio.gather(
        _chores(gateway, address, retain, keeper), *([keeper.follow()] if keeper else [])
    )
    ready(address)
    try:
        await server.serve(sockets=[taken])
    finally:
        chores.cancel()
        with suppress(asyncio.CancelledError):
            await chores
        if gateway.store is not None:
            (gateway.store.path.parent / GATEWAY).unlink(missing_ok=True)


async def _chores(
    gateway: Gateway, address: str, retain: float | None, keeper: Keeper | None
) -> None:
    """Writes down how the gateway is, and forgets what is old."""
    store, last = gateway.store, 0.0
    while store is not None:
        with suppress(OSError):
            publish(store.path.parent / GATEWAY, _status(gateway, store, address, keeper))
        if retain is not None and gateway.clock() - last > _HOUR:
            last = gateway.clock()
            with suppress(AssayError):
                await asyncio.to_thread(store.expire, before=last - retain, at=last)
        await asyncio.sleep(_EVERY)


def _status(gateway: Gateway, store: Store, address: str, keeper: Keeper | None) -> bytes:
    counts: Counter[str] = gateway.counts
    found: dict[str, Any] = {
        "pid": os.getpid(),
        "address": address,
        "at": gateway.clock(),
        "sessions": len(gateway.sessions),
        "waiting": store.waiting,
        "failing": store.why,
        "counts": dict(sorted(counts.items())),
        "engine": None if keeper is None else keeper.status(),
    }
    return msgspec.json.encode(found) + b"\n"

"""`assay serve`: a model behind the APIs of OpenAI and Anthropic, what it samples kept."""

import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.live import STORE
from assay.cli.prose import say
from assay.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from assay.live.adapters import Adapters
    from assay.live.embedded import Embedded
    from assay.live.serve import Listen
    from assay.live.store import Store
    from assay.live.upstream import Server


def serve(
    upstream: Annotated[
        str | None, typer.Option(metavar="URL", help="The engine, as http://127.0.0.1:8000/v1.")
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="No engine: a policy of this process.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="Of --embedded: start (default), a folder, a name.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Folder of what is kept.")] = STORE,
    consent: Annotated[
        str, typer.Option(help="What sessions allow: none, record, or train.")
    ] = "record",
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 picks a free one.")] = 8400,
    keys: Annotated[
        bool, typer.Option("--keys", help="Take requests with a key alone: assay live key.")
    ] = False,
    cert: Annotated[Path | None, typer.Option(help="Certificate, for TLS.")] = None,
    cert_key: Annotated[Path | None, typer.Option(help="Its key.")] = None,
    engine: Annotated[
        str, typer.Option(help="auto, vllm, sglang, or plain: it returns no token ids.")
    ] = "auto",
    processed: Annotated[
        bool, typer.Option("--processed", help="Its log-probs count the temperature in.")
    ] = False,
    key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Variable with the engine's key.")
    ] = None,
    redact: Annotated[
        bool, typer.Option("--redact/--no-redact", help="Keep secrets out of the store.")
    ] = True,
    retain: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="DAYS", help="Forget sessions after so long; looks hourly."),
    ] = None,
) -> None:
    """Serves a model to any client, and keeps what it samples.

    Clients change their base URL: ADDRESS/r/RUN/v1 for OpenAI's APIs, ADDRESS/r/RUN for
    Anthropic's. Stops with Ctrl-C.
    """
    try:
        from assay.live.gateway import Gateway
        from assay.live.guard import LOOPBACK, Guard, check_bind, consented
        from assay.live.keeper import Keeper
        from assay.live.keys import secret_of
        from assay.live.serve import bound
        from assay.live.serve import serve as run
    except ImportError as error:
        raise MissingExtraError.of(error.name or "aiohttp", extra="live", to="serve") from None
    allowed = consented(consent)
    check_bind(host, needs_key=keys, tls=cert is not None)
    listen = _listen(host, port, cert, cert_key)
    own = {"--model": model}
    theirs = {"--processed": processed, "--key-env": key_env, "--engine": engine != "auto"}
    _check_one(upstream, embedded, own, theirs)
    behind = _engine(upstream, model, engine, key_env)
    adapters = None if upstream is None else adapters_of(upstream, engine, key_env)
    names = frozenset(LOOPBACK) if host in LOOPBACK else None
    with bound(listen) as taken, _alone(store, redact=redact) as opened:
        gateway = Gateway(
            upstream=behind,
            store=opened,
            guard=Guard(
                secret=secret_of(opened.path.parent), needs_key=keys, consent=allowed, hosts=names
            ),
            processed=processed or embedded,
            clock=time.time,
        )
        if embedded:
            behind.where = gateway.versions.path  # pyright: ignore[reportAttributeAccessIssue]
        run(
            gateway,
            listen,
            taken,
            retain=None if retain is None else retain * 86_400,
            ready=lambda address: _ready(address, store, consent, keys=keys),
            keeper=None if adapters is None else Keeper(gateway.versions, adapters),
        )
    say("stopped; every turn that was acknowledged is in the store")


def _check_one(
    upstream: str | None, embedded: bool, own: Mapping[str, object], theirs: Mapping[str, object]
) -> None:
    """Raises UsageError where not one of both serves, or an option of the other was given."""
    if (upstream is None) != embedded:
        raise UsageError("serve: give --upstream URL or --embedded, one of the two")
    one, other = ("--embedded", "--upstream") if embedded else ("--upstream", "--embedded")
    if idle := [name for name, value in (theirs if embedded else own).items() if value]:
        raise UsageError(f"serve: {idle[0]} is of {other}, and does nothing with {one}; drop it")


@contextmanager
def _alone(store: Path, *, redact: bool) -> "Generator[Store]":
    """The store of a gateway, which has no other: what one knows of its sessions and of requests
    under way no other can know."""
    from assay.files.folders import locked
    from assay.live.redaction import Redacted
    from assay.live.store import Store

    busy = f"{store}: another gateway serves this store; stop it, or choose another --store"
    with (
        Store.open(store, redact=Redacted() if redact else None) as opened,
        locked(opened.path.parent / "SERVE", busy),
    ):
        yield opened


def _ready(address: str, store: Path, consent: str, *, keys: bool) -> None:
    way = {"none": "is kept", "record": "is trained on: --consent train"}
    said = f"; nothing {way[consent]}" if consent in way else ""
    say(f"{address}  store {store}, consent {consent}{said}  (Ctrl-C stops)")
    say(f"OPENAI_BASE_URL={address}/r/myrun/v1  ANTHROPIC_BASE_URL={address}/r/myrun")
    if keys:
        say(f"a key: assay live key {store} --run myrun")


def _listen(host: str, port: int, cert: Path | None, key: Path | None) -> "Listen":
    from assay.live.serve import Listen

    if (cert is None) != (key is None):
        raise UsageError("--cert, --cert-key: give both, or neither")
    return Listen(host=host, port=port, cert=cert, key=key)


def _engine(
    upstream: str | None, model: str | None, engine: str, key_env: str | None
) -> "Server | Embedded":
    from assay.live.engines import known
    from assay.live.upstream import Server

    if upstream is None:
        from assay.policy.loading import START, check_installed

        check_installed("assay serve --embedded")
        from assay.live.embedded import Embedded

        return Embedded(model or START)
    asked = None if engine == "auto" else known(engine)
    return Server(upstream, key=_key(key_env), engine=asked, timeout=600.0, most=512)


def adapters_of(upstream: str, engine: str, key_env: str | None) -> "Adapters":
    """Returns what loads versions into an engine."""
    from assay.live.adapters import Adapters
    from assay.live.engines import known

    asked = None if engine == "auto" else known(engine)
    return Adapters(upstream, key=_key(key_env), engine=asked)


def _key(key_env: str | None) -> str | None:
    key = None if key_env is None else os.environ.get(key_env)
    if key_env is not None and not key:
        raise UsageError(f"--key-env {key_env}: there is no such variable, or it is empty")
    return key

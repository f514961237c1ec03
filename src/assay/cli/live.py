"""`assay live`: the store of a gateway: what is in it, and what is done with it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.options import Json, emit_one, out_option, spare
from assay.cli.prose import say
from assay.errors import DataError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from assay.live.forgetting import Forgot

app = typer.Typer(
    help="Live use: what a gateway kept, labels, versions.",
    no_args_is_help=True,
    add_completion=False,
)
Store = Annotated[Path, typer.Argument(help="Folder of assay serve --store.")]
STORE = Path("runs/live")
Model = Annotated[str, typer.Option(help="The policy before any version: start, a folder, a name.")]
Upstream = Annotated[
    str | None, typer.Option(metavar="URL", help="The engine that serves, as of assay serve.")
]
Engine = Annotated[str, typer.Option(help="auto, vllm, or sglang.")]
KeyEnv = Annotated[str | None, typer.Option(metavar="NAME", help="Variable with the engine's key.")]
_PAUSE = 2.0


@app.command("status")
def status(
    store: Store = STORE,
    page: Annotated[
        Path | None, typer.Option(help="Write a page there, too, that looks for newer ones.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Write the page anew until Ctrl-C.")
    ] = False,
    json: Json = None,
) -> None:
    """Says what is in a store: sessions, turns, labels, versions.

    The store may be written meanwhile.
    """
    from assay.live.status import sentences, write_page
    from assay.live.status import status as found
    from assay.live.store import Store as Opened

    if follow and page is None:
        raise UsageError("--follow: it is the page that is written anew; add --page FILE")
    for each in (page, json):
        not_own(each, store)
    with Opened.open(there(store), write=page is not None) as opened:
        made = found(opened, now=time.time())
        if json is not None:
            emit_one(made, json)
        if json != "-":
            for each in sentences(made):
                say(each)
        while page is not None:
            write_page(opened, page, now=time.time())
            if not follow:
                break
            time.sleep(_PAUSE)
    if page is not None:
        say(f"page  {page}", err=json == "-")


@app.command("label")
def label(
    turn: Annotated[str, typer.Argument(help="A turn's id, or a session's name.")],
    value: Annotated[str, typer.Argument(help="A number from 0 to 1, or none.")],
    store: Annotated[Path, typer.Option(help="Folder of assay serve --store.")] = STORE,
    source: Annotated[str, typer.Option(help="Who says so.")] = "person",
    reason: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Says of a turn, or of a session, what it was worth.

    It is a person's word (E4). Of one source the last counts.
    """
    from assay.live.store import Store as Opened
    from assay.records.live import TurnLabel

    with Opened.open(there(store)) as opened:
        sessions = opened.sessions()
        of = {each.turn.id: name for name, it in sessions.items() for each in it.turns}
        if turn not in of and turn not in sessions:
            raise UsageError(
                f"{turn}: no turn and no session of {store}; assay live status --page names them"
            )
        made = TurnLabel(
            session=of.get(turn, turn),
            at=time.time(),
            turn=turn if turn in of else None,
            value=_value(value),
            source=source,
            evidence="E4",
            reason=reason,
        )
        opened.append(made, durable=True).result()
    say(f"{turn}  {value} by {source}")


def _value(text: str) -> float | None:
    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise UsageError(f"{text}: expected a number from 0 to 1, or none")
    return value


@app.command("forget")
def forget(
    sessions: Annotated[list[str], typer.Argument(help="Names of sessions.")],
    store: Annotated[Path, typer.Option(help="Folder of assay serve --store.")] = STORE,
) -> None:
    """Deletes sessions, and what was made from them.

    Their text leaves the store and every file that was made from it. A session that was forgotten
    may be named again: what could not be reached then is tried anew.
    """
    from assay.live.store import Store as Opened

    failed = list[str]()
    with Opened.open(there(store)) as opened:
        known = {*opened.sessions(), *opened.forgotten(sessions)}
        if missing := [each for each in sessions if each not in known]:
            raise UsageError(
                f"{missing[0]}: no session of {store}; assay live status --page names them"
            )
        for name in sessions:
            made = opened.forget(name, at=time.time(), why="asked for")
            _say_reached(name, made)
            if made.versions:
                say(
                    f"  {', '.join(made.versions)} trained on it: weights are not undone; roll "
                    "back, or train again without it"
                )
            failed += made.failed
            if not made.settled:
                failed.append(f"{opened.path}-wal: a reader holds it; forget {name} again")
    if failed:
        raise DataError(f"not all was reached: {'; '.join(failed)}")


def _say_reached(name: str, made: "Forgot") -> None:
    """Says of each file what became of it."""
    count = len(made.rewritten) + len(made.deleted)
    reached = f", {count} file{'s' * (count != 1)} reached" if count else ""
    say(f"{name}  {made.events} events deleted{reached}")
    for word, files in (("its part went", made.rewritten), ("deleted", made.deleted)):
        for each in files:
            say(f"  {each}: {word}")
    for each in made.missing:
        say(f"  {each}: not there; if you moved it, delete it where it is")


@app.command("export")
def export(
    to: Annotated[str, typer.Option(help="atif, otel, or verifiers.")],
    out: Annotated[Path, out_option(help="A .jsonl file; of verifiers a folder.")],
    store: Store = STORE,
    method: Annotated[
        str, typer.Option("--method", "-m", help="Of verifiers: whose credit it holds.")
    ] = "grpo",
) -> None:
    """Writes a store's conversations in a form of others.

    What it writes is known to the store: to forget a session reaches it.
    """
    from assay.live.store import Store as Opened
    from assay.live.traces import write_traces

    spare(out, there(store))
    if to != "verifiers":
        with Opened.open(store) as opened:
            count = write_traces(opened, out, to=to, now=time.time())
        say(f"{out}  {count:,} conversations")
        return
    from assay.exporters.export import export as export_log

    made = export_log(store, out, to=to, method=method)
    say(f"{out}  {made['rows']:,} rows, {made['tokens']:,} tokens with an advantage")
    with Opened.open(store, write=False) as opened:
        turns = opened.turns()
    labels, hints = sum(len(t.labels) for t in turns), sum(len(t.hints) for t in turns)
    if labels or hints:
        say(f"left out: {labels} labels of turns, {hints} hints: verifiers has no place for them")


@app.command("key")
def key(
    store: Store = STORE,
    run: Annotated[str, typer.Option(help="The run that it is for.")] = "myrun",
    session: Annotated[str | None, typer.Option(help="It is for one session alone.")] = None,
    user: Annotated[str, typer.Option(help="Whose it is.")] = "",
    consent: Annotated[
        str | None, typer.Option(help="The most its sessions allow: none, record, train.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.0, help="How long it holds.")] = None,
) -> None:
    """Makes a key for a gateway's clients.

    It is signed with the store's secret, and no list of keys is kept.
    """
    try:
        from assay.live.guard import check_run, consented
        from assay.live.keys import Key, minted, secret_of
    except ImportError as error:
        raise MissingExtraError.of(error.name or "aiohttp", extra="live", to="a key") from None
    check_run(run)
    until = None if days is None else time.time() + 86_400 * days
    allowed = None if consent is None else consented(consent)
    made = Key(run=run, session=session, user=user, consent=allowed, until=until)
    typer.echo(minted(secret_of(there(store)), made))


def not_own(to: str | Path | None, store: Path) -> None:
    """Refuses to write a result over what is a store's own."""
    from assay.importers.live import check_not_own

    if to not in (None, "-"):
        check_not_own(to, there(store))


def there(store: Path) -> Path:
    """Returns the folder of a store.

    Raises:
        DataError: there is none.
    """
    from assay.live.store import FILE

    if not (store / FILE).is_file():
        raise DataError(f"{store}: no store there; expected the folder of assay serve --store")
    return store

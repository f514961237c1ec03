"""`assay live resolve`: what came after turns becomes labels and hints."""

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.live import STORE, Store, there
from assay.cli.prose import say

if TYPE_CHECKING:
    from assay.live.resolver import Listener


def resolve(
    store: Store = STORE,
    judge: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a model, too: http://.../v1.")
    ] = None,
    model: Annotated[str, typer.Option(help="What its server calls it.")] = "default",
    key: Annotated[str, typer.Option(metavar="NAME", help="Variable with the server's key.")] = "",
    votes: Annotated[int, typer.Option(min=1, help="Answers to each question, odd.")] = 3,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until Ctrl-C, beside the gateway.")
    ] = False,
) -> None:
    """Turns next states into labels and hints.

    Users' plain words and tools' errors are read by rules; a judge is probed first, and one that
    is unfit says nothing. Gateway and store may be in use meanwhile.
    """
    from assay.files.folders import locked
    from assay.live.resolver import Resolver
    from assay.live.store import Store as Opened

    place = there(store)
    with (
        Opened.open(place) as opened,
        locked(place / "RESOLVE", f"{place}: another process resolves turns of this store"),
    ):
        listeners = _listeners(judge, model, key, votes)
        resolver = Resolver(opened, listeners, say=lambda text: say(text, err=True))
        count = resolver.step()
        say(f"{place}  {count} turn{'s' * (count != 1)} resolved")
        if follow:
            resolver.follow(threading.Event())


def _listeners(url: str | None, model: str, key: str, votes: int) -> "list[Listener]":
    """Returns who is asked; a judge is probed, and what was found is said."""
    from assay.feedback.judge import FromJudge
    from assay.feedback.settings import Hints, judge_of
    from assay.judges.probes import probe
    from assay.live.resolver import Listener, by_rule

    if url is None:
        return by_rule()
    judge = judge_of(Hints(source="judge", url=url, model=model, key=key, votes=votes))
    found = probe(judge)
    for line in found.sentences():
        say(f"judge {url}: {line}", err=True)
    rates = found.rates
    return [*by_rule(), Listener(FromJudge(judge, found), "E1", rates.rho0, rates.rho1)]

"""`assay live publish`, `assay live rollback`: which version serves."""

import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.cli.live import STORE, Store, there
from assay.cli.options import Json, emit_one, seed_option
from assay.cli.prose import say
from assay.policy.loading import START, check_installed


def publish(
    store: Store = STORE,
    version: Annotated[
        str | None, typer.Option(help="Its name; by default the one made last.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="The policy before any version: start, a folder, a name.")
    ] = START,
    suites: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Suites, in TOML: docs/live.md.")
    ] = None,
    seed: Annotated[int, seed_option(help="Of the chance that both versions get.")] = 0,
    json: Json = None,
) -> None:
    """Lets a version serve that is surely not worse.

    It and the version that serves play suites of fixed tasks with the same chance. Exits with 1,
    and refuses the version for good, if a suite's loss could be above the tolerated one.
    """
    check_installed("assay live publish")
    from assay.live.canary import figures_of
    from assay.live.publisher import Publisher, check_not_stopped, files_of, serving
    from assay.live.store import Store as Opened
    from assay.live.suites import SUITES, read_suites

    asked = SUITES if suites is None else read_suites(suites)
    with Opened.open(there(store)) as opened:
        check_not_stopped(opened)
        publisher = Publisher(opened, time.time)
        made = publisher.candidate(version)
        before = _player(files_of(serving(opened), model), model, seed)
        found = publisher.publish(made, asked, before, _player(made.path, model, seed))
        state = opened.versions()[made.name].state
    if json is not None:
        told = {"schema": "assay.canary/1", "version": made.name, "state": state}
        emit_one({**told, "figures": dict(figures_of(found))}, json)
    for each in found:
        say(each.sentence(), err=json == "-")
    say(f"{made.name}  {state}", err=json == "-")
    if state != "served":
        raise typer.Exit(1)


def _player(where: str, base: str, seed: int) -> Any:
    """Returns what plays a suite with the policy of a version."""
    from assay.live.canary import played
    from assay.live.training import opened

    model, tokenizer = opened(where, base)
    return partial(played, model=model, tokenizer=tokenizer, name=base, seed=(seed,))


def rollback(
    store: Store = STORE,
    why: Annotated[str, typer.Option(help="Kept with the version.")] = "",
) -> None:
    """Takes the version that serves back; the one before it serves.

    A version that was taken back never serves again.
    """
    from assay.live.publisher import Publisher
    from assay.live.store import Store as Opened

    with Opened.open(there(store)) as opened:
        gone, now = Publisher(opened, time.time).rollback(why)
    say(f"{gone.name}  taken back; {now.name if now else 'the policy before any version'} serves")

"""`assay live publish`, `assay live rollback`: which version serves."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.live import STORE, Engine, KeyEnv, Model, Store, Upstream, not_own, there
from assay.cli.options import Json, emit_one, seed_option
from assay.cli.prose import say
from assay.cli.serve import adapters_of
from assay.policy.loading import START, check_installed

if TYPE_CHECKING:
    from assay.live.adapters import Adapters
    from assay.live.canary import Play
    from assay.rollout.backends.server import Server


def publish(
    store: Store = STORE,
    version: Annotated[
        str | None, typer.Option(help="Its name; by default the one made last.")
    ] = None,
    model: Model = START,
    suites: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Suites, in TOML: docs/live.md.")
    ] = None,
    upstream: Upstream = None,
    engine: Engine = "auto",
    key_env: KeyEnv = None,
    seed: Annotated[int, seed_option(help="Of the chance that both versions get.")] = 0,
    json: Json = None,
) -> None:
    """Lets a version serve that is surely not worse.

    It and the version that serves play suites of fixed tasks with the same chance. Exits with 1,
    and refuses the version for good, if a suite's loss could be above the tolerated one. With
    --upstream the engine loads it, and is asked for what is played.
    """
    not_own(json, store)
    check_installed("assay live publish")
    from assay.live.adapters import check_adapter
    from assay.live.canary import figures_of
    from assay.live.publisher import Publisher, check_not_stopped, files_of, serving
    from assay.live.store import Store as Opened
    from assay.live.suites import SUITES, read_suites

    asked = SUITES if suites is None else read_suites(suites)
    with Opened.open(there(store)) as opened:
        check_not_stopped(opened)
        behind = None if upstream is None else adapters_of(upstream, engine, key_env)
        publisher = Publisher(opened, time.time, behind)
        made, now = publisher.candidate(version), serving(opened)
        if behind is None:
            before = _player(files_of(now, model), model, seed)
            after = _player(made.path, model, seed)
        else:
            check_adapter(made.name, made.path)
            before = _asker(behind, now.name if now else None, model, seed)
            after = _asker(behind, made.name, model, seed)
        found = publisher.publish(made, asked, before, after)
        after = opened.versions()[made.name]
    if json is not None:
        told = {"schema": "assay.canary/1", "version": made.name, "state": after.state}
        emit_one({**told, "figures": dict(figures_of(found))}, json)
    for each in found:
        say(each.sentence(), err=json == "-")
    why = f": {after.why}" if after.why else ""
    say(f"{made.name}  {after.state}{why}", err=json == "-")
    if after.state != "served":
        raise typer.Exit(1)


def _player(where: str, base: str, seed: int) -> Any:
    """Returns what plays a suite with the policy of a version."""
    from assay.live.canary import played
    from assay.live.training import opened

    model, tokenizer = opened(where, base)
    return partial(played, model=model, tokenizer=tokenizer, name=base, seed=(seed,))


def _asker(engine: "Adapters", name: str | None, base: str, seed: int) -> "Play":
    """Returns what plays a suite by asking an engine for a version; None: for the base."""
    from assay.live.canary import played
    from assay.policy.loading import speaks

    speaker, tokenizer = speaks(base)
    backend = sampler(engine, name, tokenizer)
    return partial(
        played, model=speaker, tokenizer=tokenizer, name=base, seed=(seed,), backend=backend
    )


def sampler(engine: "Adapters", name: str | None, tokenizer: Any) -> "Server":
    """Returns what samples by asking an engine for a version; None: for the base."""
    from assay.rollout.backends.server import Server

    asked = engine.asked(name)
    more = {key: value for key, value in asked.items() if key != "model"}
    return Server(engine.url, asked["model"], tokenizer, key=engine.key, more=more)


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

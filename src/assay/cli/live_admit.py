"""`assay live admit`: whether hints of live sources help, by answering their turns again."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.live import STORE, Engine, KeyEnv, Model, Store, Upstream, not_own, there
from assay.cli.live_publish import sampler
from assay.cli.options import Json, emit_one, seed_option, set_option, settings
from assay.cli.prose import say
from assay.cli.serve import adapters_of
from assay.cli.train import import_from_here
from assay.policy.loading import START, check_installed

if TYPE_CHECKING:
    from assay.live.adapters import Adapters
    from assay.records.live import Version
    from assay.rollout.backends.base import Backend


def admit(
    store: Store = STORE,
    check: Annotated[
        str, typer.Option(help="What a good answer is: later, or PACKAGE:FUNCTION.")
    ] = "later",
    pairs: Annotated[int, typer.Option(min=1, help="Turns of each source, at most.")] = 64,
    model: Model = START,
    upstream: Upstream = None,
    engine: Engine = "auto",
    key_env: KeyEnv = None,
    set_: Annotated[
        list[str] | None, set_option(metavar="NAME=VALUE", help="share, age, most. Repeatable.")
    ] = None,
    seed: Annotated[int, seed_option(help="Of the chance, and of the turns drawn.")] = 0,
    json: Json = None,
) -> None:
    """Measures whether hints help, on turns that were wrong.

    The version that serves answers each prompt again, told the hint and told nothing. A source
    counts in training while the answers are surely better when it is heard: docs/hints.md. later:
    good is what the same user accepted afterwards. A turn is played once for each source.
    """
    not_own(json, store)
    check_installed("assay live admit")
    import_from_here()
    from assay.files.folders import locked
    from assay.live.admission import standings
    from assay.live.checks import check_of
    from assay.live.publisher import folder_of, serving
    from assay.live.replays import Replayer
    from assay.live.selection import BASE, Rules
    from assay.live.store import Store as Opened
    from assay.recipes.settings import converted

    by, rules = check_of(check), converted(settings(set_), Rules, "assay live admit")
    behind = None if upstream is None else adapters_of(upstream, engine, key_env)
    with Opened.open(there(store)) as opened:
        home = folder_of(opened)
        with locked(home / "ADMIT", f"{home}: another process measures hints of this store"):
            now = serving(opened)
            replayer = Replayer(opened, by, rules, time.time)
            new = replayer.step(
                _backend(now, model, behind), base=model, version=now.name if now else BASE,
                pairs=pairs, seed=(seed,),
            )  # fmt: skip
        found = standings([*opened.sessions().values()])
    if json is not None:
        rows = {name: {**each.row(), "new": new.get(name, 0)} for name, each in found.items()}
        emit_one({"schema": "assay.live-admit/1", "check": by.name, "sources": rows}, json)
    if json != "-":
        for name, each in found.items():
            say(f"hints by {each.sentence(name)}; {new.get(name, 0)} new")
        if not found:
            say("no hints in it yet: assay live resolve")


def _backend(now: "Version | None", base: str, behind: "Adapters | None") -> "Backend":
    """Returns what samples with the version that serves."""
    from assay.live.publisher import files_of
    from assay.live.training import opened
    from assay.policy.loading import speaks
    from assay.rollout.backends.local import Transformers

    if behind is None:
        return Transformers(*opened(files_of(now, base), base))
    return sampler(behind, now.name if now else None, speaks(base)[1])

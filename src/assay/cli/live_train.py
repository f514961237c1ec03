"""`assay live train`: a new version of the policy, from the turns that may teach."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.cli.live import STORE, Model, Store, there
from assay.cli.options import out_option, set_option, settings
from assay.cli.prose import say
from assay.policy.loading import START, check_installed

if TYPE_CHECKING:
    from assay.records import Trajectory


def train(
    store: Store = STORE,
    *,
    out: Annotated[Path, out_option(help="Folder of the run.")],
    model: Model = START,
    signal: Annotated[
        str, typer.Option(help="combined; labels alone: binary; hints alone: hints.")
    ] = "combined",
    lora: Annotated[int, typer.Option(min=0, help="Rank of adapters; 0: the whole policy.")] = 0,
    keep: Annotated[
        Path | None, typer.Option(metavar="LOG", help="Trajectories of it that stay likely.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        set_option(metavar="NAME=VALUE", help="learning_rate, turns, share, ... Repeatable."),
    ] = None,
) -> None:
    """Makes a new version from turns that were served.

    They are resolved, agreed to, of enough sessions, and no user has more than a quarter. Too few:
    it says what is missing and exits with 3. The version serves once it is published.
    """
    check_installed("assay live train")
    from assay.live.learning import Learning
    from assay.live.selection import Rules
    from assay.live.store import Store as Opened
    from assay.live.training import Training
    from assay.recipes.settings import converted, known_only

    given = settings(set_)
    fields = {*Learning.__struct_fields__, *Rules.__struct_fields__}
    known_only(given, fields, "--set")
    of_rules = {k: v for k, v in given.items() if k in Rules.__struct_fields__}
    of_learning = {k: v for k, v in given.items() if k in Learning.__struct_fields__}
    learning = converted(
        {"signal": signal, "lora": lora, **of_learning}, Learning, "assay live train"
    )
    rules = converted(of_rules, Rules, "assay live train")
    kept = () if keep is None else tuple(_read(keep))
    with Opened.open(there(store)) as opened:
        training = Training(
            opened, learning=learning, rules=rules, base=model, kept=kept, clock=time.time
        )
        made, unheard = training.run(out), training.unheard()
    for each in unheard:
        say(f"hints do not count of {each}; assay live admit measures them")
    say(f"{made.name}  from {made.parent}, {len(made.sessions)} sessions; run {out}")
    say(f"it does not serve yet: assay live publish {store}")


def _read(log: Path) -> "Iterator[Trajectory]":
    """Yields the trajectories of a log."""
    from assay.importers import load
    from assay.runs.directory import records_of

    yield from load(records_of(log))[1]

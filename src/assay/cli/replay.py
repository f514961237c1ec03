"""`assay replay`: the true advantage of decisions, and which credit comes near it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Column, Table

from assay.batch.parallel import processes as cores
from assay.cli.options import (
    LOOK,
    Json,
    Terminal,
    emit_one,
    out_option,
    seed_option,
    set_option,
    settings,
)
from assay.cli.prose import say
from assay.cli.train import import_from_here
from assay.errors import UsageError
from assay.policy.loading import check_installed, device

if TYPE_CHECKING:
    from assay.replay.run import Replay
    from assay.replay.source import Source


MOST: Final = 8
"""Rows of a table that is printed."""


def replay(
    run: Annotated[
        Path, typer.Argument(help="A run directory, or a log of an environment that can be reset.")
    ],
    decisions: Annotated[int, typer.Option(min=1, help="Decisions to replay, at most.")] = 200,
    samples: Annotated[
        int, typer.Option(min=2, help="Continuations from before each, and from after it.")
    ] = 32,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME[:OPTION=VALUE,...]",
            help="A method that must be among those compared. Repeatable.",
        ),
    ] = None,
    checkpoint: Annotated[
        int | None,
        typer.Option(min=0, help="Of a run: whose policy [default: the last; 0: the base]."),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Only decisions of this task. Repeatable.")
    ] = None,
    env: Annotated[
        str | None, typer.Option(help="Of a log: its environment, as textarena:TowerOfHanoi-v0.")
    ] = None,
    set_: Annotated[
        list[str] | None, set_option(metavar="NAME=VALUE", help="Of a log: a dial of --env.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Of a log: its policy; start, a folder, a name.")
    ] = None,
    seed: Annotated[int, seed_option(help="Of the choice of decisions and of all chance.")] = 0,
    processes: Annotated[
        int | None, typer.Option(min=1, help="At work together [default: one a core].")
    ] = None,
    out: Annotated[
        Path | None, out_option(file_okay=False, help="Folder [default of a run: RUN/replay].")
    ] = None,
    json: Json = None,
) -> None:
    """Replays decisions: what was each step really worth?

    A kill at any moment leaves a folder that the same command finishes.
    """
    check_installed("assay replay")
    import_from_here()
    from assay.replay import source as sources
    from assay.replay.run import Asked, Replay

    source = sources.of(
        run, decisions=decisions, checkpoint=checkpoint, env=env, dials=settings(set_), model=model
    )
    folder = out or source.out
    if folder is None:
        raise UsageError(f"{run}: is a log; name a folder for the result with -o")
    asked = Asked(decisions, samples, seed, tuple(task or ()), source.pass_at, about=source.about)
    work = Replay(source.records, folder, asked)
    named = method or ()
    work.claims(named)  # what cannot be compared, or written, is refused before anything is spent
    work.check()
    _played(work, source, processes)
    result = work.truth(named)
    if json is not None:
        emit_one(result, json)
    if json != "-":
        _print(result)
        typer.echo(f"all of it  {folder / 'truth.md'}{_held(result)}")


def _held(result: dict[str, Any]) -> str:
    from assay.replay.words import left_out

    return f"  ({said})" if (said := left_out(result)) else ""


def _played(work: "Replay", source: "Source", processes: int | None) -> None:
    """Says what is going to be spent, and spends it."""
    from assay.replay.words import budget
    from assay.rollout.progress import Progress, free_cores

    left = work.budget()
    if not left.decisions:
        return
    play = source.player(samples=work.asked.samples, seed=work.asked.seed)
    many = processes or (cores(left.decisions, 1) if device() == "cpu" else 1)
    say(source.said, err=True)
    # a short moment gets a core to itself where a longer one does not: seconds of a core, then
    seconds = work.pilot(play, time.process_time) * left.tokens / free_cores(many)
    say(budget(left.decisions, left.continuations, left.tokens, seconds), err=True)
    with Progress(len(work.chosen), "decisions") as progress:
        progress.begin(len(work.chosen) - left.decisions)
        work.play(play, processes=many, watch=lambda _: progress.tick())


def _print(result: dict[str, Any]) -> None:
    """Prints what stands highest; all of it is in the page."""
    from assay.replay.words import COLUMNS, HEADS, JUDGED, LEGEND, differing, headline, sentences

    console = Terminal()
    console.say(headline(result))
    for sentence in (*sentences(result), LEGEND):
        console.say(sentence)
    for metric in JUDGED:
        rows = differing(result, metric)
        if not rows:
            continue
        columns = [Column(head, no_wrap=True) for head in COLUMNS]
        made = Table(*columns, title=HEADS[metric], **LOOK)
        for cells in rows[:MOST]:
            made.add_row(*cells)
        console.print(made)

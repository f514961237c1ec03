"""`assay eval`: base, trained and a frozen copy through the same pipeline, with intervals."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from assay.cli.options import LOOK, Json, Terminal, emit_one, out_option, seed_option
from assay.cli.tables import interval
from assay.cli.train import import_from_here
from assay.policy.loading import check_installed


def evaluate(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories of the same base and tasks; one or more.")
    ],
    samples: Annotated[
        int | None, typer.Option(min=1, help="Attempts at each task [default: the recipe's].")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option(min=1, help="Held-out tasks [default: the recipe's].")
    ] = None,
    step: Annotated[int | None, typer.Option(help="Checkpoint [default: the last].")] = None,
    seed: Annotated[int, seed_option(help="Of sampling and of the intervals.")] = 0,
    small: Annotated[
        bool, typer.Option("--small", help="Accept k above half the samples, and its variance.")
    ] = False,
    out: Annotated[
        Path | None, out_option(file_okay=False, help="Folder [default: RUN/eval].")
    ] = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Write what stated confidence is worth.")
    ] = False,
    worth: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A recalibration.json to apply first."),
    ] = None,
    json: Json = None,
) -> None:
    """Measures a trained policy, its base and an untrained copy.

    That is pass@k on held-out tasks.
    """
    check_installed("assay eval")
    import_from_here()
    from assay.evaluate.recalibration import Platt
    from assay.evaluate.run import evaluate_runs

    result, folder = evaluate_runs(
        runs,
        samples=samples,
        prompts=prompts,
        step=step,
        seed=seed,
        small=small,
        out=out,
        worth=None if worth is None else Platt.load(worth),
        recalibrate=recalibrate,
    )
    if json is not None:
        emit_one(result, json)
    if json != "-":
        _print(result)
        typer.echo(f"page    {folder / 'report.html'}")
        typer.echo(f"figure  {folder / 'pass_at_k.svg'}")


def _print(result: dict[str, Any]) -> None:
    from assay.report.evaluation import honesty, policies, read_books, sentence

    title = f"pass@k, {result['prompts']} tasks, {result['samples']} samples, 95 % over tasks"
    arms = policies(result)
    columns = [Column(escape(name), justify="right") for name in ("k", *arms)]
    table = Table(*columns, title=title, **LOOK)
    for row, k in enumerate(result["k"]):
        cells = (f"{arm['pass_at_k'][row]:.3f} {interval(arm['ci'][row])}" for arm in arms.values())
        table.add_row(str(k), *cells)
    console = Terminal()
    console.print(table)
    for name in result["arms"]:
        console.say(sentence(result, name))
        if (honest := honesty(result, name)) is not None:
            console.say(honest)
        if (books := read_books(result, name)) is not None:
            console.say(books)

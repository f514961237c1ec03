"""`assay claims`: list, run and show experiments with their predictions and verdicts."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from assay.cli.ending import interruptible
from assay.cli.options import LOOK, Json, Terminal, emit_one, out_option
from assay.errors import UsageError
from assay.policy.loading import check_installed

if TYPE_CHECKING:
    from assay.claims import Experiment, Rows
    from assay.claims.cells import Cell, Scale

app = typer.Typer(
    help="Experiments: what was predicted, and what was seen.",
    no_args_is_help=True,
    add_completion=False,
)
Folder = Annotated[
    Path, typer.Option(help="Of the experiments and their committed rows, as in a checkout.")
]
CLAIMS: Final = Path("claims")
WIDE: Final = 200
"""Columns of a table of sentences where no terminal says how wide it is."""
Name = Annotated[str, typer.Argument(metavar="ID", help="As assay claims list names it.")]


@app.command("list")
def list_(folder: Folder = CLAIMS, json: Json = None) -> None:
    """Lists the experiments and how their predictions stand.

    They stand so by the committed results.
    """
    from assay.claims import committed, load
    from assay.claims.page import summary

    found = [summary(each, committed(folder, each.id)) for each in load(folder).values()]
    if json is not None:
        emit_one({"schema": "assay.claims-list/1", "claims": found}, json)
        return
    for each in found:
        typer.echo(f"{each['id']}  {each['title']}  ({each['runs']} runs committed)")
        for one in each["predictions"]:
            typer.echo(f"  {one['id']:<11} {one['verdict']:<8} {one['says']}")


@app.command("run")
def run(
    name: Name,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few cells, one seed, wide intervals: does it run?")
    ] = False,
    scale: Annotated[str, typer.Option(help="quick, full, and what else it has.")] = "full",
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds [default: the scale's].")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only cells whose key begins so: lookup-weak. Repeatable."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Cells at a time [default: one a core].")
    ] = None,
    out: Annotated[Path | None, out_option(help="Folder [default: runs/claims/ID-SCALE].")] = None,
    committed_: Annotated[
        bool,
        typer.Option(
            "--committed", help="Go on from the committed rows: only what they lack is run."
        ),
    ] = False,
    folder: Folder = CLAIMS,
) -> None:
    """Runs an experiment's cells.

    Run again after a kill, it does only what is left.
    """
    from assay.claims import committed, experiment
    from assay.claims.runner import run as work

    chosen = experiment(name, folder)
    if scale not in chosen.scales:
        raise UsageError(f"--scale {scale}: {name} has {', '.join(chosen.scales)}")
    at = chosen.scales["quick" if quick else scale]
    cells = _cells(chosen, at, seeds, only or (), few=quick)
    check_installed("assay claims run")
    where = out or Path("runs/claims") / f"{name}-{at.name}"
    if committed_:
        _begun(committed(folder, name), at, where / "rows.jsonl")
    many = workers or os.cpu_count() or 1
    with interruptible():  # or workers' semaphores stay behind
        rows = work(
            cells,
            at,
            where,
            workers=many,
            say=typer.echo,
            beside=chosen.about,
            work=chosen.work,
            known=committed(folder, name).rows,
        )
    typer.echo(f"results  {_written(chosen, rows, where)}")


def _cells(
    chosen: "Experiment", at: "Scale", seeds: int | None, only: Sequence[str], *, few: bool
) -> "list[Cell]":
    """Returns the cells of a scale whose keys begin so; few: those that are for a quick look."""
    cells = list(chosen.cells(at, seeds or at.seeds))
    if few:
        cells = [each for each in cells if each.key.rpartition("-")[0] in chosen.quick]
    if only:
        cells = [each for each in cells if each.key.startswith(tuple(only))]
    if not cells:
        raise UsageError(f"--only {' '.join(only)}: no cell's key begins so")
    return cells


def _begun(rows: "Rows", scale: "Scale", path: Path) -> None:
    """Writes the committed rows of an experiment, unless there are rows already."""
    from assay.claims.results import data
    from assay.files.lines import write_rows

    if path.exists():
        return
    other = {row.about["scale"] for row in rows.rows} - {scale.name}
    if other:
        raise UsageError(
            f"--committed: the committed rows are of scale {', '.join(sorted(other))}, asked is "
            f"{scale.name}; leave it out, or ask for their scale"
        )
    write_rows(path, map(data, rows.rows))


def _written(experiment: "Experiment", rows: "Rows", where: Path) -> Path:
    from assay.claims.page import figures, page
    from assay.files.atomic import publish

    made = figures(experiment, rows)
    for file, svg in made.items():
        publish(where / file, svg)
    to = where / f"{experiment.id}.md"
    publish(to, page(experiment, rows, {file.removesuffix(".svg"): file for file in made}).encode())
    return to


@app.command("show")
def show(
    name: Name,
    run_: Annotated[
        Path | None, typer.Option("--run", help="A folder of your own [default: the committed].")
    ] = None,
    out: Annotated[Path | None, out_option(help="Write page and figures to this folder.")] = None,
    folder: Folder = CLAIMS,
    json: Json = None,
) -> None:
    """Shows predictions, what was seen, and the verdicts."""
    from assay.claims import committed, experiment
    from assay.claims.page import summary, told, verdicts
    from assay.claims.results import read

    chosen = experiment(name, folder)
    if run_ is not None and not (run_ / "rows.jsonl").is_file():
        raise UsageError(f"--run {run_}: no rows.jsonl there; give a folder of assay claims run")
    rows = committed(folder, name) if run_ is None else read(run_ / "rows.jsonl")
    if json is not None:
        emit_one(summary(chosen, rows), json)
    if out is not None:
        typer.echo(f"page  {_written(chosen, rows, out)}", err=json == "-")
    if json is not None or out is not None:
        return
    columns = ("", "predicted", "refuted if", "seen, 95 %", "verdict")
    table = Table(*columns, title=chosen.title, **LOOK)
    for each, seen, verdict in verdicts(chosen, rows):
        table.add_row(each.id, each.says, each.refuted_if, told(seen, each.unit), verdict)
    console = Terminal()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)
    console.say(
        "held: the whole interval lies as predicted; refuted: as the prediction says that it would "
        f"be; else open. Arms, runs, figures: assay claims show {name} -o FOLDER"
    )

"""`assay credit`: one annotation file per method, beside the log and never in it."""

from pathlib import Path
from typing import Annotated

import typer

from assay.audit import annotations, step_credit
from assay.cli.options import Format, Json, Log, PassAt, emit, encoded, settings
from assay.errors import UsageError
from assay.pipeline import credits
from assay.recipes import Recipe
from assay.runs.audit import gated_batch


def credit(
    log: Log,
    method: Annotated[
        list[str], typer.Option("--method", "-m", help="A method's name. Repeatable.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for one METHOD.jsonl each.")
    ] = None,
    json: Json = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Option of the method, name=value.")
    ] = None,
    like: Annotated[
        str | None, typer.Option("--like", help="Reproduce an engine: trl, verl, rllm ...")
    ] = None,
    format: Format = None,
    pass_at: PassAt = 1.0,
) -> None:
    """Computes advantages per step and writes them as annotations beside the log."""
    if (out is None) == (json is None):
        raise UsageError("give -o FOLDER for annotation files, or --json - for standard output")
    options = settings(set_)
    if options and len(method) > 1:
        raise UsageError("--set belongs to one method; run the command once for each")
    recipe = Recipe.compared(method, pass_at=pass_at, options={"like": like, **options})
    batch, decisions, _ = gated_batch(log, format=format, pass_at=pass_at)
    written: list[bytes] = []
    for name, advantages in credits(batch, recipe):
        steps = step_credit(batch, advantages)
        lines = [encoded(line) for line in annotations(batch, decisions, name, steps)]
        if out is not None:
            emit(lines, str(out / f"{name}.jsonl"))
            typer.echo(f"{out / f'{name}.jsonl'}  {len(lines):,} trajectories", err=False)
        written += lines
    if json is not None:
        emit(written, json)

"""`assay credit`: one annotation file per method, beside the log and never in it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from assay.audit import method as method_with_bar
from assay.audit.annotations import annotations, step_credit
from assay.cli.options import Format, Json, Log, PassAt, emit, encoded, settings
from assay.credit import Method
from assay.credit import credit as credit_stage
from assay.credit import method as method_of
from assay.errors import UsageError
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
    options = {"like": like, **options}
    chosen = {name: _method(name, pass_at, options) for name in dict.fromkeys(method)}
    batch, decisions, _ = gated_batch(log, format=format, pass_at=pass_at)
    written: list[bytes] = []
    for name, by in chosen.items():
        credited = step_credit(batch, credit_stage(batch, by))
        lines = [encoded(line) for line in annotations(batch, decisions, name, credited)]
        if out is not None:
            emit(lines, str(out / f"{name}.jsonl"))
            typer.echo(f"{out / f'{name}.jsonl'}  {len(lines):,} trajectories", err=False)
        written += lines
    if json is not None:
        emit(written, json)


def _method(name: str, pass_at: float, options: dict[str, Any]) -> Method:
    """Returns a method; a `pass_at` of its own, by --set, wins over --pass-at."""
    if "pass_at" in options:
        return method_of(name, **options)
    return method_with_bar(name, pass_at=pass_at, **options)

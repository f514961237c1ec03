"""`assay credit`: one annotation file per method, beside the log and never in it."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from assay.audit import annotations, step_credit
from assay.cli import options as opt
from assay.cli.prose import say
from assay.errors import UsageError
from assay.pipeline import credits
from assay.recipes import Recipe
from assay.runs.audit import gated_batch


def credit(
    log: opt.Log,
    method: Annotated[
        list[str], typer.Option("--method", "-m", help="A method's name. Repeatable.")
    ],
    out: Annotated[Path | None, opt.out_option(help="Folder for one METHOD.jsonl each.")] = None,
    json: opt.Json = None,
    set_: Annotated[
        list[str] | None, opt.set_option(help="Option of the method, name=value.")
    ] = None,
    like: Annotated[
        str | None, typer.Option("--like", help="Reproduce an engine: trl, verl, rllm ...")
    ] = None,
    format: opt.Format = None,
    control: Annotated[
        str, typer.Option("--control", help="none, or its shuffled or random control.")
    ] = "none",
    dose: Annotated[
        float | None, typer.Option("--dose", help="Scale to this mean |A| of a trained token.")
    ] = None,
    seed: Annotated[int, opt.seed_option(help="Of the control.")] = 0,
    pass_at: opt.PassAt = 1.0,
    outcome: opt.Outcome = None,
    group: opt.Group = None,
    strict: opt.Strict = False,
    map: opt.Map = None,
    labels: opt.Labels = None,
) -> None:
    """Computes advantages per step, as annotations beside the log."""
    if (out is None) == (json is None):
        raise UsageError("give -o FOLDER for annotation files, or --json - for standard output")
    opt.spare(json, log)
    options = opt.settings(set_)
    if options and len(method) > 1:
        raise UsageError("--set belongs to one method; run the command once for each")
    recipe = Recipe.compared(
        method,
        pass_at=pass_at,
        options={"like": like, **options},
        control=control,
        dose=dose,
    )
    choices = opt.chosen(outcome, group, map, strict=strict, labels=labels)
    batch, decisions, _ = gated_batch(
        log, format=format, pass_at=pass_at, choices=choices, recipe=recipe
    )
    if np.isnan(batch.outcome_K).all():
        say(
            f"assay: {log}: no trajectory has an outcome, so every advantage is null; give "
            "outcomes with --outcome, or with assay label",
            err=True,
        )
    written: list[bytes] = []
    for plain, advantages in credits(batch, recipe, seed=(seed, 0)):
        name = plain if control == "none" else f"{plain}-{control}"
        steps = step_credit(batch, advantages)
        lines = [opt.encoded(line) for line in annotations(batch, decisions, name, steps)]
        if out is not None:
            opt.emit(lines, str(out / f"{name}.jsonl"))
            say(f"{out / f'{name}.jsonl'}  {len(lines):,} trajectories")
        written += lines
    if json is not None:
        opt.emit(written, json)

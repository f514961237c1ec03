"""`assay export`: the credit of a log in the form that an engine takes."""

from pathlib import Path
from typing import Annotated

import typer

from assay.audit.kinds import told
from assay.cli import options as opt
from assay.cli.prose import say
from assay.exporters.export import export
from assay.exporters.losses import SENTENCES, TRACE_ONLY


def export_log(
    log: opt.Log,
    method: Annotated[str, typer.Option("--method", "-m", help="A method's name.")],
    to: Annotated[
        str, typer.Option("--to", help="prime-rl, slime, verifiers, trl, skyrl or nemo.")
    ],
    out: Annotated[Path, opt.out_option(help="A folder; appears whole, with manifest.json.")],
    set_: Annotated[
        list[str] | None, opt.set_option(help="Option of the method, name=value.")
    ] = None,
    like: Annotated[
        str | None, typer.Option("--like", help="Reproduce an engine: trl, verl, rllm ...")
    ] = None,
    format: opt.Format = None,
    pass_at: opt.PassAt = 1.0,
    outcome: opt.Outcome = None,
    group: opt.Group = None,
    strict: opt.Strict = False,
    map: opt.Map = None,
    labels: opt.Labels = None,
) -> None:
    """Writes the credit of a log in the form that an engine takes."""
    made = export(
        log,
        out,
        to=to,
        method=method,
        options={"like": like, **opt.settings(set_)},
        format=format,
        pass_at=pass_at,
        choices=opt.chosen(outcome, group, map, strict=strict, labels=labels),
    )
    alone = made["tokens"] == 0 and TRACE_ONLY in made["lost"]
    of = ", all of them 0" if made["all_zero"] else ""
    held = "one advantage each" if alone else f"{made['tokens']:,} tokens with an advantage"
    say(f"{out}  {made['rows']:,} rows, {held}{of}")
    if made["all_zero"]:
        say(
            f"every advantage is 0: {method} finds no difference to teach by in these groups; "
            f"assay audit {log} counts the dead ones and names the methods that find a signal "
            "there",
            err=True,
        )
    for name, lost in made["lost"].items():
        kind, _, of = name.partition(":")
        said = told(SENTENCES[kind], lost["count"], of) if kind in SENTENCES else name
        say(f"{said}; the first: {lost['first']}", err=True)

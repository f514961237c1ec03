"""`assay compare`: two logs of the same tasks, and what changed."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from assay.cli import options as opt
from assay.cli.prose import headed
from assay.cli.tables import listed
from assay.files.atomic import refuse_folder
from assay.runs.compare import compare_logs

_COLUMNS = ("A", "B", "change", "95 %", "tasks")


def compare(
    a: Annotated[Path, typer.Argument(help="The first log: a file, a folder, a run directory.")],
    b: Annotated[Path, typer.Argument(help="The second log, of the same tasks.")],
    format_a: Annotated[
        str | None, typer.Option("--format-a", help="Name the first log's format.")
    ] = None,
    format_b: Annotated[
        str | None, typer.Option("--format-b", help="Name the second log's format.")
    ] = None,
    out: Annotated[
        Path | None, opt.out_option(metavar="FILE", help="The page, a file of HTML.")
    ] = None,
    json: opt.Json = None,
    pass_at: opt.PassAt = 1.0,
    outcome: opt.Outcome = None,
    group: opt.Group = None,
    strict: opt.Strict = False,
    map: opt.Map = None,
    labels_a: Annotated[
        Path | None, typer.Option("--labels-a", help="Outcomes that `assay label` gave the first.")
    ] = None,
    labels_b: Annotated[
        Path | None, typer.Option("--labels-b", help="Outcomes that it gave the second.")
    ] = None,
    seed: Annotated[int, opt.seed_option(help="Of the bootstrap intervals.")] = 0,
) -> None:
    """Aligns two logs by task and shows what changed.

    Intervals are paired by task. --map is for both, or for the one whose format is not named.
    """
    for to in (out, json):
        opt.spare(to, a, b)
    if out is not None:
        refuse_folder(out)
    # a side whose format is named is no table, unless both are: then --map is an error
    tables = [each in (None, "mapped") for each in (format_a, format_b)]
    first, second = (
        opt.chosen(
            outcome, group, map if own or not any(tables) else None, strict=strict, labels=of
        )
        for own, of in zip(tables, (labels_a, labels_b), strict=True)
    )
    result = compare_logs(
        a,
        b,
        formats=(format_a, format_b),
        pass_at=pass_at,
        choices=(first, second),
        seed=seed,
    )
    if out is not None:
        from assay.report.compare import page

        opt.emit([page(result).encode("utf-8", "replace")], str(out))
    if json is not None:
        opt.emit_one(result, json)
    if json != "-":
        _print(result)
        if out is not None:
            opt.Terminal().say(f"page  {out}")


def _print(result: dict[str, Any]) -> None:
    from assay.audit.kinds import told
    from assay.report.compare import rows, sentences, trained

    console = opt.Terminal()
    for name in ("a", "b"):
        log = result[name]
        console.say(
            headed(
                log["source"],
                f"{told('{n} [trajectory|trajectories]', log['trajectories'])} in "
                f"{told('{n} [group|groups]', log['groups'])}, format {log['format']}",
                mark=f"{name.upper()}  ",
            )
        )
        if log["training"]:
            console.say(trained(log["training"]))
        console.print(*([listed("!", log["warnings"])] if log["warnings"] else ()), Text())
    right = [Column(name, justify="right", no_wrap=True) for name in _COLUMNS]
    title = "Means over tasks; change is B - A"
    table = Table(Column("", no_wrap=True), *right, title=title, **opt.LOOK)
    for _, cells in rows(result):
        table.add_row(*cells)
    console.print(table)
    if any(each["tasks"] and each["low"] is None for each in result["measures"].values()):
        console.print(Text("-: no interval from fewer than ten tasks, or where all change alike"))
    for line in sentences(result):
        console.say(line)

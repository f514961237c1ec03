"""`assay audit --explain-dead`: which rungs could rescue each dead group, and what others lack."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Column, Table

from assay.cli.options import Terminal
from assay.files.lines import write_rows
from assay.importers import Choices, load
from assay.rescue.explain import Explained, explain, summary
from assay.runs.audit import AuditRun
from assay.runs.directory import records_of

FILE = "explain_dead.jsonl"
NONE = (
    "No rung can be tried with what this log holds. A run can try them while its environment is at "
    "hand to play again: assay train rescue, or AssayTrainer(environment=...) in a TRL script "
    "(docs/rescue.md)."
)
_SHOWN = 20
"""Groups that are listed on a terminal."""


def explain_dead(run: AuditRun, choices: Choices, pass_at: float) -> None:
    """Prints why the dead groups of an audited log are dead, and leaves a line for each beside the
    audit."""
    console = Terminal()
    _, records = load(records_of(run.source), format=run.format, choices=choices)
    found = explain(records, pass_at=pass_at)
    if run.folder is not None:
        (run.folder / FILE).unlink(missing_ok=True)  # an audit leaves what it does not know of
    if not found:
        console.say("dead groups: none in which every trajectory failed")
        return
    console.print(_rungs(found))
    if any(each.able for each in found):
        console.print(_groups(found))
    else:
        console.say(NONE)
    if run.folder is not None:
        rows = (
            {"group": each.group, "task": each.task, "size": each.size, "missing": each.missing}
            for each in found
        )
        path: Path = run.folder / FILE
        write_rows(path, rows)
        console.say(f"each of them    {path}")


def _rungs(found: Sequence[Explained]) -> Table:
    table = Table(
        "rung",
        "what it gives",
        Column("groups", justify="right"),
        "what the others lack, most often",
        title=f"What could rescue {len(found):,} groups in which every trajectory failed",
        title_justify="left",
        box=None,
    )
    for row in summary(found):
        lacks = f"{row['missing']} ({row['lacking']:,})" if row["missing"] else "-"
        table.add_row(row["rung"], row["gives"], f"{row['able']:,}", lacks)
    return table


def _groups(found: Sequence[Explained]) -> Table:
    more = f", the first {_SHOWN} of {len(found):,}" if len(found) > _SHOWN else ""
    table = Table(
        "group",
        Column("failed", justify="right"),
        "rungs that could be tried",
        title=f"Group by group{more}",
        title_justify="left",
        box=None,
    )
    for each in found[:_SHOWN]:
        table.add_row(each.group, str(each.size), ", ".join(each.able) or "none")
    return table

"""`assay import`: any log to Assay records."""

from pathlib import Path
from typing import Annotated

from assay.cli.options import (
    Format,
    Group,
    Labels,
    Log,
    Map,
    Outcome,
    Strict,
    chosen,
    out_option,
    spare,
)
from assay.cli.prose import say
from assay.importers import Losses, load
from assay.records import write


def import_log(
    log: Log,
    out: Annotated[Path, out_option(help="A .jsonl or .jsonl.zst file; appears whole.")],
    format: Format = None,
    outcome: Outcome = None,
    group: Group = None,
    strict: Strict = False,
    map: Map = None,
    labels: Labels = None,
) -> None:
    """Converts a log to Assay records, and says what is lost."""
    spare(out, log)
    losses = Losses()
    choices = chosen(outcome, group, map, strict=strict, labels=labels)
    name, trajectories = load(log, format=format, losses=losses, choices=choices)
    count = write(out, trajectories)
    say(f"{out}  {count:,} trajectories from {name}")
    from assay.report.losses import explained

    for kind, times, means in explained(dict(sorted(losses.counts.items()))):
        said = f"not carried over: {kind} x {times:,}, first at {losses.first[kind]}"
        say(f"{said} ({means})" if means else said, err=True)

"""`assay audit`: where the learning signal of a log is, and where it is lost."""

import math
import operator
import re
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from assay.audit import shares
from assay.cli import options as opt
from assay.cli.ending import interruptible
from assay.cli.explain import explain_dead as dead
from assay.cli.prose import headed, say
from assay.cli.tables import audit_tables
from assay.cli.watch import Watch
from assay.errors import UsageError, hint
from assay.files.shards import Shards, Source, log_of
from assay.runs.audit import AuditRun, audit_log
from assay.runs.directory import audited, is_training_run, place_of, records_of

_RULE = re.compile(r"\s*([a-z_]+)\s*(>=|>|<=|<)\s*(\S+)\s*")
_OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


@interruptible()
def audit(
    logs: opt.Logs,
    format: opt.Format = None,
    out: Annotated[Path | None, opt.out_option(help="Run directory [default: runs/NAME].")] = None,
    json: opt.Json = None,
    pass_at: opt.Bar = None,
    outcome: opt.Outcome = None,
    group: opt.Group = None,
    strict: opt.Strict = False,
    map: opt.Map = None,
    labels: opt.Labels = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option("--fail-on", help="Exit 1 if this holds, e.g. 'dead>0.4'. Repeatable."),
    ] = None,
    report: Annotated[bool, typer.Option(help="Build report.html.")] = True,
    redact: Annotated[bool, typer.Option(help="Blank secrets in the report.")] = True,
    seed: Annotated[int, opt.seed_option(help="Of the bootstrap intervals.")] = 0,
    ray: opt.Ray = None,
    cache: Annotated[
        bool, typer.Option(help="Read only what changed since the last audit into --out.")
    ] = True,
    explain_dead: Annotated[
        bool,
        typer.Option("--explain-dead", help="For each all-fail group: what could rescue it."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Audit again as the log grows, until Ctrl-C.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks of --watch.")
    ] = 5.0,
) -> None:
    """Shows where a log has a learning signal, and where it is lost."""
    log = log_of(logs)
    if watch and isinstance(log, Shards):
        raise UsageError("--watch takes one file or folder; name the folder above these")
    opt.spare(json, log)
    rules = [_rule(text) for text in fail_on or ()]
    if json is not None and out is None:
        report = False
    target = out or (None if json is not None else _default(log))
    replaced = None if target is None else audited(target)
    choices = opt.chosen(outcome, group, map, strict=strict, labels=labels)
    look = partial(
        audit_log,
        log,
        format=format,
        out=target,
        pass_at=pass_at,
        choices=choices,
        report=report,
        redact=redact,
        seed=seed,
        reuse=cache,
        by=opt.readers(ray),
    )
    if watch and not isinstance(log, Shards):
        run = Watch(log, lambda live: look(now=time.time_ns(), live=live), _print).run(interval)
    else:
        run = look(now=time.time_ns())
        if json != "-":
            _print(run)
            if replaced not in (None, place_of(run.source)):
                opt.Terminal().say(f"replaced       the audit of {replaced}")
    if explain_dead and json != "-":
        dead(run, choices, 1.0 if pass_at is None else pass_at)
    if json is not None:
        opt.emit_one(run.audit, json)
    broken = [text for text, holds in rules if holds(run.audit)]
    for text in broken:
        say(f"assay: --fail-on {text} holds", err=True)
    if broken:
        raise typer.Exit(1)


def _default(log: Source) -> Path:
    """Returns where an audit goes: into a training run, else to the log's name in runs/. Where the
    audit of another log of that name is, or the log itself, names of folders above are put before
    it."""
    if isinstance(log, Path) and is_training_run(log):
        return log / "audit"
    place = (log.root if isinstance(log, Shards) else log).resolve()
    mine = place_of(records_of(log))
    folder = Path("runs") / (place.name.split(".")[0] or "log")
    for above in place.parents:
        if folder.resolve() != place and audited(folder) in (None, mine):
            break
        folder = folder.with_name(f"{above.name.strip('.')}-{folder.name}")
    return folder


def _rule(text: str) -> tuple[str, Any]:
    """Returns a rule such as "dead>0.4" as (text, test on the audit)."""
    match = _RULE.fullmatch(text)
    known = "dead, punished, wasted, infra, unscored, false_claims, errors, fail"
    if match is None:
        raise UsageError(f"--fail-on {text}: expected NAME>NUMBER with NAME one of {known}")
    name, sign, number = match.groups()
    if name not in known.split(", "):
        near = hint(name, known.split(", "))
        raise UsageError(f"--fail-on {text}: no share {name!r}; known: {known}.{near}")
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not 0 <= bound <= 1:
        raise UsageError(
            f"--fail-on {text}: got {number!r}; expected a share from 0 to 1, as in {name}{sign}0.4"
        )
    return text, lambda result: _OPERATORS[sign](shares(result)[name], bound)


def _print(run: AuditRun) -> None:
    console = opt.Terminal()
    console.say(headed(str(run.source), f"{run.title}, format {run.format}"))
    console.say(run.reading)
    if run.again is not None:
        read, files = run.again
        console.say(
            f"read again: {read:,} of {files:,} files"
            if read
            else "read again: nothing, the log has not changed since the last audit"
        )
    for table in audit_tables(run.audit):
        console.print(table)
    if run.folder is not None:
        console.say(f"run directory  {run.folder}")
    if run.report is not None:
        console.say(f"report         {run.report}")

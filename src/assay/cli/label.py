"""`assay label`: outcomes for a log that has none, in a file beside it. The log is not changed."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from assay.cli import options as opt
from assay.cli.label_giver import Giver, count
from assay.cli.label_judge import by_judge, command_of
from assay.cli.label_table import by_table, write_template
from assay.cli.prose import say
from assay.errors import UsageError
from assay.files.folders import is_audit
from assay.importers import load
from assay.importers.base import Groups
from assay.records import Level, Trajectory
from assay.records.labels import ENDING
from assay.runs.directory import records_of
from assay.verify.drawing import drawn

_LEVELS: Final[dict[str, Level]] = {"E1": "E1", "E2": "E2", "E3": "E3", "E4": "E4"}


def label(
    log: opt.Log,
    table: Annotated[
        Path | None,
        typer.Option("--csv", help="A table: outcome; content, id, or task and trial."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(help="A command: gets a record on stdin, prints a number or null."),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write a table to fill in for --csv; - is stdout."),
    ] = None,
    audit: Annotated[
        int | None,
        typer.Option(min=1, help="Rows of --template: so many, drawn, of what judges decided."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw of --audit.")] = 0,
    out: Annotated[
        Path | None, opt.out_option(help="Labels file [default: LOG.labels.jsonl].")
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(help="Evidence level: E1 a judge, E2, E3 a check of the state, E4 a person."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Who says so, for the record.")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds a judgement may take.")] = 600,
    format: opt.Format = None,
    map: opt.Map = None,
) -> None:
    """Takes outcomes from a table or a judge, in a file beside."""
    if [table, judge, template].count(None) != 2:
        raise UsageError("give one of --csv FILE, --judge COMMAND and --template FILE")
    if audit is not None and template is None:
        raise UsageError("--audit draws the rows of a table: give --template FILE as well")
    if template is not None:
        some = None if audit is None else drawn(_read(log, format, map), audit, seed=seed)
        return _template(log, template, format, map, some)
    named = log if log.name.strip(".") else log.resolve()
    to = out or named.with_name(named.name + ENDING)
    command = [] if judge is None else command_of(judge)
    name = f"judge:{shlex.join(command)}" if table is None else f"csv:{table.name}"
    of = Giver(_level(level or ("E1" if table is None else "E3")), source or name, to)
    _check(to, log)
    groups = Groups()
    trajectories = _read(log, format, map, groups)
    if table is None:
        said = by_judge(command, trajectories, of, timeout)
    else:
        said = by_table(table, trajectories, of, groups)
    for line in said:
        say(line)
    aside = ["-o", f"{log}-labelled"] if is_audit(str(log)) else []
    _go_on(["audit", log, "--labels", to, *aside], format, map)


def _template(
    log: Path, to: str, format: str | None, map: str | None, some: set[int] | None
) -> None:
    """Writes a table to fill in, of some trajectories or (None) of all, and says how to hand it
    back."""
    if some is not None and not some:
        raise UsageError(f"{log}: --audit: no judge (E1, E2) decided an outcome of it")
    if to != "-":
        _check(Path(to), log)
    n = write_template(_read(log, format, map), to, some)
    if to != "-":
        say(f"{to}  {count(n, 'trajectory', 'trajectories')}; fill in outcome, as 1 or 0")
        by_hand = [] if some is None else ["--level", "E4"]
        _go_on(["label", log, "--csv", to, *by_hand], format, map)


def _read(
    log: Path, format: str | None, map: str | None, groups: Groups | None = None
) -> Iterator[Trajectory]:
    choices = opt.chosen(None, None, map)
    return load(records_of(log), format=format, choices=choices, groups=groups)[1]


def _go_on(command: list[str | Path], format: str | None, map: str | None) -> None:
    """Prints the command that goes on from there."""
    for option, value in (("--format", format), ("--map", map)):
        command += [] if value is None else [option, value]
    typer.echo(shlex.join(["assay", *(str(word) for word in command)]))


def _level(name: str) -> Level:
    if name not in _LEVELS:
        raise UsageError(f"--level {name}: expected E1, E2, E3 or E4 (docs/notation.md)")
    return _LEVELS[name]


def _check(to: Path, log: Path) -> None:
    """Raises UsageError where labels would replace the log, or be replaced themselves."""
    if to.is_dir() or to.resolve() in (log.resolve(), records_of(log).resolve()):
        raise UsageError(f"{to}: is the log, or a folder; name a file for labels")
    if any(is_audit(str(folder)) for folder in to.resolve().parents):
        raise UsageError(
            f"{to}: is in an audit's directory, which the next audit replaces; choose another --out"
        )

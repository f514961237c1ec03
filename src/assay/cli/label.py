"""`assay label`: outcomes for a log that has none, in a file beside it. The log is not changed."""

import csv
import json
import math
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, final

import typer

from assay.cli import options as opt
from assay.errors import DataError, UsageError
from assay.files.atomic import published
from assay.files.lines import cut
from assay.importers import load
from assay.records import Grade, Level, Trajectory, encode
from assay.records.labels import ENDING, Label, label_line, labels
from assay.runs.audit import records_of

_LEVELS = {"csv": "E3", "judge": "E1"}
_WORDS = {"true": 1.0, "false": 0.0, "pass": 1.0, "fail": 0.0, "passed": 1.0, "failed": 0.0}


def label(
    log: opt.Log,
    table: Annotated[
        Path | None,
        typer.Option("--csv", help="A table with id, or task and trial, and outcome."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(help="A command: gets a record on stdin, prints a number or null."),
    ] = None,
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
    """Takes outcomes from a table or a judge and writes them beside the log."""
    if (table is None) == (judge is None):
        raise UsageError("give --csv FILE or --judge COMMAND")
    level = level or _LEVELS["csv" if table is not None else "judge"]
    if level not in ("E1", "E2", "E3", "E4"):
        raise UsageError(f"--level {level}: expected E1, E2, E3 or E4 (docs/notation.md)")
    log = records_of(log)
    beside = log.resolve().with_name(log.resolve().name + ENDING)
    to = out or beside
    if to.is_dir() or to.resolve() == log.resolve():
        raise UsageError(f"{to}: is the log, or a folder; name a file for labels")
    _, trajectories = load(log, format=format, choices=opt.chosen(None, None, map))
    if table is not None:
        said = _from_table(table, trajectories, to, level, source or f"csv:{table.name}")
    else:
        command = _command(judge or "")
        name = source or f"judge:{Path(command[0]).name}"
        said = _from_judge(command, trajectories, to, level, name, timeout)
    for line in said:
        typer.echo(line)
    typer.echo(f"assay audit {log} --labels {to}")


# --- from a table


@final
@dataclass(slots=True)
class _Rows:
    """Rows of a table, by what they name; each is taken once."""

    path: Path
    by_id: dict[str, tuple[float, str]] = field(default_factory=dict[str, tuple[float, str]])
    by_trial: dict[tuple[str, str], tuple[float, str]] = field(
        default_factory=dict[tuple[str, str], tuple[float, str]]
    )
    empty: int = 0
    """Rows without an outcome."""

    def take(self, trajectory: Trajectory) -> tuple[float, str] | None:
        """Returns outcome and reason of the row of a trajectory, and takes the row away."""
        found = self.by_id.pop(trajectory.id, None)
        if found is None:
            trial = "" if trajectory.trial is None else str(trajectory.trial)
            found = self.by_trial.pop((trajectory.task, trial), None)
        return found

    def add(self, row: dict[str, str], line: int) -> None:
        """Takes in one row of the file."""
        text = (row["outcome"] or "").strip()
        if not text:
            self.empty += 1
            return
        value = _outcome(text, f"{self.path} line {line}: outcome")
        name = row.get("id") or ""
        number = (row.get("trial") or "").strip().removesuffix(".0")  # as tables write integers
        trial = (row.get("task") or "", number)
        rows: dict[Any, tuple[float, str]] = self.by_id if name else self.by_trial
        key: Any = name or trial
        if key in rows:
            raise DataError(f"{self.path} line {line}: {key!r} occurs twice; expected it once")
        rows[key] = value, row.get("reason") or ""

    def left(self) -> list[str]:
        """Returns what the rows that nobody took name."""
        return [*self.by_id, *(f"{task} trial {trial}" for task, trial in self.by_trial)]


def _rows(path: Path) -> _Rows:
    rows = _Rows(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
            names = reader.fieldnames or ()
            if "outcome" not in names or not ("id" in names or {"task", "trial"} <= {*names}):
                raise DataError(
                    f"{path}: got columns {', '.join(names) or 'none'}; expected outcome, and id "
                    "or task and trial"
                )
            for row in reader:
                rows.add(row, reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}; expected a table in UTF-8 with commas") from None
    return rows


def _outcome(text: str, where: str) -> float:
    try:
        value = _WORDS.get(text.lower())
        value = float(text) if value is None else value
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: got {text[:40]!r}; expected a number, true, false or nothing")
    return value


def _from_table(
    table: Path, trajectories: Iterator[Trajectory], to: Path, level: str, source: str
) -> Iterator[str]:
    rows, found = _rows(table), labels(to) if to.exists() else {}
    bare = kept = taken = 0
    for trajectory in trajectories:
        row = rows.take(trajectory)
        if row is None:
            bare += 1
            continue
        taken, kept = taken + 1, kept + (level != "E4" and trajectory.outcome is not None)
        grade = Grade(level=_level(level), value=row[0], source=source, reason=row[1])
        found[trajectory.id, source] = Label(id=trajectory.id, grade=grade)
    with published(to) as stream:
        stream.writelines(label_line(each) for each in found.values())
    yield f"{to}  {_count(taken, 'trajectory', 'trajectories')} labelled, {level} by {source}"
    if left := rows.left():
        yield f"{_count(len(left), 'row')} of no trajectory in the log, the first of {left[0]!r}"
    if rows.empty:
        yield f"{_count(rows.empty, 'row')} without an outcome"
    if bare:
        yield f"{_count(bare, 'trajectory', 'trajectories')} without a row"
    yield from _overruled(kept)


# --- from a judge


def _command(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--judge {text}: {error}") from None
    if not words:
        raise UsageError("--judge: empty; expected a command")
    return words


def _from_judge(
    command: list[str],
    trajectories: Iterator[Trajectory],
    to: Path,
    level: str,
    source: str,
    timeout: float,
) -> Iterator[str]:
    there = labels(to) if to.exists() else {}
    if to.exists():
        cut(to)  # a line that a kill cut short
    again = new = abstained = kept = 0
    to.parent.mkdir(parents=True, exist_ok=True)
    with to.open("ab", buffering=0) as stream:
        for trajectory in trajectories:
            kept += level != "E4" and trajectory.outcome is not None
            if (trajectory.id, source) in there:
                again += 1
                continue
            value = _judged(command, trajectory, timeout)
            grade = Grade(level=_level(level), value=value, source=source)
            stream.write(label_line(Label(id=trajectory.id, grade=grade)))
            new, abstained = new + 1, abstained + (value is None)
    yield f"{to}  {_count(new, 'trajectory', 'trajectories')} judged, {level} by {source}"
    if abstained:
        yield f"{abstained:,} of them without a verdict"
    if again:
        yield f"{_count(again, 'trajectory', 'trajectories')} had been judged before"
    yield from _overruled(kept)


def _judged(command: list[str], trajectory: Trajectory, timeout: float) -> float | None:
    """Returns what the judge prints of a trajectory.

    Raises:
        DataError: it cannot be run, fails, takes too long, or prints anything else.
    """
    name = f"--judge {command[0]}, trajectory {trajectory.id!r}"
    try:
        done = subprocess.run(
            command,
            input=encode(trajectory) + b"\n",
            stdout=subprocess.PIPE,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise UsageError(f"--judge {command[0]}: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise DataError(f"{name}: no verdict in {timeout:g} s; run again to go on") from None
    if done.returncode:
        raise DataError(f"{name}: ended with code {done.returncode}; run again to go on")
    text = done.stdout.decode("utf-8", "replace").strip()
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
        raise DataError(f"{name}: printed {text[:80]!r}; expected a number or null")
    return None if value is None else float(value)


def _level(name: str) -> Level:
    known: dict[str, Level] = {"E1": "E1", "E2": "E2", "E3": "E3", "E4": "E4"}
    return known[name]


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _overruled(kept: int) -> Iterator[str]:
    if kept:
        yield (
            f"{_count(kept, 'trajectory has', 'trajectories have')} an outcome in the log, which "
            "stands: only --level E4, a person, overrules it"
        )

"""Outcomes from a table, and the table to fill in."""

import csv
import io
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from assay.cli import options as opt
from assay.cli.label_giver import Giver, count
from assay.errors import DataError, UsageError
from assay.files.atomic import published
from assay.records import Trajectory
from assay.records.labels import label_line, labels

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WORDS: Final = {
    "true": 1.0,
    "false": 0.0,
    "pass": 1.0,
    "fail": 0.0,
    "passed": 1.0,
    "failed": 0.0,
}


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

    def add(self, names: list[str], cells: list[str], where: str) -> None:
        """Takes in one row of the file."""
        if len(cells) > len(names):
            raise DataError(
                f"{where}: got {len(cells)} cells; expected {len(names)}, one for each column "
                "(quote a cell that holds a comma)"
            )
        row = dict(zip(names, cells, strict=False))
        text = row.get("outcome", "").strip()
        if not text:
            self.empty += 1
            return
        value = _outcome(text, f"{where}: outcome")
        name = row.get("id", "")
        number = row.get("trial", "").strip().removesuffix(".0")  # as tables write integers
        trial = row.get("task", ""), number
        rows: dict[Any, tuple[float, str]] = self.by_id if name else self.by_trial
        key: Any = name or trial
        if key in rows:
            raise DataError(f"{where}: {key!r} occurs twice; expected it once")
        rows[key] = value, row.get("reason", "")

    def left(self) -> list[str]:
        """Returns what the rows that nobody took name."""
        return [*self.by_id, *(f"{task} trial {trial}" for task, trial in self.by_trial)]


def _rows(path: Path) -> _Rows:
    rows = _Rows(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            between = "\t" if path.suffix == ".tsv" else ","
            reader = csv.reader(stream, delimiter=between, strict=True)
            try:
                names = _columns(path, next(reader, []))
                for cells in filter(None, reader):
                    rows.add(names, cells, f"{path} line {reader.line_num}")
            except csv.Error as error:
                raise DataError(f"{path} line {reader.line_num}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; expected a table") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: no UTF-8; expected a table in UTF-8 with commas") from None
    return rows


def _columns(path: Path, names: list[str]) -> list[str]:
    if "outcome" not in names or not ("id" in names or {"task", "trial"} <= {*names}):
        raise DataError(
            f"{path}: got columns {', '.join(names) or 'none'}; expected outcome, and id or task "
            "and trial"
        )
    return names


def _outcome(text: str, where: str) -> float:
    value = _WORDS.get(text.lower())
    if value is None:
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: got {text[:40]!r}; expected a number, true, false or nothing")
    return value


def by_table(table: Path, trajectories: Iterator[Trajectory], of: Giver) -> Iterator[str]:
    """Writes the labels that a table gives; yields what it did."""
    rows, found = _rows(table), labels(of.to) if of.to.exists() else {}
    bare = kept = taken = 0
    for trajectory in trajectories:
        row = rows.take(trajectory)
        if row is None:
            bare += 1
            continue
        taken, kept = taken + 1, kept + of.is_overruled_by(trajectory)
        found[trajectory.id, of.source] = of.label(trajectory.id, *row)
    with published(of.to) as stream:
        stream.writelines(label_line(each) for each in found.values())
    labelled = f"{count(taken, 'trajectory', 'trajectories')} labelled"
    yield f"{of.to}  {labelled}, {of.level} by {of.source}"
    if left := rows.left():
        yield f"{count(len(left), 'row')} of no trajectory in the log, the first of {left[0]!r}"
    if rows.empty:
        yield f"{count(rows.empty, 'row')} without an outcome"
    if bare:
        yield f"{count(bare, 'trajectory', 'trajectories')} without a row"
    yield from of.said(kept, found)


def write_template(trajectories: Iterator[Trajectory], to: str) -> int:
    """Writes a table for `by_table`, its outcomes empty; returns of how many trajectories.

    Raises:
        UsageError: there is such a file: somebody may have filled it in.
    """
    if to != "-" and os.path.exists(to):
        raise UsageError(f"{to}: exists and may be filled in; choose another name, or remove it")
    text, n = io.StringIO(newline=""), 0
    writer = csv.writer(text, delimiter="\t" if to.endswith(".tsv") else ",", lineterminator="\n")
    writer.writerow(("id", "group", "task", "outcome", "reason"))
    for trajectory in trajectories:
        n += 1
        writer.writerow((trajectory.id, trajectory.group, trajectory.task, "", ""))
    opt.emit([text.getvalue().encode("utf-8", "backslashreplace")], to)
    return n

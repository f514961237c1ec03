"""Outcomes from a table, and the table to fill in."""

import csv
import io
import math
import os
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, final

from assay.cli import options as opt
from assay.cli.label_giver import Giver, count
from assay.errors import DataError, UsageError
from assay.files.atomic import published
from assay.importers.base import Groups
from assay.records import Trajectory
from assay.records.labels import Contents, label_line, labels

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WORDS: Final = {
    "true": 1.0,
    "false": 0.0,
    "pass": 1.0,
    "fail": 0.0,
    "passed": 1.0,
    "failed": 0.0,
}


_NAMES: Final = ("content", "id", "task", "trial", "outcome", "reason")
Row = tuple[float, str]
"""Outcome and reason."""


@final
@dataclass(slots=True)
class _Rows:
    """Rows of a table, by what they name; each is taken once."""

    path: Path
    rows: dict[tuple[str, ...], Row] = field(default_factory=dict[tuple[str, ...], Row])
    """By content, by id, or by task and trial: the name of the column, then what is in it."""
    taken: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])
    """Of each name that was taken, by which trajectory."""
    blank: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])
    """What rows without an outcome name."""
    empty: int = 0
    """How many rows have none."""
    spaced: int = 0
    """Rows whose names had spaces around them."""

    def take(self, trajectory: Trajectory, content: str, groups: Groups) -> Row | None:
        """Returns the row of a trajectory, and takes it away.

        Raises:
            DataError: it fits another as well, or goes by a number that is only a place.
        """
        keys = _keys(trajectory, content)
        by_trial, trial = keys[-1], keys[-1][2]
        for key in keys:
            if key == by_trial and (other := self.taken.get(key)) is not None:
                raise DataError(
                    f"{self.path}: task {trajectory.task!r} trial {trial} fits {other!r} and "
                    f"{trajectory.id!r}; name them by id"
                )
            if (found := self.rows.pop(key, None)) is None:
                continue
            self.taken[key] = trajectory.id
            if key[0] != "content" and _is_place(trajectory, key[0], groups):
                raise DataError(f"{self.path}: {' trial '.join(key[1:])!r} {_MOVES}")
            return found
        first = trajectory.id.rpartition("~")[0].strip()
        if ("id", first) in self.taken:  # told apart by the order in which they came
            raise DataError(f"{self.path}: {first!r} {_MOVES}")
        return None

    def leaves_open(self, trajectory: Trajectory, content: str) -> bool:
        """Is there a row of a trajectory, without an outcome?"""
        return not self.blank.isdisjoint(_keys(trajectory, content))

    def add(self, names: list[str], cells: list[str], where: str) -> None:
        """Takes in one row of the file."""
        if len(cells) > len(names):
            raise DataError(
                f"{where}: got {len(cells)} cells; expected {len(names)}, one for each column "
                "(quote a cell that holds a comma)"
            )
        row = dict(zip(names, cells, strict=False))
        said = [row.get(name, "") for name in ("content", "id", "task")]
        content, id, task = (each.strip() for each in said)
        number = row.get("trial", "").strip().removesuffix(".0")  # as tables write integers
        by_name = ("id", id) if id else ("trial", task, number)
        key = ("content", content) if content else by_name
        text = row.get("outcome", "").strip()
        if not text:
            self.blank.add(key)
            self.empty += 1
            return
        value = _outcome(text, f"{where}: outcome")
        self.spaced += said != [content, id, task]
        if key in self.rows:
            named = key[1] if len(key) == 2 else key[1:]
            raise DataError(f"{where}: {named!r} occurs twice; expected it once")
        self.rows[key] = value, row.get("reason", "")

    def left(self) -> list[str]:
        """Returns what the rows that nobody took name."""
        return [" trial ".join(key[1:]) for key in self.rows]


def _keys(trajectory: Trajectory, content: str) -> tuple[tuple[str, ...], ...]:
    """Returns what a row may name a trajectory by, best first, and last by task and trial."""
    trial = "" if trajectory.trial is None else str(trajectory.trial)
    by_trial = ("trial", trajectory.task.strip(), trial)
    return ("content", content), ("id", trajectory.id.strip()), by_trial


_MOVES: Final = (
    "is a place in the log, where another trajectory may stand by now; name it by content, as "
    "--template does"
)


def _is_place(trajectory: Trajectory, by: str, groups: Groups) -> bool:
    """Is the id of a trajectory, or its trial, a count of the log's rows and no word of its own?"""
    origin = trajectory.origin
    place = None if origin is None else origin.index
    counted = trajectory.trial is not None and not groups.seen.keys().isdisjoint(
        {trajectory.task, trajectory.group}
    )
    if by == "trial":
        return counted
    if origin is not None and place is not None and f"{origin.path}/{place}" in trajectory.id:
        return True
    number = trajectory.trial if counted else place
    ours = {f"{name}/{number}" for name in (trajectory.task, trajectory.group)}
    return (counted or trajectory.trial is None) and trajectory.id in ours


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
    named = {"content", "id"} & {*names} or {"task", "trial"} <= {*names}
    if "outcome" not in names or not named:
        raise DataError(
            f"{path}: got columns {', '.join(names) or 'none'}; expected outcome, and id, content "
            "or task and trial"
        )
    if twice := [name for name in _NAMES if names.count(name) > 1]:
        raise DataError(f"{path}: column {twice[0]} occurs twice; expected it once")
    return names


def _outcome(text: str, where: str) -> float:
    value = _WORDS.get(text.lower())
    if value is None:
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: got {text[:40]!r}; expected a number, true, false or nothing")
    return value


def by_table(
    table: Path, trajectories: Iterator[Trajectory], of: Giver, groups: Groups
) -> Iterator[str]:
    """Writes the labels that a table gives; yields what it did.

    Args:
        table: to read.
        trajectories: of the log.
        of: whose labels they are.
        groups: of the log; what it counts there, the log does not number itself.
    """
    rows, found = _rows(table), labels(of.to) if of.to.exists() else {}
    bare = kept = taken = 0
    contents, known = Contents(), set[str]()
    for trajectory in trajectories:
        content = contents.name(trajectory)
        known |= {content, trajectory.id}
        row = rows.take(trajectory, content, groups)
        if row is None:
            bare += not rows.leaves_open(trajectory, content)
            continue
        taken, kept = taken + 1, kept + of.is_overruled_by(trajectory)
        found[content, of.source] = of.label(trajectory.id, content, *row)
    with published(of.to) as stream:
        stream.writelines(label_line(each) for each in found.values())
    labelled = f"{count(taken, 'trajectory', 'trajectories')} labelled"
    yield f"{of.to}  {labelled}, {of.level} by {of.source}"
    if left := rows.left():
        yield f"{count(len(left), 'row')} of no trajectory in the log, the first of {left[0]!r}"
    if rows.spaced:
        yield f"{count(rows.spaced, 'row')} with spaces around a name, which are left off"
    if rows.empty:
        yield f"{count(rows.empty, 'row')} without an outcome"
    if bare:
        yield f"{count(bare, 'trajectory', 'trajectories')} without a row"
    yield from of.said(kept, found, known)


def write_template(
    trajectories: Iterator[Trajectory], to: str, some: Container[int] | None = None
) -> int:
    """Writes a table for `by_table`, its outcomes empty; returns of how many trajectories.

    Args:
        trajectories: of the log.
        to: the file; - is stdout.
        some: places of those to write. None: all.

    Raises:
        UsageError: there is such a file: somebody may have filled it in.
    """
    if to != "-" and os.path.exists(to):
        raise UsageError(f"{to}: exists and may be filled in; choose another name, or remove it")
    text, n = io.StringIO(newline=""), 0
    writer = csv.writer(text, delimiter="\t" if to.endswith(".tsv") else ",", lineterminator="\n")
    writer.writerow(("id", "group", "task", "outcome", "reason", "content"))
    contents = Contents()
    for place, trajectory in enumerate(trajectories):
        content = contents.name(trajectory)
        if some is None or place in some:
            n += 1
            named = (trajectory.id, trajectory.group, trajectory.task)
            writer.writerow((*named, "", "", content))
    opt.emit([text.getvalue().encode("utf-8", "backslashreplace")], to)
    return n

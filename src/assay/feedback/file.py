"""Hints from a file, JSON Lines, a hint a line:

    {"task": "capitals/7", "text": "countries have owners here, not homes"}
    {"task": "capitals/7", "turn": 0, "text": "..."}    of one turn, from 0
    {"heard": "no tool owner", "text": "..."}           of turns whose next state has these words
    {"trajectory": "0/capitals/7/3", "turn": 1, "text": "..."}

Keys that a line has must all fit; task and trajectory are as a record has them. One without `turn`
and `heard` is about the last turn.
"""

from collections import defaultdict
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, final

import msgspec

from assay.errors import DataError
from assay.feedback.base import Given, Source, Turn, turns
from assay.records import Hint, Trajectory


@final
class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the file."""

    text: str
    task: str | None = None
    trajectory: str | None = None
    turn: int | None = None
    heard: str | None = None

    def fits(self, record: Trajectory, turn: Turn, *, last: bool) -> bool:
        """Returns whether the line is about a turn; `last`: it is the record's last one."""
        return (
            self.task in (None, record.task)
            and self.trajectory in (None, record.id)
            and self.turn in (None, turn.number)
            and (self.heard is None or self.heard in turn.heard)
            and (last or self.turn is not None or self.heard is not None)
        )


@final
class File(Source):
    """What somebody wrote beforehand."""

    name: ClassVar[str] = "file"

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            DataError: it cannot be read, or a line is no hint.
        """
        self._path, lines = path, _read(path)
        self._any = [(at, line) for at, line in enumerate(lines) if line.task is None]
        self._by_task = defaultdict[str, list[tuple[int, Line]]](list)
        for at, line in enumerate(lines):
            if line.task is not None:
                self._by_task[line.task].append((at, line))

    def read(self, records: Sequence[Trajectory]) -> list[Given]:
        """Returns the hints that fit, in the order of the file."""
        found = [Given(self._of(record)) for record in records]
        self.said = ""
        if records and not any(each.hints for each in found):
            self.said = (
                f"{self._path}: no line fits a turn of these {len(records)} trajectories; their "
                f"first task is named {records[0].task!r}"
            )
        return found

    def _of(self, record: Trajectory) -> dict[int, tuple[Hint, ...]]:
        known, own = [*turns(record)], self._by_task.get(record.task or "", [])
        lines = [line for _, line in sorted([*self._any, *own], key=itemgetter(0))]
        found: dict[int, tuple[Hint, ...]] = {}
        for turn in known:
            fitting = tuple(
                Hint(text=line.text, source=self.name, quote=line.heard)
                for line in lines
                if line.fits(record, turn, last=turn is known[-1])
            )
            found |= {turn.at: fitting} if fitting else {}
        return found


def _read(path: Path) -> list[Line]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; expected a file of hints") from None
    found: list[Line] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line, type=Line))
        except msgspec.MsgspecError as error:
            raise DataError(
                f"{path}, line {number}: {error}; expected an object of text and any of task, "
                "trajectory, turn, heard"
            ) from None
        _check(found[-1], f"{path}, line {number}")
    if not found:
        raise DataError(f"{path}: it has no line; expected a hint a line")
    return found


def _check(line: Line, where: str) -> None:
    """Refuses a line that says nothing, or that no turn can fit."""
    if not line.text.strip():
        raise DataError(f"{where}: text is empty; expected a hint")
    if line.heard is not None and not line.heard.strip():
        raise DataError(f"{where}: heard is empty, which all turns hold; expected words, or no key")
    if line.turn is not None and line.turn < 0:
        raise DataError(f"{where}: turn is {line.turn}; expected a number from 0")

"""A log ranked by a judge, group by group, with a journal of all votes that is gone on from.

The journal is one JSON object a group and line, schema "assay.judged/1": what was asked about whom,
every vote with its reasons, and what it cost. A group whose texts and settings it has is not asked
about again. It holds texts: the stores that the log is read from are told of it, and it goes with
a session that is forgotten, as a whole, since a row is of a group's texts and not of who said them.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from msgspec import structs

from assay.errors import DataError
from assay.files.lines import append, cut, rows
from assay.files.outputs import told
from assay.judges.chat import Spent
from assay.judges.ranking import Ranked, Ranker
from assay.judges.texts import answer_of, task_of
from assay.records import Trajectory

SCHEMA: Final = "assay.judged/1"
PREFIX: Final = "judge:"
"""Before the name of a judge, in `rewards` of a record."""


def all_rows(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a journal, up to its last whole line.

    Raises:
        DataError: it is no journal.
    """
    try:
        found = [*rows(path)]
        for row in found:
            if row["schema"] != SCHEMA:
                raise ValueError(f"got schema {row['schema']!r}")
            if missing := {"key", "judge"} - set(row):
                raise ValueError(f"got a row without {min(missing)}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path}: {error}; expected a journal, schema {SCHEMA}") from None
    return found


@final
class Journal:
    """All votes on a log."""

    def __init__(self, path: Path, judge: str) -> None:
        """Reads what it holds; a line that a kill cut short is taken off.

        Args:
            path: where it lies, or will.
            judge: who votes: the model, in words.

        Raises:
            DataError: it is no journal, or a session of the log was forgotten.
        """
        self.path, self._judge = path, judge
        self._rows: dict[str, dict[str, Any]] = {}
        with self._told():
            if path.exists():
                found = all_rows(path)
                cut(path)
                self._rows = {row["key"]: row for row in found if row["judge"] == judge}

    def get(self, key: str) -> dict[str, Any] | None:
        """Returns what this judge said of a group, where it was asked."""
        return self._rows.get(key)

    def add(self, row: Mapping[str, Any]) -> None:
        """Adds what it said of a group.

        Raises:
            DataError: there is no room; or a session of the log was forgotten, and the journal is
                gone.
        """
        whole = {"schema": SCHEMA, "judge": self._judge, **row}
        with self._told():
            append(self.path, whole)
        self._rows[whole["key"]] = whole

    def _told(self) -> AbstractContextManager[object]:
        """Each time that it is written: whoever was forgotten meanwhile took it away."""
        gone = partial(Path(os.path.realpath(self.path)).unlink, missing_ok=True)
        return told(self.path, undo=gone)


def by_group(records: Iterable[Trajectory]) -> dict[str, list[Trajectory]]:
    """Returns records by group, in their order."""
    groups: dict[str, list[Trajectory]] = {}
    for record in records:
        groups.setdefault(record.group, []).append(record)
    return groups


def judged(
    groups: Mapping[str, Sequence[Trajectory]],
    ranker: Ranker,
    journal: Journal,
    *,
    spent: Spent | None = None,
    watch: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Returns the rows of the journal, one a group, those asked about now and before; "new" says
    which.

    Args:
        groups: trajectories that are compared with each other.
        ranker: the judge.
        journal: where rows are kept.
        spent: counts its tokens; None: nobody does.
        watch: called after each group.
    """
    found: list[dict[str, Any]] = []
    for name, records in groups.items():
        task, answers = task_of(records[0]) or records[0].task, [*map(answer_of, records)]
        key = ranker.key(task, answers)
        row = journal.get(key)
        new = row is None
        if new:
            before = None if spent is None else (spent.read, spent.wrote)
            began = time.monotonic()
            ranked = ranker.rank(task, answers)
            tokens = None
            if spent is not None and before is not None and spent.told:
                tokens = [spent.read - before[0], spent.wrote - before[1]]
            seconds = round(time.monotonic() - began, 3)
            about = {"key": key, "group": name, "protocol": ranker.protocol.name, "task": task}
            kept = {"answers": [each[-KEPT:] for each in answers]}
            journal.add(about | kept | _row(ranked) | {"tokens": tokens, "seconds": seconds})
            row = journal.get(key)
        if row is not None:
            ids = [record.id for record in records]
            found.append({**row, "group": name, "ids": ids, "new": new})
        watch()
    return found


KEPT: Final = 2000
"""Characters of each answer, its end, that a journal keeps."""


def _row(ranked: Ranked) -> dict[str, Any]:
    return {
        "scores": [*ranked.scores],
        "why": [*ranked.why],
        "votes": [asdict(vote) for vote in ranked.votes],
        "asked": ranked.asked,
        "characters": [*ranked.characters],
    }


def scored(
    records: Iterable[Trajectory], found: Sequence[Mapping[str, Any]], name: str
) -> Iterable[Trajectory]:
    """Yields records with `rewards["judge:NAME"]`, None where there is no verdict.

    Args:
        records: those that were judged, in their order.
        found: rows of the journal, with the ids that their scores are of.
        name: of the judge.
    """
    left: dict[str, list[float | None]] = {}
    for row in found:
        left.setdefault(row["group"], []).extend(row["scores"])
    at: dict[str, int] = {}
    for record in records:
        place = at.get(record.group, 0)
        at[record.group] = place + 1
        score = left[record.group][place]
        yield structs.replace(record, rewards={**record.rewards, f"{PREFIX}{name}": score})

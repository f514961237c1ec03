"""What an importer is: a foreign log in, `Trajectory` records out, and a count of what was lost.

An importer never unpickles, never repairs silently and never guesses a score. What it cannot
carry over it counts, by `record.lose(kind)`: the counts are printed and stored beside the records.

Most formats need `needs` (the fields by which a record is known) and `trajectories` (a record in,
its trajectories out); the rest of the class is for the others.
"""

import hashlib
import os
import re
from abc import ABC
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

from assay.files.probe import Probe
from assay.files.reading import documents
from assay.importers.fields import Fields, Losses, fits
from assay.records import End, Grade, Origin, Step, Trajectory

_TYPES = {"array": list, "object": dict, "text": str, "int": int}


class Rank(IntEnum):
    """How sure an importer is that a file is its own."""

    NO = 0
    POSSIBLE = 1
    """Some of its fields are there, or its name alone."""
    SHAPE = 2
    """All fields that it needs are there."""
    CERTAIN = 3
    """The file says so itself."""


@dataclass(slots=True)
class Groups:
    """Names groups and numbers their members in the order in which they come."""

    seen: dict[str, int] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)

    def name(self, group: str, variant: str) -> str:
        """Returns `group` for the first variant (agent, model) seen in it, else one of its own."""
        return group if self.owner.setdefault(group, variant) == variant else f"{group}@{variant}"

    def trial(self, group: str) -> int:
        """Returns 0 for the first member of `group`, then 1, 2 ..."""
        self.seen[group] = self.seen.get(group, -1) + 1
        return self.seen[group]


def prompt_name(prompt: str) -> str:
    """Returns the name of a task that is known by its prompt alone."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    return f"prompt-{digest[:12]}"


class Record(Fields):
    """One record of a log, and where it stands."""

    __slots__ = ("file", "format", "groups", "index", "place")

    def __init__(
        self, raw: Any, where: str, log: "Log", importer: "Importer", place: int, index: int
    ) -> None:
        super().__init__(raw, where, log.losses, importer.record)
        self.format, self.file, self.index = importer.name, log.files[place], index
        self.groups = log.groups
        """Numbers what is of one task, all files of the log together."""
        self.place = place
        """Which file of the log, from 0."""

    def origin(self, offset: int = 0, **extra: str | int | None) -> Origin:
        """Returns where the record came from; `extra` without its None values."""
        return Origin(
            format=self.format,
            path=os.fsencode(self.file.name).decode("utf-8", "backslashreplace"),
            index=self.index + offset,
            extra={key: str(value) for key, value in extra.items() if value is not None},
        )

    def trajectory(
        self, task: str, steps: Iterable[Step], *, trial: int | None = None, **rest: Any
    ) -> Trajectory:
        """Returns a trajectory. Where `rest` does not say else, the task is its group, and task
        and trial (the record's index where there is none) are its id."""
        rest["id"] = rest.get("id") or f"{task}/{self.index if trial is None else trial}"
        rest["origin"] = rest.get("origin") or self.origin()
        rest.setdefault("group", task)
        return Trajectory(task=task, steps=tuple(steps), trial=trial, **rest)


@dataclass(frozen=True, slots=True)
class Log:
    """What is read."""

    path: Path
    files: tuple[Path, ...]
    """The path itself, or what was recognised below it, in the order in which it is read."""
    losses: Losses
    groups: Groups


class Importer(ABC):
    """One foreign format. Final in every subclass; one instance reads one log."""

    name: ClassVar[str]
    """What `--format` takes."""
    title: ClassVar[str]
    """What a person calls it."""
    record: ClassVar[str] = "an object"
    """What an error calls one record of it."""
    needs: ClassVar[str] = ""
    """Keys of the first record by which the format is known, "task messages:array" for example."""
    names: ClassVar[str] = ""
    """A pattern of file names, where every file of such a name below a folder is of the format."""
    called: ClassVar[str] = ""
    """The same, for people."""

    def missing(self, seen: Probe) -> list[str]:
        """Returns the needed keys that the first value lacks, or has as another type."""
        first = seen.first if isinstance(seen.first, dict) else {}
        needs = (need.partition(":") for need in self.needs.split())
        return [
            f"{key} ({kind})" if kind else key
            for key, _, kind in needs
            if key not in first or (kind and not fits(first[key], _TYPES[kind]))
        ]

    def is_named(self, file: Path) -> bool:
        """Does the format give its files such a name?"""
        return bool(self.names) and re.fullmatch(self.names, file.name, re.DOTALL) is not None

    def rank(self, seen: Probe) -> Rank:
        """How sure is it, from one file, that this is its format?"""
        lacks, needs = len(self.missing(seen)), len(self.needs.split())
        return Rank.NO if lacks == needs else Rank.POSSIBLE if lacks else Rank.SHAPE

    def own(self, folder: Path) -> tuple[Path, ...]:
        """Returns what is read of a folder that is, as a whole, a log of this format; else ()."""
        return ()

    def beside(self, file: Path) -> tuple[Path, ...]:
        """Returns the files that are read together with `file`."""
        return ()

    def read(self, log: Log) -> Iterator[Trajectory]:
        """Yields the trajectories of a log, in its order, one at a time.

        Raises:
            DataError: one line naming file, record, field, got, expected, and what to do.
        """
        for place, file in enumerate(log.files):
            for index, (where, value) in enumerate(self.records(file)):
                yield from self.trajectories(Record(value, where, log, self, place, index))

    def records(self, file: Path) -> Iterator[tuple[str, Any]]:
        """Yields (where, value) of each record of a file."""
        return documents(file)

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        """Yields the trajectories of one record."""
        raise NotImplementedError


def ends(answered: str, budget: str = "", infra: str = "", unknown: str = "") -> dict[str, End]:
    """Returns what a log's words for an end mean."""
    table: dict[End, str] = {
        "answered": answered,
        "budget": budget,
        "infra": infra,
        "unknown": unknown,
    }
    return {word: end for end, words in table.items() for word in words.split()}


def keys(words: str) -> frozenset[str]:
    """Returns names that are parted by white space."""
    return frozenset(words.split())


def graded(outcome: float | None, source: str) -> tuple[Grade, ...]:
    """Returns the grade of an outcome that an environment or an answer key gave, if it did."""
    return () if outcome is None else (Grade(level="E3", value=outcome, source=source),)

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
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from assay.errors import DataError, TornError, hint
from assay.files.lines import Stretch
from assay.files.outputs import Reading
from assay.files.packed import plain_name
from assay.files.probe import Probe
from assay.files.reading import MAX_DOCUMENT, Tolerance, contents, documents
from assay.files.strict import parse
from assay.importers.fields import Fields, Losses, as_name, fits, found_at
from assay.records import End, Grade, ModelStep, Origin, Step, Trajectory

_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,17})?")
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

    seen: MutableMapping[str, int] = field(default_factory=dict[str, int])
    """Of each group the number of its last member. Sessions have no groups of several: of them, all
    that stands in the files before, by id."""
    owner: MutableMapping[str, str] = field(default_factory=dict[str, str])

    def name(self, group: str, variant: str) -> str:
        """Returns `group` for the first variant (agent, model) seen in it, else one of its own."""
        return group if self.owner.setdefault(group, variant) == variant else f"{group}@{variant}"

    def trial(self, group: str) -> int:
        """Returns 0 for the first member of `group`, then 1, 2 ..."""
        self.seen[group] = self.seen.get(group, -1) + 1
        return self.seen[group]

    def elsewhere(self, name: str, file: Path) -> bool:
        """Did another of the log's files hold `name` before this one?"""
        return self.owner.setdefault(f"\0{name}", str(file)) != str(file)


def prompt_name(prompt: str) -> str:
    """Returns the name of a task that is known by its prompt alone."""
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    return f"prompt-{digest[:12]}"


class Choices(msgspec.Struct, frozen=True):
    """What the reader of a log says about it, where the log leaves it open."""

    outcome: str | None = None
    """Which number is the outcome: a part of the reward by name, or a key of the record with dots
    between levels. None: the one that the format names."""
    group: str | None = None
    """Which key of the record, with dots between levels, names the group. None: the format's."""
    strict: bool = False
    """Refuse a record that is not whole or holds NaN, rather than to count and pass over it."""
    map: dict[str, str] = {}
    """Of a table: which column is what (`assay.importers.columns`). Empty: it is no table, or one
    whose columns are known."""
    labels: str | None = None
    """A file of outcomes that were given to the log afterwards (`assay.records.labels`)."""

    def applied(self, trajectory: Trajectory) -> Trajectory:
        """Returns the trajectory with the outcome that was chosen; a person's verdict stays.

        What infrastructure ended has no outcome, whatever its parts say."""
        if self.outcome is None or trajectory.end == "infra":
            return trajectory
        value = trajectory.rewards.get(self.outcome)
        kept = tuple(grade for grade in trajectory.grades if grade.level == "E4")
        grades = (*kept, *graded(value, self.outcome))
        return msgspec.structs.replace(trajectory, outcome=value, grades=grades)


NONE = Choices()
"""Everything as the log says it."""


class Record(Fields):
    """One record of a log, and where it stands."""

    __slots__ = ("choices", "file", "format", "groups", "index", "place", "root")

    def __init__(
        self, raw: Any, where: str, log: "Log", importer: "Importer", place: int, index: int
    ) -> None:
        super().__init__(raw, where, log.losses, importer.record)
        self.format, self.file, self.index = importer.name, log.files[place], index
        self.choices, self.groups = log.choices, log.groups
        """Numbers what is of one task, all files of the log together."""
        self.root = log.path if log.path.is_dir() else log.path.parent
        self.place = place
        """Which file of the log, from 0."""

    def run(self, above: int) -> str:
        """Returns what tells the names of this file's run from those of other runs in the log: ""
        in the first. A run is a file, or the folder so many levels above it."""
        path = (self.file, *self.file.parents)[: above + 1][-1]
        if self.groups.owner.setdefault("\0run", str(path)) == str(path):
            return ""
        return f"@{_plain(os.path.relpath(path, self.root))}"

    def origin(self, offset: int = 0, **extra: str | int | None) -> Origin:
        """Returns where the record came from; `extra` without its None values."""
        return Origin(
            format=self.format,
            path=_plain(self.file.name),
            index=self.index + offset,
            extra={key: str(value) for key, value in extra.items() if value is not None},
        )

    def trajectory(
        self,
        task: str,
        steps: Iterable[Step],
        *,
        trial: int | None = None,
        measured: bool = True,
        **rest: Any,
    ) -> Trajectory:
        """Returns a trajectory. Where `rest` does not say else, the task is its group, and task
        and trial (the record's index where there is none) are its id. Where the log says that its
        reward was not `measured`, no choice makes one of its numbers the outcome."""
        rest["id"] = rest.get("id") or f"{task}/{self.index if trial is None else trial}"
        rest["origin"] = rest.get("origin") or self.origin()
        rest.setdefault("group", task)
        if (key := self.choices.group) is not None:
            at = f"{self.where}.{key}"
            if (group := as_name(found_at(self.raw, key, self.where), at)) is None:
                named = ", ".join(str(name)[:20] for name in list(self.raw)[:12])
                self.losses.add("no_group_key", f"{self.where}, whose keys are {named}")
                rest["group"] = f"{rest['group']}@no-{key}"  # apart from what bears this name
            else:
                rest["group"] = group
        key = self.choices.outcome
        if key is not None and not measured:
            rest["rewards"] = {}
        elif key is not None and key not in rest.get("rewards", {}):
            value = found_at(self.raw, key, self.where)
            if isinstance(value, (bool, int, float)):
                number = self.as_score(value, key)
                rest["rewards"] = {**rest.get("rewards", {}), key: number}
            else:
                self.losses.add("no_outcome_key", f"{self.where}{_numbers(self.raw, key)}")
        return Trajectory(task=task, steps=tuple(steps), trial=trial, **rest)


@dataclass(frozen=True, slots=True)
class Log(Tolerance):
    """What is read."""

    path: Path
    files: tuple[Path, ...]
    """The path itself, or what was recognised below it, in the order in which it is read."""
    losses: Losses
    groups: Groups
    choices: Choices = NONE
    last: list[int] = field(default_factory=lambda: [-1])
    """Number of the record of its file that was read last, where they are numbered."""
    within: Stretch | None = None
    """Of the one file these lines alone. None: all."""
    several: bool = False
    """It is some of the files and folders below the path, not all of them."""
    waited: list[str] | None = None
    """Of a log that is being written: what is not whole, which is waited for. None: it is not."""

    def documents(self, file: Path) -> Iterator[tuple[str, Any]]:
        """Yields (where, value) of each whole record of a file; counts the others."""
        return documents(file, self, self.within)

    def document(self, file: Path) -> Any:
        """Returns the one JSON value of a file; None, counted, where the file is cut short."""
        try:
            content = contents(file, most=MAX_DOCUMENT)
            return parse(content, str(file), most=MAX_DOCUMENT, nan=self.nan)
        except TornError as error:
            self.torn(error)
            return None

    def torn(self, error: TornError) -> None:
        """Counts a record that is not whole.

        Raises:
            TornError: the choice is to be strict.
        """
        if self.waited is not None:
            self.waited.append(str(error))
            return
        if self.choices.strict:
            way = "; leave --strict out to read what is whole"  # a record's error may come twice
            raise type(error)(str(error).removesuffix(way) + way) from None
        self.losses.add("torn_record", str(error))

    def whole(self, trajectories: Iterator[Trajectory]) -> Iterator[Trajectory]:
        """Yields what one record gives; none, counted, from where a text that should hold JSON is
        cut short, as a length limit leaves it in a whole record."""
        try:
            yield from trajectories
        except TornError as error:
            self.torn(error)

    def nan(self, where: str, count: int) -> None:
        """Counts NaN and infinities that are read as null.

        Raises:
            DataError: the choice is to be strict.
        """
        if self.choices.strict:
            raise DataError(f"{where}: NaN is not JSON; write null, or leave --strict out")
        self.losses.add("not_a_number", where, count)


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
        return (
            bool(self.names) and re.fullmatch(self.names, plain_name(file), re.DOTALL) is not None
        )

    def rank(self, seen: Probe) -> Rank:
        """How sure is it, from one file, that this is its format?"""
        lacks, needs = len(self.missing(seen)), len(self.needs.split())
        return Rank.NO if lacks == needs else Rank.POSSIBLE if lacks else Rank.SHAPE

    def proposal(self, seen: Probe) -> str:
        """Returns the option by which a file that nobody knows could be read; "" for none."""
        return ""

    def own(self, folder: Path) -> tuple[Path, ...]:
        """Returns what is read of a folder that is, as a whole, a log of this format; else ()."""
        return ()

    def beside(self, file: Path) -> tuple[Path, ...]:
        """Returns the files that are read together with `file`."""
        return ()

    def keeps(self, file: Path) -> tuple[Path, ...]:
        """Returns the files and folders around `file` that its maker keeps there beside the log:
        that they are not read is nothing to tell."""
        return ()

    def reading(self, file: Path) -> Reading | None:
        """Returns what is to be told what is made from a file; None: nobody wants to know."""
        return None

    def late(self, file: Path) -> bool:
        """Is a file read after all that are not late, whatever its name?"""
        return False

    def parts(self, file: Path) -> tuple[Path, ...] | None:
        """Returns what decides, with the numbers and owners of groups, what is read of one of the
        log's files: files, those that may not be there too, or folders. None: other files of the
        log decide it as well."""
        return (file, *self.beside(file)) if type(self).read is Importer.read else None

    @property
    def splits(self) -> bool:
        """Can lines of a file be read without those before them?"""
        return type(self).read is Importer.read and type(self).records is Importer.records

    def read(self, log: Log) -> Iterator[Trajectory]:
        """Yields the trajectories of a log, in its order, one at a time.

        Raises:
            DataError: one line naming file, record, field, got, expected, and what to do.
        """
        for place, file in enumerate(log.files):
            first = 0 if log.within is None else log.within.first
            for index, (where, value) in enumerate(self.records(log, file), first):
                record = Record(value, where, log, self, place, index)
                yield from log.whole(self.trajectories(record))
                log.last[0] = index

    def records(self, log: Log, file: Path) -> Iterator[tuple[str, Any]]:
        """Yields (where, value) of each record of a file."""
        return log.documents(file)

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        """Yields the trajectories of one record."""
        raise NotImplementedError


def _plain(name: str) -> str:
    """Returns the name of a file, which may be no Unicode, as text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _numbers(raw: dict[str, Any], key: str) -> str:
    """Returns the keys of a record that hold numbers, and the one that may be meant by `key`."""
    inside = ((k, v) for k, v in raw.items() if isinstance(v, dict))
    flat = raw | {f"{outer}.{k}": v for outer, inner in inside for k, v in inner.items()}
    found = [k for k, v in flat.items() if isinstance(v, (bool, int, float)) or _is_number(v)]
    return f", whose numbers are {', '.join(found[:20]) or 'none'}.{hint(key, found)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


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


def acted(steps: Iterable[Step], outcome: float | None) -> tuple[Step, ...]:
    """Returns the steps; with one without text where there was an outcome, so that the policy did
    something, and none of it is in the log: the outcome counts."""
    found = tuple(steps)
    known = outcome is None or any(type(step) is ModelStep for step in found)
    return found if known else (*found, ModelStep())


def graded(outcome: float | None, source: str) -> tuple[Grade, ...]:
    """Returns the grade of an outcome that an environment or an answer key gave, if it did."""
    return () if outcome is None else (Grade(level="E3", value=outcome, source=source),)

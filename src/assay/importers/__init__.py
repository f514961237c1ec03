"""Foreign logs to `Trajectory` records. Adding a format is one file and one line here."""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import msgspec

from assay.errors import DataError, UsageError, hint, one_line
from assay.files.outputs import heard
from assay.files.probe import Probe
from assay.files.shards import Shards, Source
from assay.importers.areal import Areal
from assay.importers.art import Art
from assay.importers.assay_records import AssayRecords
from assay.importers.atif import Atif
from assay.importers.atropos import Atropos
from assay.importers.base import NONE, Choices, Groups, Importer, Log, Rank, Record
from assay.importers.chat import Chat
from assay.importers.claude_code import ClaudeCode
from assay.importers.codex import Codex
from assay.importers.columns import Map
from assay.importers.fields import Fields, Losses
from assay.importers.hal import Hal
from assay.importers.harbor import Harbor
from assay.importers.inspect import Inspect
from assay.importers.intercode import InterCode
from assay.importers.live import Live
from assay.importers.mapped import Mapped
from assay.importers.mini_swe_agent import MiniSweAgent
from assay.importers.nemo import Nemo
from assay.importers.nemo_gym import NemoGym
from assay.importers.openhands import OpenHands
from assay.importers.openhands_v0 import OpenHandsV0
from assay.importers.otel import Otel
from assay.importers.pi import Pi
from assay.importers.recognise import Sight, look, refusal
from assay.importers.rllm import Rllm
from assay.importers.skyrl import Skyrl
from assay.importers.sts import SessionTraces
from assay.importers.swe_agent import SweAgent
from assay.importers.tau2_bench import Tau2Bench
from assay.importers.tau_bench import TauBench
from assay.importers.terminal_bench import TerminalBench
from assay.importers.tinker import Tinker
from assay.importers.trl import Trl
from assay.importers.units import Kept
from assay.importers.verifiers import Verifiers
from assay.importers.verifiers_results import VerifiersResults
from assay.importers.verl import Verl
from assay.importers.who_and_when import WhoAndWhen
from assay.records import Trajectory
from assay.records.labels import Given
from assay.registry import Registry

_TABLE: tuple[type[Importer], ...] = (
    *(AssayRecords, Chat, TauBench, Tau2Bench, InterCode, WhoAndWhen, SweAgent, MiniSweAgent),
    *(Atif, Harbor, Verifiers, Inspect, Verl, Trl, Nemo, Rllm),
    *(NemoGym, Atropos, Skyrl, Areal, Tinker, Art, Otel, VerifiersResults, TerminalBench, Hal),
    *(ClaudeCode, Codex, Pi, SessionTraces, OpenHands, OpenHandsV0, Live, Mapped),
)
IMPORTERS: Registry[Importer] = Registry(
    "format", {importer.name: importer for importer in _TABLE}, group="assay.importers"
)


MOST_PARTS = 1_000
"""Names of parts of rewards that are kept to be told."""


def load(
    path: Source,
    *,
    format: str | None = None,
    losses: Losses | None = None,
    choices: Choices = NONE,
    kept: Kept | None = None,
    groups: Groups | None = None,
) -> tuple[str, Iterator[Trajectory]]:
    """Returns the name of the format of `path` and its trajectories, read as they are asked for.

    Args:
        path: a file, a folder, or several.
        format: a name of `IMPORTERS`; None: recognised by content.
        losses: what could not be carried over is counted here.
        choices: what is the outcome, what is a group, which columns of a table are what, and
            whether to pass over torn records.
        kept: what an earlier reading left, of which what has not changed is taken over.
        groups: those whose members the log does not number are counted here.

    Raises:
        DataError: nothing recognises it; or, while iterating, a record is malformed.
        UnknownNameError: no such format.
        UsageError: columns are named for a format that is no table.
    """
    return (it := opened(path, format, losses or Losses(), choices, groups)).name, it.read(kept)


@final
@dataclass
class Opened:
    """A log whose format is known, and of which nothing is read yet."""

    name: str
    importer: Importer
    asked: Source
    _log: Log
    _sight: Sight | None
    _found: Log | None = None

    def read(self, kept: Kept | None = None) -> Iterator[Trajectory]:
        """Yields its trajectories; see `load`."""
        return _guarded(self, Kept() if kept is None else kept)

    def found(self, kept: Kept) -> Log:
        """Returns the log with the files that are read of it; what is not read is counted."""
        if self._found is not None:
            return self._found
        log, sight, importer = self._log, self._sight, self.importer
        if sight is None and log.path.is_dir():
            sight = look(self.asked, {**_all(), importer.name: importer}, importer.name)
        if sight is not None:
            sight.refuse_mixed(importer.name)
        found = (log.path,) if sight is None else sight.files(importer.name, log.losses)
        for file in found:
            heard(importer.reading(file))
        if kept.live and log.losses.counts.pop("torn_record", 0):
            kept.vouched, _ = False, log.losses.first.pop("torn_record")
        self._found = replace(log, files=tuple(sorted(found, key=importer.late)))
        return self._found


def opened(
    path: Source, format: str | None, losses: Losses, choices: Choices, groups: Groups | None
) -> Opened:
    """Returns a log, see `load`."""
    if isinstance(path, Path) and not path.is_dir() and not path.is_file():
        missing = "no regular file; save it to one first" if path.exists() else "no such file"
        raise DataError(one_line(f"{path}: {missing}"))
    if choices.map:
        if format not in (None, Mapped.name):
            raise UsageError(f"--map is for tables, not for --format {format}; leave one out")
        name, sight, importer = Mapped.name, None, Mapped()
        importer.chosen = Map.of(choices.map)
    elif format is None:
        name, sight = recognise(path, choices)
        importer = sight.importers[name]
    else:
        name, sight, importer = format, None, IMPORTERS.get(format)()
    several = isinstance(path, Shards)
    root = path.root if several else path
    log = Log(root, (), losses, groups or Groups(), choices, several=several)
    return Opened(name, importer, path, log, sight)


def recognise(path: Source, choices: Choices = NONE) -> tuple[str, Sight]:
    """Returns the name of the format of `path`, by its content, and what was seen there.

    Raises:
        DataError: no importer is sure of any file, or two are equally sure.
    """
    sight = look(path, _all())
    names = sight.best()
    if choices.strict and (faults := sight.unread(names)):
        raise faults[0]
    if len(names) == 1:
        return names[0], sight
    if names:
        raise DataError(one_line(f"{path}: could be {' or '.join(names)}; say which with --format"))
    raise DataError(refusal(sight, IMPORTERS.names()))


def _all() -> dict[str, Importer]:
    return {name: IMPORTERS.get(name)() for name in IMPORTERS.names()}


def _guarded(of: Opened, kept: Kept) -> Iterator[Trajectory]:
    """Yields what the importer reads, with ids that are unique and errors that are one line."""
    where = path = str(of.asked)
    seen: Counter[str] = Counter()
    parts: set[str] = set()
    with as_one_line(lambda: where):
        importer, log = of.importer, of.found(kept)
        losses, choices = log.losses, log.choices
        given = None if choices.labels is None else Given(Path(choices.labels))
        for trajectory in kept.read(importer, log) if log.files else importer.read(log):
            where = f"{path} after trajectory {trajectory.id[:60]!r}"
            if trajectory.id in seen:
                losses.add("repeated_id", where)
                trajectory = _told_apart(trajectory, seen)
                kept.renamed()
            seen[trajectory.id] = 1
            if choices.outcome is not None and len(parts) < MOST_PARTS:
                parts.update(trajectory.rewards)
            trajectory = choices.applied(trajectory)
            if given is not None and (more := given.take(trajectory)):
                said = (*trajectory.grades, *more)
                trajectory = msgspec.structs.replace(trajectory, grades=said)
            yield trajectory
        if given is not None and (left := given.left()):
            losses.add("label_of_no_trajectory", left[0], len(left))
        check_read(importer, log, of.asked, parts, len(seen))


@contextmanager
def as_one_line(where: Callable[[], str]) -> Generator[None]:
    """Turns what goes wrong while a log is read into an error of one line."""
    try:
        yield
    except RecursionError:
        raise DataError(one_line(f"{where()}: JSON nested too deeply")) from None
    except OSError as error:
        raise DataError(one_line(f"{where()}: {error.strerror or error}")) from None
    except DataError as error:
        raise type(error)(one_line(str(error))) from None


def _told_apart(trajectory: Trajectory, seen: Counter[str]) -> Trajectory:
    """Returns the trajectory under an id that none before it has."""
    seen[trajectory.id] += 1
    while (name := f"{trajectory.id}~{seen[trajectory.id]}") in seen:
        seen[trajectory.id] += 1
    return msgspec.structs.replace(trajectory, id=name)


def check_read(
    importer: Importer, log: Log, path: Source, parts: Collection[str], read: int
) -> None:
    """Raises DataError where nothing was read, or the outcome or the group that was chosen is
    nowhere.

    Args:
        importer: that read the log.
        log: and what could not be carried over.
        path: of the log.
        parts: names of parts of rewards.
        read: trajectories.
    """
    choices, losses = log.choices, log.losses
    if not read:
        torn = losses.first.get("torn_record")
        raise DataError(torn or f"{path}: no trajectory in it; expected {importer.title}")
    chosen = choices.outcome
    if chosen is not None and chosen not in parts:
        known = ", ".join(sorted(parts)[:20]) or "none"
        first = losses.first.get("no_outcome_key")
        said = f"as in {first}" if first and not parts else f"the parts are: {known}"
        near = hint(chosen, parts)
        raise DataError(f"{path}: no number {chosen!r} for the outcome; {said}{near}")
    if losses.counts.get("no_group_key", 0) >= read:
        first = losses.first["no_group_key"]
        raise DataError(f"{path}: no key {choices.group!r} to group by, as in {first}")


__all__ = [
    "IMPORTERS",
    "MOST_PARTS",
    "NONE",
    "Choices",
    "Fields",
    "Importer",
    "Kept",
    "Log",
    "Losses",
    "Opened",
    "Probe",
    "Rank",
    "Record",
    "as_one_line",
    "check_read",
    "load",
    "opened",
]

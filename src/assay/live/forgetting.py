"""A session is deleted: its events, and its part of every file that was made from it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, final

from msgspec.structs import replace

from assay.errors import UsageError
from assay.files.event_log import EventLog, Row
from assay.files.folders import locked, removed, sweep, sweep_temporary
from assay.importers.live_outputs import made_at, put_made
from assay.live.reaching import Left, reach, stamp
from assay.live.sessions import begun
from assay.records.live import (
    Derived,
    Event,
    Forgotten,
    Version,
    decode_event,
    digest_of,
    encode_event,
)
from assay.records.turns import folded

WAIT: Final = 10.0
"""Seconds that readers get to finish, so that the log beside the file can be emptied."""


@final
@dataclass(slots=True)
class Forgot:
    """What was reached."""

    events: int = 0
    rewritten: list[str] = field(default_factory=list[str])
    """Files and banks of which its part was taken out."""
    deleted: list[str] = field(default_factory=list[str])
    """Files and folders that held it and are to be made again."""
    missing: list[str] = field(default_factory=list[str])
    """Files and folders that held it and are not where they were made: if they were moved, they
    still do."""
    failed: list[str] = field(default_factory=list[str])
    """Files that could not be reached, and why: they may still hold it."""
    versions: list[str] = field(default_factory=list[str])
    """Versions of the policy that were trained on it: weights are not undone by deleting text."""
    nothing: list[str] = field(default_factory=list[str])
    """Paths at which nothing was left that Assay wrote: a command failed, or it was deleted."""
    open: set[str] = field(default_factory=set[str])
    """Paths that could not be reached."""
    settled: bool = True
    """False: a reader kept the file beside the store, which may still hold it, from being emptied;
    forget it again when that is over."""

    def note(self, path: str, found: str) -> None:
        """Notes what became of a file or folder, as `reach` says it."""
        lists = {"rewritten": self.rewritten, "deleted": self.deleted, "missing": self.missing}
        told = {**lists, "nothing": self.nothing}.get(found, self.failed)
        if told is self.failed:
            self.open.add(path)
        said = found if told is self.failed else path
        told += [] if said in told else [said]


def forgotten(log: EventLog, session: str, *, at: float, why: str) -> Forgot:
    """Deletes a session from a log and from what was derived from it; a session that was deleted
    before from what it could not be taken out of then."""
    made, name = Forgot(), digest_of(session)
    sweep_temporary()  # what a killed command left, which none is told of
    made.deleted += _versions_left(log)
    reached = partial(_reached, log, session, name, made)
    before = reached(_files(log, {session, name}), {})
    held = dict[str, tuple[int, Derived]]()

    def change() -> tuple[list[Row], list[Row]]:
        """Asked when no other process can write: what is made known later sees the mark."""
        held.update(_files(log, {session, name}))
        events = (decode_event(row.body, "") for row in log.rows(session=session))
        kept = [each for it in folded(events).values() for each in begun(it)]
        mark: Event = Forgotten(at=at, digest=name, why=why, begun=tuple(kept))
        return _renamed(log, session, name, made), [Row("forgotten", "", encode_event(mark))]

    made.events = log.replace(session, change)
    # once more what changed: a command that read it before looks for the mark when it has written
    reached(held, before)
    log.replace(None, lambda: (_settled(log, name, made), []))
    made.settled = log.settle(WAIT)
    return made


def _versions_left(log: EventLog) -> list[str]:
    """Removes versions that a killed training left, which no event names; returns them. One that is
    being trained looks for the mark itself."""
    home = log.path.parent
    if not (folder := home / "versions").is_dir():
        return []
    with suppress(UsageError), locked(home / "TRAIN", ""):
        rows = log.rows(kinds=("version",))
        events = [decode_event(row.body, f"{log.path} event {row.seq}") for row in rows]
        known = {each.name for each in events if isinstance(each, Version)}
        gone = list[Path]()
        for each in folder.glob("pol-*/live.json"):
            if each.parent.name not in known:
                removed(each.parent)
                gone.append(each.parent)
        names = {each.name.partition(".tmp-")[0][1:] for each in folder.glob(".pol-*.tmp-*")}
        gone += [left for name in sorted(names) for left in sweep(folder / name)]
        return [str(each) for each in gone]
    return []


def _renamed(log: EventLog, session: str, name: str, made: Forgot) -> list[Row]:
    """Returns events in which a session goes by what stands for it; notes the versions."""
    changed = list[Row]()
    for row, event in _events(log, {session, name}):
        left = tuple(name if each == session else each for each in event.sessions)
        if isinstance(event, Version):
            made.versions += [] if event.name in made.versions else [event.name]
        changed.append(_row(row, event, left))
    return changed


def _settled(log: EventLog, name: str, made: Forgot) -> list[Row]:
    """Returns what is known of files that do not hold it any more, without it: what lies there
    later is nobody's who was in them."""
    changed, without = list[Row](), {*made.rewritten, *made.nothing}
    for row in log.rows(kinds=("derived",)):
        event = decode_event(row.body, f"{log.path} event {row.seq}")
        if not isinstance(event, Derived) or event.path in made.open:
            continue
        if event.path in made.deleted:
            changed.append(_row(row, event, ()))
        elif event.path in without:
            changed.append(_row(row, event, [each for each in event.sessions if each != name]))
    return changed


def _row(row: Row, event: Version | Derived, sessions: Iterable[str]) -> Row:
    """Returns the row of an event with other sessions."""
    body = encode_event(replace(event, sessions=tuple(sessions)))
    return Row(row.kind, "", body, seq=row.seq)


def _files(log: EventLog, names: set[str]) -> dict[str, tuple[int, Derived]]:
    """Returns the files that hold a session, and where in the log that stands, by path."""
    found = _events(log, names)
    return {e.path: (row.seq, e) for row, e in found if isinstance(e, Derived)}


def _events(log: EventLog, names: set[str]) -> Iterator[tuple[Row, Version | Derived]]:
    for row in log.rows(kinds=("version", "derived")):
        event = decode_event(row.body, f"{log.path} event {row.seq}")
        if isinstance(event, Version | Derived) and not names.isdisjoint(event.sessions):
            yield row, event


def _reached(
    log: EventLog,
    session: str,
    name: str,
    made: Forgot,
    files: Mapping[str, tuple[int, Derived]],
    before: Mapping[str, object],
) -> dict[str, object]:
    """Reaches files that are not as they were before, notes what became of them, and returns how
    they are."""
    for path, (seq, file) in files.items():
        if path in before and before[path] == stamp(path):
            continue
        left = Left(file, made_at(log, path, since=seq), partial(put_made, log))
        found = reach(left, session, name)
        made.note(path, found)
    return {path: stamp(path) for path in files}

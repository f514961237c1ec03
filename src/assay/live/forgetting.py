"""A session is deleted: its events, and its part of every file that was made from it."""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from msgspec.structs import replace

from assay.files.atomic import publish
from assay.files.event_log import EventLog, Row
from assay.files.folders import MANIFEST
from assay.records.live import Derived, Event, Forgotten, Version, decode_event, encode_event

_OURS: Final = (MANIFEST, "run.json")
"""What the folders that are deleted have in them."""
WAIT: Final = 10.0
"""Seconds that readers get to finish, so that the log beside the file can be emptied."""


@final
@dataclass(slots=True)
class Forgot:
    """What was reached."""

    events: int = 0
    rewritten: list[str] = field(default_factory=list[str])
    """Files of which its lines were taken out."""
    deleted: list[str] = field(default_factory=list[str])
    """Files and folders that held it and are to be made again."""
    failed: list[str] = field(default_factory=list[str])
    """Files that could not be reached, and why: they may still hold it."""
    versions: list[str] = field(default_factory=list[str])
    """Versions of the policy that were trained on it: weights are not undone by deleting text."""
    settled: bool = True
    """False: a reader kept the file beside the store, which may still hold it, from being emptied;
    forget it again when that is over."""


def digest_of(session: str) -> str:
    """Returns what stands for the name of a session that was forgotten."""
    return hashlib.blake2b(session.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def forgotten(log: EventLog, session: str, *, at: float, why: str) -> Forgot:
    """Deletes a session from a log and from what was derived from it."""
    made, name = Forgot(), digest_of(session)
    changed, files = list[Row](), list[Derived]()
    for row in log.rows(kinds=("version", "derived")):
        event = decode_event(row.body, f"{log.path} event {row.seq}")
        if not isinstance(event, Version | Derived) or session not in event.sessions:
            continue
        if isinstance(event, Derived):
            files.append(event)
        elif event.name not in made.versions:
            made.versions.append(event.name)
        left = tuple(name if each == session else each for each in event.sessions)
        changed.append(Row(row.kind, "", encode_event(replace(event, sessions=left)), seq=row.seq))
    for each in {file.path: file for file in files}.values():
        _reach(each, session, made)
    mark: Event = Forgotten(at=at, digest=name, why=why)
    made.events = log.replace(session, changed, [Row("forgotten", "", encode_event(mark))])
    made.settled = log.settle(WAIT)
    return made


def _reach(file: Derived, session: str, made: Forgot) -> None:
    """Takes a session out of a file, or deletes it where that cannot be done by the line."""
    path = Path(file.path)
    try:
        if not path.exists():
            return
        if path.is_dir() and not path.is_symlink():
            if not any((path / name).is_file() for name in _OURS):
                made.failed.append(f"{file.path}: a folder without {' or '.join(_OURS)}; not ours")
                return
            shutil.rmtree(path)
            made.deleted.append(file.path)
        elif file.how == "lines":
            lines = path.read_bytes().splitlines(keepends=True)
            publish(path, b"".join(line for line in lines if not _is_of(line, session)))
            made.rewritten.append(file.path)
        else:
            path.unlink()
            made.deleted.append(file.path)
    except OSError as error:
        made.failed.append(f"{file.path}: {error.strerror or error}")


def _is_of(line: bytes, session: str) -> bool:
    """Is a line of a session? One that cannot be read counts as if it were."""
    if not line.strip():
        return False
    try:
        found: Any = json.loads(line)
    except ValueError:
        return True
    return not isinstance(found, dict) or found.get("session") == session

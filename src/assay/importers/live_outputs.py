"""What becomes of a store that was read as a log: each file and folder that is made from it is an
event of the store (`Derived`), so that to forget a session reaches it."""

import os
import sqlite3
from collections.abc import Callable, Container, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final, final

from assay.errors import DataError, one_line
from assay.files.event_log import EventLog, Row
from assay.files.outputs import heard, telling
from assay.files.written import Marks
from assay.records.live import Derived, Forgotten, Made, decode_event, digest_of, encode_event

LINES: Final = (".jsonl", ".jsonl.zst", ".jsonl.gz")
"""How the names of files end of which lines are taken out; all else is deleted as a whole."""
READ: Final = "read as a log"
"""What is made of a store that was read so."""


def made_at(log: EventLog, path: str, *, since: int = 0) -> Made | None:
    """Returns what the log knows of a path; None: nothing, or nothing behind the place `since`."""
    row = log.once(_once(path))
    event = None if row is None else decode_event(row.body, f"{log.path} event {row.seq}")
    return event if row and row.seq > since and isinstance(event, Made) else None


def put_made(log: EventLog, made: Made) -> None:
    """Writes what is at a path in the place of what was known of it.

    Raises:
        sqlite3.Error: nothing was written.
    """
    log.put(Row("made", "", encode_event(made), _once(made.path)))


def _once(path: str) -> str:
    return f"made {blake2b(os.fsencode(path), digest_size=16).hexdigest()}"


@final
@dataclass(frozen=True, slots=True)
class StoreRead:
    """A store as it was read."""

    file: Path
    last: int
    """Place of the last event that was read, or of an earlier one."""
    of: frozenset[str] | None = None
    """The sessions that what is written is made from. None: all."""
    only: bool = False
    """It may be written where others than these were forgotten meanwhile."""

    def tell(self, path: str, at: float, *, moved: bool) -> str:
        """Makes a file or folder known to the store, as made from all sessions in it; returns why
        it cannot be written, empty: it is.

        Raises:
            DataError: a session was forgotten since it was read.
        """
        if not (names := self._untold(path)) and not self.stale():
            return ""
        how = "lines" if path.endswith(LINES) else "whole"
        event = Derived(at=at, path=path, sessions=tuple(sorted(names)), how=how, what=READ)

        def told(log: EventLog) -> None:
            row = Row("derived", "", encode_event(event))
            log.append([row], barred=lambda: self._checked(log))
            if moved:
                put_made(log, made_at(log, path) or Made(at=at, path=path))

        return self._written(told)

    def wrote(self, path: str, at: float, files: Marks) -> str:
        """Makes known what a file or folder is known by; returns why it cannot be written."""

        def told(log: EventLog) -> None:
            last = made_at(log, path)
            before = {} if last is None else last.files
            put_made(log, Made(at=at, path=path, files=dict(files), before=before))

        return self._written(told)

    def _written(self, work: Callable[[EventLog], None]) -> str:
        try:
            log = EventLog(self.file, write=True)
            try:
                work(log)
            finally:
                log.close()
        except UnicodeEncodeError:
            return "cannot hold a path that is no UTF-8"
        except sqlite3.Error as error:
            return one_line(f"cannot be written ({error})")
        except DataError as error:
            if self.stale():
                raise
            return one_line(f"cannot be written ({str(error).removeprefix(f'{self.file}: ')})")
        return ""

    def stale(self) -> bool:
        """Returns whether a session was forgotten since it was read."""
        log = EventLog(self.file, write=False)
        try:
            return self._forgot(log)
        finally:
            log.close()

    def _untold(self, path: str) -> set[str]:
        """Returns the sessions that the store does not know to be in a file."""
        log = EventLog(self.file, write=False)
        try:
            names = log.sessions() if self.of is None else set(self.of)
            for row in log.rows(kinds=("derived",)):
                if path.encode("utf-8", "surrogatepass") not in row.body:
                    continue  # of many sessions it takes long to be read whole
                event = decode_event(row.body, f"{self.file} event {row.seq}")
                if isinstance(event, Derived) and event.path == path:
                    names.difference_update(event.sessions)
            return names
        finally:
            log.close()

    def _checked(self, log: EventLog) -> Container[int]:
        """Returns no row; asked when no other process can write.

        Raises:
            DataError: a session was forgotten since it was read.
        """
        if self._forgot(log):
            raise DataError(
                f"{self.file}: a session was forgotten while it was read; run this again"
            )
        return frozenset()

    def _forgot(self, log: EventLog) -> bool:
        gone = set(map(digest_of, self.of or ())) if self.only else None
        for row in log.rows(after=self.last, kinds=("forgotten",)):
            event = decode_event(row.body, f"{self.file} event {row.seq}")
            if gone is None or (isinstance(event, Forgotten) and event.digest in gone):
                return True
        return False


@contextmanager
def told_only(read: StoreRead, now: float) -> Generator[None]:
    """Tells a store, and no other, what is written in the block, or nothing is written.

    Raises:
        DataError: it cannot be told.
    """

    def refuse(line: str) -> None:
        raise DataError(line)

    with telling(lambda: now, refuse):
        heard(read)
        yield

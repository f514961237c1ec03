"""An append-only log of events in one SQLite file, read by other processes while it is written.

WAL, so that readers never wait for the writer. What is deleted is overwritten (`secure_delete`).
"""

import sqlite3
import time
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from assay.errors import DataError, one_line

HEAD: Final = b"SQLite format 3\x00"
APPLICATION: Final = 0x41737961
"""What the file's header holds at byte 68: that the log is one of ours."""
VERSION: Final = 1
"""What the header holds as its user version: the form of the file and of what is in it. 0, which
logs of before have, is the same; a log of a later one is left as it is."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    session TEXT NOT NULL,
    once TEXT UNIQUE,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS of_session ON events(session, seq);
CREATE INDEX IF NOT EXISTS of_kind ON events(kind, seq);
"""
_BROKEN: Final = (sqlite3.Error, UnicodeDecodeError, OSError)
"""What a damaged file comes to; of what it holds SQLite also makes its errors' texts."""
_PAGES: Final = 16_384
"""Pages in the log beside the file from which on a write waits until they are moved into it."""
_LONG: Final = 4096
"""Pages there from which on a move has it written from its beginning again, which holds up a write
for two waits on the disk."""
_TRIES: Final = 20
_WAIT: Final = 10.0
"""Seconds that a write waits for one of another process."""


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One event."""

    kind: str
    session: str
    body: bytes
    once: str | None = None
    """Of rows with the same text here the first alone is kept."""
    seq: int = 0
    """Its place in the log, from 1; 0: not in it yet."""


@contextmanager
def _readable(path: Path) -> Generator[None]:
    """Says of a file that cannot be read what was expected."""
    try:
        yield
    except _BROKEN as error:
        raise DataError(one_line(f"{path}: {error}; expected an event log")) from None


def is_log(head: bytes) -> bool:
    """Do these first bytes of a file say that it is an event log?"""
    return head.startswith(HEAD) and head[68:72] == APPLICATION.to_bytes(4, "big")


@final
class EventLog:
    """One connection; of the thread that opened it, where it writes."""

    def __init__(self, path: Path, *, write: bool) -> None:
        """Opens a log; one to write into is made where there is none.

        Raises:
            DataError: it is no log, or cannot be opened.
        """
        self.path, self._durable = path, True
        with _readable(path):
            if write:
                self._db = self._made(path)
            else:
                _check(path, "")
                self._db = _reading(path)

    def _made(self, path: Path) -> sqlite3.Connection:
        fresh = not path.exists() or not path.stat().st_size
        if fresh:
            _check_alone(path)
        else:
            _check(path, ", or none")
        db = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        if fresh:
            path.chmod(0o600)
            db.execute(f"PRAGMA application_id={APPLICATION}")
            db.execute(f"PRAGMA user_version={VERSION}")
        _check_version(db, path)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA wal_autocheckpoint={_PAGES}")
        db.executescript(_SCHEMA)
        return db

    def append(
        self,
        rows: Sequence[Row],
        *,
        durable: bool = True,
        barred: Callable[[], Container[int]] = frozenset,
    ) -> list[int | None]:
        """Writes rows, all or none; returns the place of each, None of one that was there already,
        or is left out.

        Args:
            rows: in their order.
            durable: they outlive a loss of power once this returns, not the process's end alone.
            barred: which of the rows are left out, counted from 0; asked when no other process can
                write.

        Raises:
            sqlite3.Error: nothing was written.
        """
        if durable != self._durable:
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        found: list[int | None] = []
        with self._whole():
            out = barred()
            for at, row in enumerate(rows):
                if at in out:
                    found.append(None)
                    continue
                done = self._insert(row, " OR IGNORE")
                found.append(done.lastrowid if done.rowcount else None)
        return found

    @contextmanager
    def _whole(self) -> Generator[None]:
        """All that is written in the block, or nothing; meanwhile no other process can write."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _insert(self, row: Row, otherwise: str = "") -> sqlite3.Cursor:
        """Writes a row; `otherwise` says what where its `once` is taken."""
        return self._db.execute(
            f"INSERT{otherwise} INTO events(kind, session, once, body) VALUES(?, ?, ?, ?)",
            (row.kind, row.session, row.once, row.body),
        )

    def put(self, row: Row) -> None:
        """Writes a row in the place of the one with the same `once`, behind all others.

        Raises:
            sqlite3.Error: nothing was written.
        """
        self._insert(row, " OR REPLACE")

    def rows(
        self,
        *,
        after: int = 0,
        session: str | None = None,
        kinds: Sequence[str] = (),
        most: int = -1,
    ) -> Iterator[Row]:
        """Yields rows in their order.

        Args:
            after: only those behind this place.
            session: only those of it.
            kinds: only those of these kinds.
            most: how many.

        Raises:
            DataError: the file is broken.
        """
        where, values = ["seq > ?"], list[int | str]([after])
        if session is not None:
            where.append("session = ?")
            values.append(session)
        if kinds:
            where.append(f"kind IN ({', '.join('?' * len(kinds))})")
            values += kinds
        asked = f"SELECT kind, session, body, once, seq FROM events WHERE {' AND '.join(where)}"
        with _readable(self.path):
            for found in self._db.execute(f"{asked} ORDER BY seq LIMIT ?", (*values, most)):
                if not all(map(isinstance, found, (str, str, bytes))):
                    raise DataError(f"{self.path} event {found[4]}: damaged; expected an event")
                yield Row(*found)

    def once(self, text: str) -> Row | None:
        """Returns the row that was written under a text that is taken once.

        Raises:
            DataError: the file is broken.
        """
        asked = "SELECT kind, session, body, once, seq FROM events WHERE once = ?"
        with _readable(self.path):
            found = self._db.execute(asked, (text,)).fetchone()
        return None if found is None else Row(*found)

    def last(self) -> int:
        """Returns the place of the last row that was ever written; 0: none was.

        Raises:
            DataError: the file is broken.
        """
        with _readable(self.path):
            found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
            return next((int(seq) for (seq,) in found), 0)

    def sessions(self) -> set[str]:
        """Returns whom its rows are of.

        Raises:
            DataError: the file is broken.
        """
        asked = "SELECT DISTINCT session FROM events WHERE session != ''"
        with _readable(self.path):
            return {name for (name,) in self._db.execute(asked)}

    def counts(self) -> dict[str, int]:
        """Returns how many rows there are of each kind."""
        return dict(self._db.execute("SELECT kind, COUNT(*) FROM events GROUP BY kind").fetchall())

    def replace(
        self, session: str | None, change: Callable[[], tuple[list[Row], list[Row]]]
    ) -> int:
        """Deletes all rows of a session, gives others new bodies, and adds some; all or nothing.

        Returns how many were deleted. `settle` then takes their bytes off the disk.

        Args:
            session: whose rows go. None: nobody's.
            change: returns the rows with new bodies, and those to add; asked when no other process
                can write.

        Raises:
            sqlite3.Error: nothing was written.
        """
        gone = 0
        with self._whole():
            changed, added = change()
            if session is not None:
                of = (session,)
                gone = self._db.execute("DELETE FROM events WHERE session = ?", of).rowcount
            for row in changed:
                self._db.execute("UPDATE events SET body = ? WHERE seq = ?", (row.body, row.seq))
            for row in added:
                self._insert(row)
        return gone

    def settle(self, wait: float) -> bool:
        """Moves all into the one file and empties what lies beside it; False where a reader that
        was at work for `wait` seconds kept it from that."""
        until = time.monotonic() + wait
        self._db.execute(f"PRAGMA busy_timeout={int(1000 * wait)}")
        try:
            while self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > until:
                    return False
                time.sleep(0.01)  # another one moves: nobody waits for that by itself
            return True
        finally:
            self._db.execute(f"PRAGMA busy_timeout={int(1000 * _WAIT)}")

    def move(self) -> bool:
        """Moves what lies beside the file into it while others read and write; where that is long,
        it is written from its beginning again. Returns False where others never let it be.

        A little is moved at a time: what the disk is given at once, a write waits for.

        Raises:
            sqlite3.Error: nothing was lost.
        """
        self._db.execute("PRAGMA busy_timeout=0")
        if self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1] < _LONG:
            return True
        for _ in range(_TRIES):  # what was written meanwhile is little, and nobody waits for long
            if not self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]:
                return True
            time.sleep(0.002)
        return False

    def close(self) -> None:
        """Closes it."""
        self._db.close()


def _check(path: Path, other: str) -> None:
    """Raises DataError unless a file is a log that this version knows. It is read through SQLite,
    which changes nothing and keeps its locks: they are the process's, and are gone once anybody in
    it opens and closes the file beside SQLite. Then the next process that closes the log takes
    itself for the last one, removes what lies beside it, and what this one writes there from then
    on is lost.

    Of a move that was cut short, by a kill or a full disk, the file alone is no whole database: it
    is with what lies beside it."""
    ours = _is_ours(path, "?mode=ro&immutable=1") if path.stat().st_size else False
    if ours is None:
        ours = _is_ours(path, "?mode=ro")
    if not ours:
        raise DataError(f"{path}: no event log; expected one that a store wrote{other}")


def _is_ours(path: Path, how: str) -> bool | None:
    """Returns whether a file is a log; None where it is no whole database."""
    db = sqlite3.connect(path.resolve().as_uri() + how, uri=True, timeout=_WAIT)
    try:
        ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
        if ours:
            _check_version(db, path)
        return ours
    except sqlite3.DatabaseError:
        return None
    finally:
        db.close()


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        db.close()
        raise DataError(
            f"{path}: written by a later version of Assay (form {found}; this one knows {VERSION});"
            " nothing is changed; install that version"
        )


def _check_alone(path: Path) -> None:
    """Raises DataError where events lie beside a file that is not there: SQLite would delete them.
    Looked at in this order, for another process may be making the file."""
    beside = path.with_name(f"{path.name}-wal")
    left = beside.exists() and beside.stat().st_size > 0
    if left and not (path.exists() and path.stat().st_size):
        raise DataError(
            f"{beside}: events that belong into {path.name}, which is not there; "
            "put that file back, or move this one away"
        )


def _reading(path: Path) -> sqlite3.Connection:
    """Returns a connection that only reads; of a folder that cannot be written, as the file is."""
    try:
        return _asked(path, "?mode=ro")
    except sqlite3.OperationalError:
        return _asked(path, "?mode=ro&immutable=1")


def _asked(path: Path, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        path.resolve().as_uri() + how,
        uri=True,
        timeout=_WAIT,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _check_version(db, path)
        db.execute("SELECT 1 FROM events LIMIT 1").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db

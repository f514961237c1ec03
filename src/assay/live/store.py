"""The store of a gateway: events in one SQLite file, appended by one thread, read by anybody.

    with Store.open(Path("runs/live")) as store:            # to write; several processes may
        store.append(Opened(...), durable=True).result()    # a Future: written, and on the disk
    store = Store.open(Path("runs/live"), write=False)      # to read, also while it is written
    store.sessions()            dict of name -> Session, turns and labels folded in
    store.turns("s-1")          the turns of one session (None: of all), whole: messages, ids
    store.labels()              dict of turn -> {source: the last label of it}
    store.versions()            dict of name -> last Version
    store.events(after=seq)     (seq, event) in order: to follow, ask again from the last seq
    store.forget("s-1", at=t)   deletes it, here and in every file that was derived from it

Events are records (`assay.records.live`): Opened, Consented, Closed, Turn, NextState, TurnLabel,
TurnHint, Replayed, Moved, Version, Derived, Forgotten. Nothing is changed once written; what is
true now is a fold over them (`assay.records.turns`). A turn is trainable if its ids and log-probs
are those that were sampled, its session consents to training and its sampler is the policy; else
`why_not` says.

`append(..., durable=True)` resolves when the events outlive a loss of power; without it they are
written soon, and outlive a kill once they are. What is full, read-only or broken fails the Future
with `StoreError` and is counted (`down`); the thread goes on and tries with what comes next.
"""

import contextlib
import hashlib
import itertools
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from assay.errors import AssayError, DataError, UsageError, one_line
from assay.files.event_log import EventLog, Row
from assay.importers.live_outputs import StoreRead
from assay.live.forgetting import Forgot, forgotten
from assay.records.live import (
    Event,
    Forgotten,
    Opened,
    Turn,
    TurnLabel,
    Version,
    check_event,
    decode_event,
    digest_of,
    encode_event,
)
from assay.records.turns import Seen, Session, folded

FILE: Final = "store.sqlite"
"""Its name in the folder of a store."""
ROOM: Final = 4096
"""Events that may wait to be written."""
_BATCH: Final = 256
"""Appends that share one commit, at most."""
_BESIDE: Final = 1 << 20
"""Bytes of events after which the log beside the file is moved into it, by a thread of its own: the
one that writes does not wait for that."""
Redact = Callable[[Event], Event]
"""What an event is passed through before it is written; see `assay.live.redaction`."""


class StoreError(AssayError, OSError):
    """An event could not be written: the disk is full, read-only or broken; or there is no room
    among those that wait."""


@final
class Store:
    """A folder with a store in it. Open it with `Store.open`."""

    def __init__(self, log: EventLog, *, write: bool, redact: Redact | None, room: int) -> None:
        self.path = log.path
        self.down = 0
        """Events that could not be written."""
        self.why = ""
        """Why, the last time; empty: the last write went well."""
        self._log, self._redact = log, redact
        self._jobs: queue.Queue[_Job | None] = queue.Queue(room)
        self._gone, self._begun, self._heard = set[str](), set[bytes](), 0
        self._writer: EventLog | None = None
        self._thread: threading.Thread | None = None
        self._mover: threading.Thread | None = None
        self._beside, self._full, self._over = 0, threading.Event(), False
        if write:
            self._thread = threading.Thread(target=self._work, name="live-store", daemon=True)
            self._mover = threading.Thread(target=self._move, name="live-store-move", daemon=True)
            self._thread.start()
            self._mover.start()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        write: bool = True,
        redact: Redact | None = None,
        room: int = ROOM,
    ) -> "Store":
        """Opens the store of a folder, or a store's file.

        Args:
            path: a folder; one to write into is made where there is none.
            write: False: to read alone; nothing is changed on the disk.
            redact: what events are passed through before they are written; None: nothing.
            room: events that may wait to be written.

        Raises:
            DataError: what is there is no store, or cannot be opened.
        """
        path = Path(path)
        if write:
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True, mode=0o700)
        file = path / FILE if path.is_dir() else path
        if write:
            EventLog(file, write=True).close()  # made, and refused here where it is none
        if not file.is_file():
            raise DataError(f"{path}: no {FILE} there; give the folder of assay serve --store")
        return cls(EventLog(file, write=False), write=write, redact=redact, room=room)

    # --- to write

    def append(
        self, *events: Event, durable: bool = False, said: Sequence[bytes] = ()
    ) -> "Future[list[int | None]]":
        """Writes events, all or none. Returns at once a Future of the place of each; of one that
        was there already, a turn of the same request, or is left out, None.

        Args:
            events: in their order; those of a session that was forgotten are left out.
            durable: the Future resolves when they outlive a loss of power.
            said: digests of each beginning of their conversation. Where it begins as one that was
                forgotten they are left out; so is a session that begins with them, from then on.

        Raises:
            DataError: a value or a rate is not in [0, 1]; none is written.
            StoreError: no room among those that wait: wait, and try again, or count it as lost.
            UsageError: the store was opened to read, or is closed.
        """
        for each in events:
            check_event(each)
        return self._put(_Job(events, durable, None, said))

    @property
    def waiting(self) -> float:
        """How much of the room for events that wait is taken, in [0, 1]."""
        return self._jobs.qsize() / self._jobs.maxsize

    def forget(self, session: str, *, at: float, why: str = "") -> Forgot:
        """Deletes a session: its events, and its part of every file that was derived from it.

        Returns what was reached. Its name is never recorded again.

        Raises:
            StoreError: it could not be deleted; nothing was.
        """

        def work(log: EventLog) -> Any:
            return forgotten(log, session, at=at, why=why)

        return self._put(_Job((), True, work)).result()

    def expire(self, *, before: float, at: float) -> list[Forgot]:
        """Forgets the sessions of which nothing was heard since `before`, in seconds since 1970."""
        old = [each.id for each in self.sessions().values() if each.last_at < before]
        return [self.forget(each, at=at, why="retention") for each in old]

    def _put(self, job: "_Job") -> "Future[Any]":
        if self._thread is None:
            raise UsageError(f"{self.path}: the store was opened to read, or is closed")
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.down += len(job.events)
            self.why = f"{self.path}: {self._jobs.maxsize:,} events wait to be written"
            raise StoreError(self.why) from None
        return job.done

    def _work(self) -> None:
        on = True
        while on:
            jobs = [self._jobs.get()]
            while jobs[-1] is not None and len(jobs) < _BATCH:
                try:
                    jobs.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            on = jobs[-1] is not None
            wanted = [job for job in jobs if job and job.done.set_running_or_notify_cancel()]
            self._do(wanted)
        if self._writer is not None:
            self._writer.close()

    def _move(self) -> None:
        """Moves what lies beside the file into it, whenever that has become long."""
        log: EventLog | None = None
        while self._full.wait() and not self._over:
            self._full.clear()
            try:
                log = log or EventLog(self.path, write=True)
                log.move()
            except (sqlite3.Error, DataError):
                log = None  # what writes is told of a broken disk; it is tried again
        if log is not None:
            log.close()

    def _do(self, jobs: "list[_Job]") -> None:
        """Does jobs in their order; the events of neighbours share a commit."""
        for works, some in itertools.groupby(jobs, key=lambda job: job.work is not None):
            for group in [[each] for each in some] if works else [list(some)]:
                self._tried(group)

    def _tried(self, jobs: "list[_Job]") -> None:
        """Does jobs together; one that cannot be written takes none of its neighbours along."""
        try:
            results = self._done(jobs)
        except Exception as error:
            if len(jobs) == 1 or isinstance(error, sqlite3.Error | DataError | OSError):
                return self._failed(jobs, error)
            for each in jobs:
                self._tried([each])
        else:
            self.why = ""
            for job, result in zip(jobs, results, strict=True):
                job.done.set_result(result)
        return None

    def _done(self, jobs: "list[_Job]") -> list[Any]:
        """Returns the result of each job: of one piece of work, or of events in one commit."""
        if self._writer is None:
            self._writer = EventLog(self.path, write=True)
        if (work := jobs[0].work) is not None:
            return [work(self._writer)]
        rows = [[self._row(event) for event in job.events] for job in jobs]
        flat = [row for each in rows for row in each]
        barred = partial(self._barred, self._writer, jobs)
        on_disk = any(job.durable for job in jobs)
        places = iter(self._writer.append(flat, durable=on_disk, barred=barred))
        self._beside += sum(len(row.body) for row in flat)
        if self._beside > _BESIDE:
            self._beside = 0
            self._full.set()
        return [[next(places) for _ in each] for each in rows]

    def _barred(self, log: EventLog, jobs: "list[_Job]") -> set[int]:
        """Returns which of some jobs' events are of sessions that were forgotten, by this process
        or by another, or go on with such a conversation under another name."""
        for row in log.rows(after=self._heard, kinds=("forgotten",)):
            event, self._heard = decode_event(row.body, f"{self.path} event {row.seq}"), row.seq
            if isinstance(event, Forgotten):
                self._gone.add(event.digest)
                self._begun.update(event.begun)
        if not self._gone:
            return set()
        out, at = set[int](), 0
        for job in jobs:
            again = not self._begun.isdisjoint(job.said)
            if again:
                opened = (each.session for each in job.events if isinstance(each, Opened))
                self._gone.update(map(digest_of, opened))
            for event in job.events:
                if again or digest_of(event.session) in self._gone:
                    out.add(at)
                at += 1
        return out

    def _failed(self, jobs: "list[_Job]", error: Exception) -> None:
        self.why = one_line(f"{self.path}: {error}; nothing of it is written")
        if self._writer is not None and isinstance(error, sqlite3.Error):
            self._writer.close()
            self._writer = None  # it is opened anew: what stood in the way may be gone
        for job in jobs:
            self.down += len(job.events)
            job.done.set_exception(StoreError(self.why))

    def _row(self, event: Event) -> Row:
        if self._redact is not None:
            event = self._redact(event)
        match event:
            case Turn(request=name) if name:
                once = f"request {name}"
            case Turn(id=name):
                once = f"turn {name}"
            case Opened(session=name):
                once = f"opened {name}"
            case _:
                once = None
        return Row(str(type(event).__struct_config__.tag), event.session, encode_event(event), once)

    def close(self) -> None:
        """Writes what waits, and closes."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        if self._mover is not None:
            self._over = True
            self._full.set()
            self._mover.join()
            self._mover = None
        self._log.close()

    def __enter__(self) -> "Store":
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self.close()

    # --- to read

    def reading(self) -> StoreRead:
        """Returns what is told of files that are made from what is read from now on."""
        return StoreRead(self.path, self._log.last())

    def events(
        self, *kinds: str, after: int = 0, session: str | None = None
    ) -> Iterator[tuple[int, Event]]:
        """Yields events and their places, in their order: those of some kinds (`turn`, `label`),
        behind a place, of a session.

        Raises:
            DataError: the store is broken.
        """
        for row in self._log.rows(after=after, session=session, kinds=kinds):
            yield row.seq, decode_event(row.body, f"{self.path} event {row.seq}")

    def sessions(self, session: str | None = None) -> dict[str, Session]:
        """Returns all sessions, or one, as they stand, by name."""
        return folded(event for _, event in self.events(session=session))

    def turns(self, session: str | None = None) -> list[Seen]:
        """Returns the turns of a session, or of all, whole."""
        return [turn for each in self.sessions(session).values() for turn in each.turns]

    def forgotten(self, names: Iterable[str]) -> set[str]:
        """Returns those of some sessions that were forgotten."""
        gone = {e.digest for _, e in self.events("forgotten") if isinstance(e, Forgotten)}
        return {name for name in names if digest_of(name) in gone}

    def turn_of(self, request: str) -> Turn | None:
        """Returns the turn that a request became; None: none yet."""
        row = self._log.once(f"request {request}")
        if row is None:
            return None
        event = decode_event(row.body, f"{self.path} event {row.seq}")
        return event if isinstance(event, Turn) else None

    def labels(self) -> dict[str, dict[str, TurnLabel]]:
        """Returns of each labelled turn the last label of each source; those of a session as a
        whole stand under its name."""
        found: dict[str, dict[str, TurnLabel]] = {}
        for _, event in self.events("label"):
            if isinstance(event, TurnLabel):
                found.setdefault(event.turn or event.session, {})[event.source] = event
        return found

    def versions(self) -> dict[str, Version]:
        """Returns the last event of each version of the policy, by name, oldest first."""
        return {e.name: e for _, e in self.events("version") if isinstance(e, Version)}

    def counts(self) -> dict[str, int]:
        """Returns how many events there are of each kind."""
        return self._log.counts()


@final
class _Job:
    """What the one thread is asked to do: to write events, or a piece of work of its own."""

    __slots__ = ("done", "durable", "events", "said", "work")

    def __init__(
        self,
        events: tuple[Event, ...],
        durable: bool,
        work: Callable[[EventLog], Any] | None,
        said: Sequence[bytes] = (),
    ) -> None:
        self.events, self.durable, self.work, self.said = events, durable, work, said
        self.done: Future[Any] = Future()


def digest(body: bytes) -> str:
    """Returns what tells a request's body from others."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()

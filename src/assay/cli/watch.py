"""`assay audit --watch`: the audit again whenever the log has grown, until it is interrupted."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import final

from assay.cli import options as opt
from assay.errors import AssayError, DataError
from assay.files.event_log import EventLog, is_log
from assay.files.folders import walked
from assay.runs.audit import AuditRun
from assay.runs.directory import page_of


@final
class Watch:
    """A log that somebody writes to, and what is shown of it."""

    def __init__(
        self, log: Path, audit: Callable[[bool], AuditRun], show: Callable[[AuditRun], None]
    ) -> None:
        """Begins a watch.

        Args:
            log: what is written.
            audit: audits it; with True, as a log of which what is not whole is waited for.
            show: prints what an audit found.
        """
        self._log, self._audit, self._show = log, audit, show
        self._console = opt.Terminal()
        self._address = ""

    def run(self, interval: float) -> AuditRun:
        """Audits the log as it grows; returns the audit of its last state, when interrupted.

        Raises:
            DataError: interrupted, and there is no log in it yet.
        """
        seen: object = None
        try:
            while True:
                if (now := _state(self._log)) != seen:
                    seen = now
                    self._look()
                time.sleep(interval)
        except KeyboardInterrupt:
            self._console.say("the last state; Ctrl-C again leaves the one before")
        run = self._audit(False)
        self._show(run)
        return run

    def _look(self) -> None:
        try:
            run = self._audit(True)
        except DataError as error:  # not there yet, or half written
            self._console.say(f"waiting: {error}")
            return
        self._console.clear()
        self._show(run)
        if run.folder is not None and run.report is not None and not self._address:
            self._address = self._serve(run.folder)
        if self._address:
            self._console.say(f"the page, kept fresh: {self._address}")
        self._console.say("watching; Ctrl-C ends")

    def _serve(self, out: Path) -> str:
        """Serves the page, which looks for newer ones there; returns its address."""
        from assay.report.serve import live

        server = live(lambda: page_of(out), port=0)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/"


def _state(log: Path) -> dict[str, object]:
    """Returns size and time of every file of a log; of a store how many events there are of each
    kind, but for those that say what was made of it: an audit writes them."""
    state: dict[str, object] = {}
    walk = walked(str(log)) if log.is_dir() else ()
    for name in [os.path.join(root, each) for root, _, files in walk for each in files] or [log]:
        try:
            found = os.stat(name)
            state[str(name)] = _events(Path(name)) or (found.st_size, found.st_mtime_ns)
        except OSError:
            continue
    return {name: each for name, each in state.items() if not name.endswith(("-wal", "-shm"))}


def _events(file: Path) -> dict[str, int]:
    with file.open("rb") as stream:
        if not is_log(stream.read(100)):
            return {}
    try:
        with closing(EventLog(file, write=False)) as log:
            return {kind: n for kind, n in log.counts().items() if kind not in ("derived", "made")}
    except (AssayError, sqlite3.Error):
        return {}

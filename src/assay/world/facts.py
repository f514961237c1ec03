"""The facts behind the tools: one SQLite file, read-only, asked by name and never by SQL text.

A tool is one fixed statement with one bound argument, so nothing that a policy writes is ever part
of a statement. On top of that the connection refuses everything but reading, a statement is stopped
after `MAX_SECONDS`, and more than `MAX_ROWS` rows are an error.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final, final

from assay.errors import DataError

MAX_ROWS: Final = 300
MAX_SECONDS: Final = 0.5
MAX_ARGUMENT: Final = 200
"""Characters of an argument, at most; longer ones match nothing."""

_NEIGHBOUR = (
    "SELECT neighbour FROM border JOIN country ON country.name = neighbour "
    "WHERE border.country = ? ORDER BY {} LIMIT 1"
)
STATEMENTS: Final = {
    "capital": "SELECT capital FROM country WHERE name = ?",
    "home": "SELECT name FROM country WHERE capital = ?",
    "currency": "SELECT currency FROM country WHERE name = ?",
    "language": "SELECT language FROM country WHERE name = ?",
    "region": "SELECT region FROM country WHERE name = ?",
    "biggest": _NEIGHBOUR.format("people DESC, neighbour"),
    "smallest": _NEIGHBOUR.format("people, neighbour"),
    "north": _NEIGHBOUR.format("latitude DESC, neighbour"),
    "south": _NEIGHBOUR.format("latitude, neighbour"),
    "in_region": "SELECT name FROM country WHERE region = ? ORDER BY name",
    "in_part": "SELECT name FROM country WHERE subregion = ? ORDER BY name",
    "paying": "SELECT name FROM country WHERE currency = ? ORDER BY name",
    "speaking": "SELECT name FROM country WHERE language = ? ORDER BY name",
    "lettered": "SELECT name FROM country WHERE substr(name, 1, 1) = ? ORDER BY name",
    "peopled": "SELECT name FROM country WHERE people >= 1000000 * ? ORDER BY name",
    "bordered": "SELECT name FROM country WHERE neighbours >= ? ORDER BY name",
    "beside": "SELECT neighbour FROM border WHERE country = ? ORDER BY neighbour",
    "countries": "SELECT name FROM country WHERE ? = '' ORDER BY name",
    "capitals": "SELECT capital FROM country WHERE ? = '' ORDER BY name",
    "regions": "SELECT DISTINCT region FROM country WHERE ? = '' ORDER BY region",
    "parts": "SELECT DISTINCT subregion FROM country WHERE ? = '' ORDER BY subregion",
    "currencies": "SELECT currency FROM country WHERE ? = '' GROUP BY 1 ORDER BY COUNT(*) DESC, 1",
    "languages": "SELECT language FROM country WHERE ? = '' GROUP BY 1 ORDER BY COUNT(*) DESC, 1",
}
"""What can be asked. In each, the one question mark is the argument."""

_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_FUNCTIONS = frozenset({"substr", "count"})
_EVERY = 1000
"""Virtual-machine steps between two looks at the clock."""


@final
class Facts:
    """The facts, opened once per process and shared: one question at a time."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Opens the file.

        Raises:
            DataError: there is no such file, or it holds no facts.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file; install Assay anew")
        self._clock, self._until = clock, 0.0
        self._lock = threading.Lock()
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._connection.execute("PRAGMA query_only = 1")
        self._connection.set_authorizer(_authorize)
        self._connection.set_progress_handler(lambda: int(self._clock() > self._until), _EVERY)
        self.ask.cache_clear()
        self.ask("countries", "")

    @lru_cache(maxsize=1 << 16)  # noqa: B019 one object per process, and the file never changes
    def ask(self, what: str, argument: str) -> tuple[str, ...]:
        """Returns the answers to one of `STATEMENTS`, in its order; empty: there are none.

        Raises:
            DataError: no such statement, it took longer than `MAX_SECONDS`, or it has more than
                `MAX_ROWS` answers.
        """
        if what not in STATEMENTS:
            raise DataError(f"facts: no statement {what!r}; known: {', '.join(STATEMENTS)}")
        if len(argument) > MAX_ARGUMENT or "\0" in argument or not argument.isprintable():
            return ()
        return self._run(STATEMENTS[what], argument)

    def _run(self, statement: str, argument: str) -> tuple[str, ...]:
        with self._lock:
            self._until = self._clock() + MAX_SECONDS
            try:
                rows = self._connection.execute(statement, (argument,)).fetchmany(MAX_ROWS + 1)
            except sqlite3.Error as error:
                raise DataError(f"facts: {error}; the statement is {statement!r}") from None
        if len(rows) > MAX_ROWS:
            raise DataError(f"facts: more than {MAX_ROWS} answers to {statement!r}")
        return tuple(str(row[0]) for row in rows)

    def one(self, what: str, argument: str) -> str | None:
        """Returns the only answer, or None."""
        return next(iter(self.ask(what, argument)), None)


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    allowed = action in _READING or (action == sqlite3.SQLITE_FUNCTION and second in _FUNCTIONS)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


@lru_cache(maxsize=1)
def facts() -> Facts:
    """Returns the facts that ship with the package."""
    with as_file(files("assay.world") / "facts.sqlite") as path:
        return Facts(path)

"""What a command writes is told to the stores that it read, before it is written: a store that
forgets somebody reaches it.

    with telling(clock, warn):        # a command
        heard(reading)                # whoever reads a store says so
        with told(path): ...          # whoever writes a file or a folder does it in here

Outside of a command nothing is told. What is written within a folder that is being made is part of
that folder.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Protocol, final, runtime_checkable

from assay.errors import DataError


@runtime_checkable
class Reading(Protocol):
    """A store that was read."""

    @property
    def file(self) -> Path:
        """Of the store."""
        ...

    def tell(self, path: str, at: float) -> str:
        """Makes a file or folder known to the store; returns why it cannot, empty: it can.

        Raises:
            DataError: what was read is not to be written any more.
        """
        ...

    def stale(self) -> bool:
        """Returns whether what was read is not to be written any more."""
        ...


@final
class _Telling:
    """One command: the stores that it read, and what it is writing."""

    def __init__(self, clock: Callable[[], float], warn: Callable[[str], None]) -> None:
        self._clock, self._warn = clock, warn
        self._readings: dict[Path, Reading] = {}
        self._making: list[tuple[Path, Path]] = []
        """Where it is to be, and where it lies meanwhile."""
        self.aside: list[Path] = []
        """What goes with the command."""
        self._warned = set[Path]()

    def heard(self, reading: Reading) -> None:
        self._readings[reading.file] = reading
        for path, _ in self._making:
            self._tell(reading, path)

    def _tell(self, reading: Reading, path: Path) -> None:
        why = reading.tell(str(path), self._clock())
        if why and reading.file not in self._warned:
            self._warned.add(reading.file)
            self._warn(
                f"{reading.file}: {why}; assay live forget will not reach what this command leaves"
            )

    @contextmanager
    def told(self, path: Path, inner: Path, undo: Callable[[], object] | None) -> Generator[None]:
        making = (each for both in self._making for each in both)
        if any(path.is_relative_to(each) for each in chain(making, self.aside)):
            yield
            return
        for reading in self._readings.values():
            self._tell(reading, path)
        self._making.append((path, inner))
        try:
            yield
        finally:
            self._making.remove((path, inner))
        stale = [each.file for each in self._readings.values() if each.stale()]
        if stale and undo is not None:
            undo()
            raise DataError(
                f"{path}: a session of {stale[0]} was forgotten while this was made, which is gone "
                "again; run this again"
            )


_commands: list[_Telling] = []


@contextmanager
def telling(clock: Callable[[], float], warn: Callable[[str], None]) -> Generator[None]:
    """A command: what is written within it is told to the stores that are read within it.

    Args:
        clock: seconds since 1970.
        warn: takes the line that says of a store that it cannot be told.
    """
    command = _Telling(clock, warn)
    _commands.append(command)
    try:
        yield
    finally:
        _commands.remove(command)


def heard(reading: Reading | None) -> None:
    """Says that a store is read, before anything of it is written; None: it was none.

    Raises:
        DataError: what was read is not to be written any more.
    """
    if _commands and reading is not None:
        _commands[-1].heard(reading)


@contextmanager
def told(
    path: str | os.PathLike[str],
    *,
    inner: Path | None = None,
    undo: Callable[[], object] | None = None,
) -> Generator[None]:
    """Tells the stores that were read, and those that are read within the block, what is written in
    it, before it is.

    Args:
        path: of a file or folder.
        inner: where it lies until it is whole. None: there.
        undo: takes it away again, where somebody is forgotten meanwhile. None: whoever forgets
            waits until it is written, and takes out of it what is to go.

    Raises:
        DataError: somebody whom it may be about was forgotten; it is not there.
    """
    if not _commands:
        yield
        return
    at = Path(os.path.realpath(path))
    with _commands[-1].told(at, at if inner is None else inner, undo):
        yield


@contextmanager
def aside(path: Path) -> Generator[None]:
    """Tells nobody what is written in a folder that goes at the end of the block."""
    if not _commands:
        yield
        return
    command, at = _commands[-1], Path(os.path.realpath(path))
    command.aside.append(at)
    try:
        yield
    finally:
        command.aside.remove(at)

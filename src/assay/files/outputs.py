"""What a command writes is told to the stores that it read, before it is written: a store that
forgets somebody reaches it.

    with telling(clock, warn):        # a command
        heard(reading)                # whoever reads a store says so
        with told(path): ...          # whoever writes a file or a folder does it in here

Outside of a command nothing is told. What is written within a folder that is being made is part of
that folder.
"""

import os
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol, final, runtime_checkable

from assay.errors import DataError
from assay.files.written import Marks, marks


@runtime_checkable
class Reading(Protocol):
    """A store that was read."""

    @property
    def file(self) -> Path:
        """Of the store."""
        ...

    def tell(self, path: str, at: float, *, moved: bool) -> str:
        """Makes a file or folder known to the store; returns why it cannot, empty: it can.

        Args:
            path: where it is to be.
            at: seconds since 1970.
            moved: it is made elsewhere; what is there until then is not of the command.

        Raises:
            DataError: what was read is not to be written any more.
        """
        ...

    def wrote(self, path: str, at: float, files: Marks) -> str:
        """Makes known to the store what it is known by (`files.written`); returns why it cannot."""
        ...

    def stale(self) -> bool:
        """Returns whether what was read is not to be written any more."""
        ...


Ready = Callable[[Path, Collection[str] | None], None]


@final
@dataclass(frozen=True, slots=True)
class _Making:
    """What a command is writing."""

    path: Path
    inner: Path
    """Where it lies meanwhile."""
    moved: bool


@final
class _Telling:
    """One command: the stores that it read, and what it is writing."""

    def __init__(self, clock: Callable[[], float], warn: Callable[[str], None]) -> None:
        self._clock, self._warn = clock, warn
        self._readings: dict[Path, Reading] = {}
        self._making: list[_Making] = []
        self.aside: list[Path] = []
        """What goes with the command."""
        self._warned = set[Path]()

    def heard(self, reading: Reading) -> None:
        self._readings[reading.file] = reading
        for making in self._making:
            self._tell(reading, making)

    def _tell(self, reading: Reading, making: _Making) -> None:
        path = str(making.path)
        self._said(reading, reading.tell(path, self._clock(), moved=making.moved))

    def _wrote(self, making: _Making, files: Marks) -> None:
        for reading in self._readings.values():
            self._said(reading, reading.wrote(str(making.path), self._clock(), files))

    def _said(self, reading: Reading, why: str) -> None:
        if why and reading.file not in self._warned:
            self._warned.add(reading.file)
            self._warn(
                f"{reading.file}: {why}; assay live forget will not reach what this command leaves"
            )

    @contextmanager
    def told(self, making: _Making, undo: Callable[[], object] | None) -> Generator[Ready]:
        others = (where for each in self._making for where in (each.path, each.inner))
        if any(making.path.is_relative_to(each) for each in chain(others, self.aside)):
            yield _untold
            return
        for reading in self._readings.values():
            self._tell(reading, making)
        self._making.append(making)
        try:
            yield lambda at, made: self._wrote(making, marks(at, made))
        finally:
            self._making.remove(making)
            if not making.moved and not making.path.is_dir():
                self._wrote(making, marks(making.path))
        stale = [each.file for each in self._readings.values() if each.stale()]
        if stale and undo is not None:
            undo()
            self._wrote(making, {} if making.moved else marks(making.path))
            raise DataError(
                f"{making.path}: a session of {stale[0]} was forgotten while this was made, which "
                "is gone again; run this again"
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
    moved: bool = False,
) -> Generator[Ready]:
    """Tells the stores that were read, and those that are read within the block, what is written in
    it, before it is. Yields what is to be called with where it lies, and with what of it is new
    (None: all), before it is moved to `path`.

    Args:
        path: of a file or folder.
        moved: it is made elsewhere, and moved there when it is whole. False: it is written there.
        inner: where it lies until it is whole. None: there.
        undo: takes it away again, where somebody is forgotten meanwhile. None: whoever forgets
            waits until it is written, and takes out of it what is to go.

    Raises:
        DataError: somebody whom it may be about was forgotten; it is not there.
    """
    if not _commands:
        yield _untold
        return
    at = Path(os.path.realpath(path))
    with _commands[-1].told(_Making(at, at if inner is None else inner, moved), undo) as ready:
        yield ready


def _untold(at: Path, made: Collection[str] | None) -> None:
    """Nobody is to be told."""


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

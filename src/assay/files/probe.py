"""What the beginning of an untrusted file shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import DataError, TornError
from assay.files.csvs import is_csv
from assay.files.parquet import names
from assay.files.reading import Tolerance, beginning, documents, first_byte
from assay.files.strict import parse

_FEW = 24
"""Lines that recognition looks at."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What recognition may look at of a file: its name, first bytes and first JSON value."""

    path: Path
    head: bytes
    """First 64 KiB."""
    first: Any
    """First JSON value: of a JSON Lines file its first line, of a list its first element.
    None: no JSON."""
    is_list: bool
    """The document is one JSON array."""
    fault: DataError | None = None
    """Why the first JSON value could not be read. None: it could, or nobody tried."""
    few: tuple[Any, ...] = ()
    """The first JSON values of a file of lines, those within `head`, `first` among them."""

    def has(self, *keys: str) -> bool:
        """Is the first value an object with all these keys?"""
        return isinstance(self.first, dict) and all(key in self.first for key in keys)


def probe(path: Path) -> Probe:
    """Returns what the first bytes and the first JSON value of a file show.

    Raises:
        DataError: there is no such file.
    """
    head, seen = beginning(path), _Seen()
    if head.startswith(b"PAR1"):
        return Probe(path, head, None, is_list=False, fault=_broken(path))
    if is_csv(path):
        return Probe(path, head, None, is_list=False)
    first, is_list, fault = None, False, None
    try:
        is_list = first_byte(path) == b"["
        first = next(documents(path, seen), ("", None))[1]
    except DataError as error:
        fault = error
    fault = (seen.fault or fault) if first is None else None
    few = () if is_list else tuple(_few(head))
    return Probe(path, head, first, is_list, fault, few or (() if first is None else (first,)))


def _broken(path: Path) -> DataError | None:
    """Returns why the footer of a Parquet file cannot be read."""
    try:
        names(path)
    except DataError as error:
        return TornError(f"{path}: broken parquet: {error}; is it cut short?")
    return None


class _Seen(Tolerance):
    """Passes over what is not whole, and keeps the first fault."""

    def __init__(self) -> None:
        self.fault: DataError | None = None

    def torn(self, error: TornError) -> None:
        self.fault = self.fault or error

    def nan(self, where: str, count: int) -> None:
        pass


def _few(head: bytes) -> Iterator[Any]:
    """Yields the values of the first lines that are whole JSON objects."""
    for line in head.split(b"\n")[:_FEW]:
        try:
            value = parse(line, "", nan=lambda *_: None) if line.strip() else None
        except DataError:
            continue
        if isinstance(value, dict):
            yield value

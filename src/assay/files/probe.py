"""What the beginning of an untrusted file shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import DataError
from assay.files.reading import beginning, documents, first_byte


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

    def has(self, *keys: str) -> bool:
        """Is the first value an object with all these keys?"""
        return isinstance(self.first, dict) and all(key in self.first for key in keys)


def probe(path: Path) -> Probe:
    """Returns what the first bytes and the first JSON value of a file show.

    Raises:
        DataError: there is no such file.
    """
    head = beginning(path)
    first, is_list, fault = None, False, None
    try:
        is_list = first_byte(path) == b"["
        first = next(documents(path), ("", None))[1]
    except DataError as error:
        fault = error
    return Probe(path=path, head=head, first=first, is_list=is_list, fault=fault)

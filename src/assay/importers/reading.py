"""Files of untrusted JSON, taken apart so that one record at a time is in memory."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assay.errors import DataError
from assay.importers.strict import parse
from assay.records.codec import MAX_RECORD, lines

MAX_DOCUMENT = 512 * 1024 * 1024
"""Bytes of a file that is one JSON value, at most: such a file holds all trajectories of a run."""

_SPACE = re.compile(rb"[ \t\r\n]*")
_SEPARATOR = re.compile(rb"[ \t\r\n]*([,\]])[ \t\r\n]*")


def documents(path: Path) -> Iterator[tuple[str, Any]]:
    """Yields (where, value) for each record of a file: a line, an element of its list, or itself.

    A file whose first character is `[` is one JSON array and is taken apart element by element, so
    memory stays with one record. A file whose first line is a whole JSON value is JSON Lines.
    Anything else is one document.

    Raises:
        DataError: the file is missing, empty, or not JSON; names file and record.
    """
    if first_byte(path) == b"[":
        yield from _elements(path)
    elif is_lines(path):
        with lines(path) as numbered:
            for number, line in numbered:
                if line.strip():
                    where = f"{path} line {number}"
                    yield where, parse(line, where)
    else:
        yield str(path), parse(contents(path, most=MAX_DOCUMENT), str(path), most=MAX_DOCUMENT)


def contents(path: Path, *, most: int = MAX_RECORD) -> bytes:
    """Returns the whole of a file of at most `most` bytes."""
    try:
        if (size := path.stat().st_size) > most:
            raise DataError(f"{path}: {size:,} bytes in one JSON value; at most {most:,}")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def first_byte(path: Path) -> bytes:
    """Returns the first byte of a file that is not white space; empty for an empty file."""
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 16)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    if not head.strip():
        raise DataError(f"{path}: the file is empty; expected JSON")
    return head.lstrip(b" \t\r\n\xef\xbb\xbf")[:1]


def is_lines(path: Path) -> bool:
    """Is the first line a whole JSON value by itself (JSON Lines, plain or zstd)?"""
    if path.name.endswith((".jsonl", ".jsonl.zst", ".ndjson")):
        return True
    try:
        with lines(path) as numbered:
            first = next(numbered, (0, b""))[1]
    except DataError:
        return False
    # Nothing needs to be parsed for this: a value that goes on is not balanced yet.
    depth, closed = 0, False
    for token in _STRUCTURE.finditer(first):
        byte = first[token.start()]
        depth += (byte in b"[{") - (byte in b"]}")
        closed = depth == 0 and byte != 0x2C
    return closed or first.removeprefix(b"\xef\xbb\xbf").strip()[:1] not in (b"{", b"[", b"")


def _elements(path: Path) -> Iterator[tuple[str, Any]]:
    """Takes one JSON array apart without holding more than one element."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(b"[") + 1
        at = _SPACE.match(data, at).end()  # pyright: ignore[reportOptionalMemberAccess]
        if data[at : at + 1] == b"]":
            return
        index = 0
        while True:
            where = f"{path} record {index}"
            end = _end_of_value(data, at, where)
            yield where, parse(data[at:end], where)
            separator = _SEPARATOR.match(data, end)
            if separator is None:
                raise DataError(
                    f"{path}: the list breaks off after record {index}; is it cut short?"
                )
            at, index = separator.end(), index + 1
            if separator[1] == b"]":
                if at != len(data):
                    raise DataError(f"{path}: text after the list's end at byte {at}")
                return


_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]|,', re.DOTALL)
"""Strings are possessive: a backtracking pattern would keep one entry per character."""


def _end_of_value(data: mmap.mmap, at: int, where: str) -> int:
    """Returns the offset after the JSON value that starts at `at`, by counting brackets."""
    depth = 0
    for token in _STRUCTURE.finditer(data, at, min(len(data), at + MAX_RECORD)):
        byte = data[token.start()]
        if byte in b"[{":
            depth += 1
        elif byte in b"]}":
            depth -= 1
            if depth == 0:
                return token.end()
            if depth < 0:
                return token.start()
        elif byte == 0x2C and depth == 0:
            return token.start()
    raise DataError(f"{where}: no end within {MAX_RECORD:,} bytes; is the file cut short?")

"""Files of untrusted JSON, taken apart so that one record at a time is in memory."""

import mmap
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay.errors import DataError, TornError
from assay.files.lines import MAX_RECORD, Stretch, lines
from assay.files.packed import is_packed, opened, plain_name, unpacking
from assay.files.strict import parse

MAX_DOCUMENT = 512 * 1024 * 1024
"""Bytes of a file that is one JSON value, at most: such a file holds all trajectories of a run."""

_HEAD = 1 << 16
_SPACE = re.compile(rb"[ \t\r\n]*")
_SEPARATOR = re.compile(rb"[ \t\r\n]*([,\]])[ \t\r\n]*")


class Tolerance:
    """Who is told of what is not whole; this one tolerates nothing."""

    __slots__ = ()

    def torn(self, error: TornError) -> None:
        """Takes the error for a record that is not whole, and raises it unless it is skipped."""
        raise error

    def nan(self, where: str, count: int) -> None:
        """Takes the number of NaN and infinities in a record, unless it raises read as null."""
        raise DataError(f"{where}: NaN is not JSON; write null for a missing number")


STRICT = Tolerance()


def documents(
    path: Path, told: Tolerance = STRICT, within: Stretch | None = None
) -> Iterator[tuple[str, Any]]:
    """Yields (where, value) for each record of a file: a line, an element of its list, or itself.

    A file whose first character is `[` is one JSON array and is taken apart element by element, so
    memory stays with one record. A file whose first line is a whole JSON value is JSON Lines.
    Anything else is one document. A packed file is unpacked on the way.

    Args:
        path: the file.
        told: of records that are not whole, which are skipped, and of NaN.
        within: of a file of lines these alone. None: all.

    Raises:
        TornError: a record is not whole, and nobody tolerates it.
        DataError: the file is missing, empty, or not JSON; names file and record.
    """
    try:
        if within is not None:
            yield from _lines(path, told, within)
        elif first_byte(path) == b"[":
            yield from _elements(path, told)
        elif is_lines(path):
            yield from _lines(path, told)
        else:
            content = contents(path, most=MAX_DOCUMENT)
            yield str(path), parse(content, str(path), most=MAX_DOCUMENT, nan=told.nan)
    except TornError as error:
        told.torn(error)


def _lines(path: Path, told: Tolerance, within: Stretch | None = None) -> Iterator[tuple[str, Any]]:
    with lines(path, within) as numbered:
        for number, line in numbered:
            if line.strip():
                where = f"{path} line {number}"
                try:
                    value = parse(line, where, nan=told.nan)
                except TornError as error:
                    told.torn(error)
                else:
                    yield where, value


def contents(path: Path, *, most: int = MAX_RECORD) -> bytes:
    """Returns the whole of a file of at most `most` bytes, unpacked."""
    with opened(path) as stream, unpacking(str(path)):
        content = stream.read(most + 1)
        if len(content) > most:
            size = f"over {most:,}" if is_packed(path) else f"{path.stat().st_size:,}"
            raise DataError(f"{path}: {size} bytes in one JSON value; at most {most:,}")
        return content


def beginning(path: Path) -> bytes:
    """Returns the first 64 KiB of a file, unpacked as far as it is whole."""
    with opened(path) as stream:
        head = b""
        try:
            with unpacking(str(path)):
                while len(head) < _HEAD and (more := stream.read1(_HEAD - len(head))):
                    head += more
        except TornError:
            pass
        return head


def first_byte(path: Path) -> bytes:
    """Returns the first byte of a file that is not white space; empty for an empty file."""
    head = beginning(path)
    if not head.strip():
        raise TornError(f"{path}: the file is empty; expected JSON")
    return head.lstrip(b" \t\r\n\xef\xbb\xbf")[:1]


def is_lines(path: Path) -> bool:
    """Is the first line a whole JSON value by itself (JSON Lines, plain or zstd)?"""
    if plain_name(path).endswith((".jsonl", ".ndjson")):
        return True
    try:
        with lines(path) as numbered:
            first = next(numbered, (0, b""))[1]
    except DataError:
        return False
    if not is_packed(path) and path.stat().st_size <= len(first) + 2:
        return False  # its only line: one value either way
    # Nothing needs to be parsed for this: a value that goes on is not balanced yet.
    first = first.removeprefix(b"\xef\xbb\xbf").strip()
    if first[:1] not in (b"{", b"["):
        return bool(first)
    return _end_of_value(first, 0, len(first)) == len(first)


@contextmanager
def _mapped(path: Path) -> Generator[mmap.mmap | bytes]:
    """The bytes of a file: mapped, or unpacked in memory."""
    if is_packed(path):
        yield contents(path, most=MAX_DOCUMENT)
        return
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _elements(path: Path, told: Tolerance) -> Iterator[tuple[str, Any]]:
    """Takes one JSON array apart without holding more than one element."""
    with _mapped(path) as data:
        at = data.find(b"[") + 1
        at = _SPACE.match(data, at).end()  # pyright: ignore[reportOptionalMemberAccess]
        if data[at : at + 1] == b"]" and not data[at + 1 :].strip():
            return
        index = 0
        while True:
            where = f"{path} record {index}"
            end = _end_of_value(data, at, min(len(data), at + MAX_RECORD))
            if end is None:
                rest = min(len(data) - at, MAX_RECORD)
                raise TornError(f"{where}: no end in the next {rest:,} bytes; is it cut short?")
            yield where, parse(data[at:end], where, nan=told.nan)
            separator = _SEPARATOR.match(data, end)
            if separator is None:
                raise TornError(
                    f"{path}: the list breaks off after record {index}; is it cut short?"
                )
            at, index = separator.end(), index + 1
            if separator[1] == b"]":
                if at != len(data):
                    raise DataError(f"{path}: text after the list's end at byte {at}")
                return


_SCALAR = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^"\[\]{},\s]++', re.DOTALL)
_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+[\[\]{}]', re.DOTALL)
"""Up to the next bracket outside strings. All of it is possessive: a pattern that backtracks would
keep one entry per character."""


def _end_of_value(data: mmap.mmap | bytes, at: int, limit: int) -> int | None:
    """Returns the offset after the JSON value that starts at `at`, by counting brackets."""
    if data[at : at + 1] not in (b"[", b"{"):
        scalar = _SCALAR.match(data, at, limit)
        return scalar.end() if scalar else at
    depth = 0
    while (found := _BRACKET.match(data, at, limit)) is not None:
        at = found.end()
        depth += 1 if data[at - 1 : at] in (b"[", b"{") else -1
        if depth == 0:
            return at
    return None

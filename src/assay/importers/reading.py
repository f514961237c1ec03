"""Untrusted JSON, read strictly and one record at a time.

Refused with one line each: what is not JSON, NaN and infinities, duplicate keys, deep nesting,
records beyond `MAX_RECORD`, records that would unfold to many times their size, and pickles.
"""

import json
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from assay.errors import DataError
from assay.records.codec import MAX_RECORD, lines

_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"\x93NUMPY")
_SPACE = re.compile(rb"[ \t\r\n]*")
_SEPARATOR = re.compile(rb"[ \t\r\n]*([,\]])[ \t\r\n]*")
_EXPANSION = 8
"""A parsed record may take this many times its bytes in memory, roughly."""


class _Refused(Exception):
    """A JSON value that is legal for some parsers and refused here."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise _Refused(f"key {twice!r} occurs twice in one object; expected once")
    return value


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is not JSON; write null for a missing number")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Refused(f"number {text} is too large for a double")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_float)


def parse(text: bytes, where: str) -> Any:
    """Returns the one JSON value that `text` holds, strictly.

    Raises:
        DataError: names `where` and the first thing that is wrong with it.
    """
    if len(text) > MAX_RECORD:
        raise DataError(f"{where}: {len(text):,} bytes; expected at most {MAX_RECORD:,}; split it")
    if text.startswith(_PICKLES):
        raise DataError(f"{where}: looks like a pickle, which is never read; export it as JSON")
    # An empty list is three bytes on disk and 64 in memory: refuse what is all punctuation.
    cells = text.count(b"[") * 64 + text.count(b"{") * 64 + text.count(b",") * 8
    if cells > max(_EXPANSION * len(text), 1 << 20):
        raise DataError(f"{where}: would unfold to over {_EXPANSION} times its size; not a log")
    try:
        string = text.decode("utf-8").strip(" \t\r\n\ufeff")
        value, end = _DECODER.raw_decode(string)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start}; convert it") from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not JSON at character {error.pos}: {error.msg}; is it cut short?"
        ) from None
    except (RecursionError, _Refused, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"{where}: {reason}") from None
    if end != len(string):
        raise DataError(f"{where}: more than one JSON value; expected one (or one a line, .jsonl)")
    return value


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
                where = f"{path} line {number}"
                yield where, parse(line, where)
    else:
        yield str(path), parse(contents(path), str(path))


def contents(path: Path) -> bytes:
    """Returns the whole of a file of at most `MAX_RECORD` bytes."""
    try:
        if (size := path.stat().st_size) > MAX_RECORD:
            raise DataError(f"{path}: {size:,} bytes in one JSON value; at most {MAX_RECORD:,}")
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
    with lines(path) as numbered:
        first = next(numbered, (0, b""))[1]
    try:
        parse(first, "")
    except DataError:
        return False
    return True


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


_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]|,', re.DOTALL)


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

"""Lines of JSON: untrusted ones, plain or packed, and logs of our own.

A line that a kill cut short is none: `rows` leaves it out, `cut` takes it away.
"""

import io
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from assay.errors import DataError
from assay.files.atomic import published
from assay.files.packed import opened, unpacking

MAX_RECORD: Final = 64 * 1024 * 1024
"""Bytes of one record, at most. Longer lines are refused before they are parsed."""

_BUFFER: Final = 1 << 20
_encoder = msgspec.json.Encoder()


class Stretch(NamedTuple):
    """Some lines of a plain file."""

    start: int
    """Byte at which the first of them begins."""
    end: int
    """Byte after the last."""
    before: int
    """Lines before them."""
    first: int
    """Records before them, if every line is one."""


def stretches_of(path: Path, size: int) -> Iterator[Stretch]:
    """Yields the lines of a plain file in stretches of about `size` bytes, and as long as each
    other."""
    total, start, before = path.stat().st_size, 0, 0
    size = -(-total // max(1, -(-total // size)))
    with path.open("rb", buffering=_BUFFER) as stream:
        while start < total:
            stream.seek(min(start + size, total) - 1)
            # a longer line is refused where it begins; nothing: the file was cut short meanwhile
            end = stream.tell() if stream.readline(MAX_RECORD + 2) else total
            yield Stretch(start, end, before, before)
            before += _newlines(stream, start, end)
            start = end


def _newlines(stream: IO[bytes], start: int, end: int) -> int:
    """Counts newlines from byte to byte, of a file that may be cut short meanwhile."""
    stream.seek(start)
    count = 0
    while content := stream.read(min(_BUFFER, end - start)):
        count += content.count(b"\n")
        start += len(content)
    return count


@contextmanager
def lines(
    path: str | os.PathLike[str], within: Stretch | None = None
) -> Generator[Iterator[tuple[int, bytes]]]:
    """Opens a line file, plain, gzip or zstd, as (line number from 1, bytes without newline).

    Blank lines are skipped but counted.

    Args:
        path: the file.
        within: of a plain one these lines alone. None: all.

    Raises:
        TornError: a packed file is cut short.
        DataError: the file cannot be read, is damaged, or a line is longer than `MAX_RECORD`.
    """
    with opened(path) as stream:
        if within is not None:
            stream.seek(within.start)
        yield _numbered(stream, path, within)


def _numbered(
    stream: io.BufferedIOBase, path: str | os.PathLike[str], within: Stretch | None
) -> Iterator[tuple[int, bytes]]:
    number = 0 if within is None else within.before
    while within is None or stream.tell() < within.end:
        number += 1
        with unpacking(f"{path} line {number}"):
            line = stream.readline(MAX_RECORD + 2)
        if not line:
            return
        if len(line) > MAX_RECORD + 1:
            raise DataError(
                f"{path} line {number}: record is longer than {MAX_RECORD:,} bytes; split the file"
            )
        line = line.rstrip(b"\r\n")
        if line:
            yield number, line


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the objects of a log, up to its last whole line."""
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield json.loads(line)


def write_rows(path: Path, values: Iterable[Any]) -> None:
    """Writes values, one a line, to a file that appears whole. NaN becomes null."""
    with published(path) as stream:
        for value in values:
            stream.write(_encoder.encode(value) + b"\n")


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Adds a line to a log; a line that does not fit is taken back.

    Raises:
        DataError: there is no room for it.
        ValueError: a value is NaN or infinite.
    """
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("ab", buffering=0) as stream:
            if stream.write(line) != len(line):
                raise OSError("only a part of a line fitted")
    except OSError as error:
        os.truncate(path, size)
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


def cut(path: Path, keep: Callable[[dict[str, Any]], bool] = lambda _: True) -> None:
    """Cuts a log off at the first row that `keep` refuses, or at a line that is not whole."""
    kept = 0
    with path.open("rb") as stream:
        for line in stream:
            if not line.endswith(b"\n") or not keep(json.loads(line)):
                break
            kept += len(line)
    os.truncate(path, kept)

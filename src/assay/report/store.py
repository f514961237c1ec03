"""Pieces of the report on their way to the file: spooled on disk, compressed in order."""

import gzip
import hashlib
import os
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import IO, Any, final

import msgspec

from assay.report.redact import Redactor

BODY = 1 << 20
"""Bytes of records that one chunk holds, at most, unless a single record is longer."""
SHARD = 1 << 20
"""Bytes of compressed chunks that one file of a folder report holds, at least."""
_LEVEL = 2
"""Of compression: 6 takes three times as long, for a page that is a fifth smaller."""


@final
class Spool:
    """Byte strings on disk, by the number they were added under. Gone when closed."""

    def __init__(self, folder: Path) -> None:
        self._stream: IO[bytes] = tempfile.TemporaryFile(dir=folder, prefix=".report-")  # noqa: SIM115
        self._at, self._unwritten = array("q", [0]), False

    def add(self, data: bytes | memoryview) -> int:
        """Appends a piece and returns its number, from 0."""
        return self.add_all((data,))

    def add_all(self, parts: Iterable[bytes | memoryview]) -> int:
        """Appends what is given in parts as one piece; returns its number."""
        size = 0
        for part in parts:
            self._stream.write(part)
            size += len(part)
        self._at.append(self._at[-1] + size)
        self._unwritten = True
        return len(self._at) - 2

    def part(self, number: int, start: int, stop: int) -> bytes:
        """Returns bytes [start, stop) of a piece."""
        self.flush()
        return os.pread(self._stream.fileno(), stop - start, self._at[number] + start)

    def __getitem__(self, number: int) -> bytes:
        """Returns a piece by its number."""
        return self.part(number, 0, self.size(number))

    def __len__(self) -> int:
        """Returns how many pieces there are."""
        return len(self._at) - 1

    def size(self, number: int) -> int:
        """Returns the length of a piece in bytes."""
        return self._at[number + 1] - self._at[number]

    @property
    def total(self) -> int:
        """Bytes of all pieces."""
        return self._at[-1]

    def flush(self) -> "array[int]":
        """Lets other processes read what was added; returns where each piece begins."""
        if self._unwritten:
            self._stream.flush()
            self._unwritten = False
        return self._at

    def filled(self, at: "array[int]") -> None:
        """Takes note of what a fork of this process has added."""
        self._at = at

    def close(self) -> None:
        """Deletes the spool."""
        self._stream.close()


def body(lines: Iterable[bytes], redactor: Redactor | None) -> bytes:
    """Returns one chunk: records without their step texts, and each different text once."""
    texts: dict[str, int] = {}
    uses = Counter[int]()
    records: list[Any] = []
    for line in lines:
        record = msgspec.json.decode(line)
        for step in record.get("steps", ()):
            if text := step.get("text"):
                step["text"] = at = texts.setdefault(text, len(texts))
                uses[at] += 1
        records.append(record)
    rest, shown = msgspec.json.encode(records, order="sorted"), list(texts)
    if redactor is not None:
        rest = redactor.line(rest)
        shown = [redactor.text(text, uses[at]) for text, at in texts.items()]
    chunk = {"texts": shown, "records": msgspec.Raw(rest)}
    return msgspec.json.encode(chunk, order="sorted")


def compressed(data: bytes) -> bytes:
    """Returns gzip bytes that depend on nothing but the data: no clock, no operating system."""
    packed = bytearray(gzip.compress(data, _LEVEL, mtime=0))
    packed[9] = 255
    return bytes(packed)


def shards(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes, list[tuple[int, int]]]]:
    """Yields files of a folder report: name (by content), bytes, (offset, length) per chunk."""

    def file() -> tuple[str, bytes, list[tuple[int, int]]]:
        data, ends = b"".join(pieces), list(accumulate(map(len, pieces), initial=0))
        name = f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
        return name, data, [(at, end - at) for at, end in pairwise(ends)]

    pieces: list[bytes] = []
    for piece in chunks:
        pieces.append(piece)
        if sum(map(len, pieces)) >= SHARD:
            yield file()
            pieces = []
    if pieces:
        yield file()

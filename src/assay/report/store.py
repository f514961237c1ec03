"""Pieces of the report on their way to the file: spooled on disk, compressed in order."""

import gzip
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, final

import msgspec

BODY = 1 << 20
"""Bytes of records that one chunk holds, at most, unless a single record is longer."""
SHARD = 1 << 20
"""Bytes of compressed chunks that one file of a folder report holds, at least."""
_AHEAD = 16


@final
class Spool:
    """Byte strings on disk, by the number they were added under. Gone when closed."""

    def __init__(self, folder: Path) -> None:
        self._stream: IO[bytes] = tempfile.TemporaryFile(dir=folder, prefix=".report-")  # noqa: SIM115
        self._at: list[int] = [0]

    def add(self, data: bytes) -> int:
        """Appends a piece and returns its number, from 0."""
        self._stream.write(data)
        self._at.append(self._at[-1] + len(data))
        return len(self._at) - 2

    def __getitem__(self, number: int) -> bytes:
        """Returns a piece by its number."""
        self._stream.seek(self._at[number])
        data = self._stream.read(self._at[number + 1] - self._at[number])
        return data

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

    def close(self) -> None:
        """Deletes the spool."""
        self._stream.close()


def body(lines: Iterable[bytes]) -> bytes:
    """Returns one chunk: records without their step texts, and each different text once."""
    texts: dict[str, int] = {}
    records: list[Any] = []
    for line in lines:
        record = msgspec.json.decode(line)
        for step in record.get("steps", ()):
            if step.get("text"):
                step["text"] = texts.setdefault(step["text"], len(texts))
        records.append(record)
    return msgspec.json.encode({"texts": list(texts), "records": records}, order="sorted")


def compressed(data: bytes) -> bytes:
    """Returns gzip bytes that depend on nothing but the data: no clock, no operating system."""
    packed = bytearray(gzip.compress(data, 6, mtime=0))
    packed[9] = 255
    return bytes(packed)


def in_order(jobs: Iterable[bytes]) -> Iterator[bytes]:
    """Yields each piece compressed, in order, on two threads, a few pieces ahead."""
    with ThreadPoolExecutor(2) as pool:
        waiting: list[Future[bytes]] = []
        for job in jobs:
            waiting.append(pool.submit(compressed, job))
            if len(waiting) > _AHEAD:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def shards(chunks: Spool) -> Iterator[tuple[str, bytes, list[tuple[int, int]]]]:
    """Yields files of a folder report: name (by content), bytes, (offset, length) per chunk."""
    pieces: list[bytes] = []
    for number in range(len(chunks)):
        pieces.append(chunks[number])
        if sum(map(len, pieces)) >= SHARD or number == len(chunks) - 1:
            data = b"".join(pieces)
            places, at = [], 0
            for piece in pieces:
                places.append((at, len(piece)))
                at += len(piece)
            yield f"{hashlib.sha256(data).hexdigest()[:16]}.bin", data, places
            pieces = []

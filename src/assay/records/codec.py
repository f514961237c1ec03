"""Trajectories to bytes and back: JSON Lines, optionally zstd. Never pickle.

One record a line, UTF-8, keys in field order, defaults left out: `encode(decode(line)) == line` for
every line that `encode` wrote. A file is published whole: temporary name, fsync, rename.
"""

import io
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
import zstandard

from assay.errors import AlignmentError, DataError
from assay.records.trajectory import ModelStep, Trajectory

MAX_RECORD = 64 * 1024 * 1024
"""Bytes of one record, at most. Longer lines are refused before they are parsed."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Trajectory)


def encode(trajectory: Trajectory) -> bytes:
    """Returns the record as one line of JSON, without the newline."""
    return _encoder.encode(trajectory)


def decode(line: bytes, *, where: str = "record") -> Trajectory:
    """Returns the trajectory that `line` holds.

    Args:
        line: one JSON object, schema "assay.trajectory/1".
        where: what to call it in an error, for example "run.jsonl line 3".

    Raises:
        DataError: not JSON, an unknown key, a wrong type; the message names the field.
        AlignmentError: a step's per-token lists do not line up with its tokens.
    """
    try:
        trajectory = _decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise DataError(f"{where}: {error}; expected an assay.trajectory/1 record") from None
    for index, step in enumerate(trajectory.steps):
        if type(step) is ModelStep and step.token_ids is not None:
            _check_alignment(step, f"{where}: trajectory {trajectory.id!r} steps[{index}]")
    return trajectory


def _check_alignment(step: ModelStep, where: str) -> None:
    """Raises AlignmentError unless every per-token list of `step` fits its tokens."""
    n = len(step.token_ids or ())
    last = 0
    for start, end in step.sampled or ():
        if not last <= start <= end <= n:
            raise AlignmentError(
                f"{where}.sampled: got [{start}, {end}); "
                f"expected ascending disjoint ranges in [0, {n}]"
            )
        last = end
    n_sampled = n if step.sampled is None else sum(end - start for start, end in step.sampled)
    for name, values in (("logprobs", step.logprobs), ("entropies", step.entropies)):
        if values is not None and len(values) != n_sampled:
            raise AlignmentError(
                f"{where}.{name}: got {len(values)} values; "
                f"expected {n_sampled}, one per sampled token"
            )
    for span in (*step.spans, *(c for c in step.calls if c.start is not None)):
        if not 0 <= (span.start or 0) <= (span.end or 0) <= n:
            raise AlignmentError(
                f"{where}: span [{span.start}, {span.end}) lies outside its {n} tokens"
            )


def read(path: str | os.PathLike[str]) -> Iterator[Trajectory]:
    """Yields the trajectories of a `.jsonl` or `.jsonl.zst` file, one at a time.

    Raises:
        DataError: the file is missing or a line is not a record; names file and line.
    """
    with lines(path) as numbered:
        for number, line in numbered:
            yield decode(line, where=f"{path} line {number}")


@contextmanager
def lines(path: str | os.PathLike[str]) -> Generator[Iterator[tuple[int, bytes]]]:
    """Opens a line file, zstd or plain, as (line number from 1, bytes without newline)."""
    try:
        raw = Path(path).open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    with raw:
        stream: IO[bytes] = raw
        if raw.read(4) == b"\x28\xb5\x2f\xfd":
            raw.seek(0)
            stream = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
        else:
            raw.seek(0)
        yield _numbered(stream, path)


def _numbered(stream: IO[bytes], path: str | os.PathLike[str]) -> Iterator[tuple[int, bytes]]:
    number = 0
    while True:
        number += 1
        try:
            line = stream.readline(MAX_RECORD + 2)
        except zstandard.ZstdError as error:
            raise DataError(f"{path} line {number}: broken zstd stream: {error}") from None
        if not line:
            return
        if len(line) > MAX_RECORD + 1:
            raise DataError(
                f"{path} line {number}: record is longer than {MAX_RECORD:,} bytes; split the file"
            )
        line = line.rstrip(b"\r\n")
        if line:
            yield number, line


def write(path: str | os.PathLike[str], trajectories: Iterable[Trajectory]) -> int:
    """Writes records to `.jsonl` or `.jsonl.zst`; the file appears whole or not at all.

    Returns:
        How many were written.
    """
    count = 0
    with published(path) as stream:
        sink = (
            zstandard.ZstdCompressor().stream_writer(stream, closefd=False)
            if (str(path).endswith(".zst"))
            else stream
        )
        for trajectory in trajectories:
            sink.write(_encoder.encode(trajectory) + b"\n")
            count += 1
        if sink is not stream:
            sink.close()
    return count


@contextmanager
def published(path: str | os.PathLike[str]) -> Generator[IO[bytes]]:
    """A file that appears under `path` only if the block succeeds: temp, fsync, rename."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp-{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)

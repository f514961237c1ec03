"""Trajectories to bytes and back: JSON Lines, optionally zstd. Never pickle.

One record a line, UTF-8, keys in field order, defaults left out: `encode(decode(line)) == line` for
every line that `encode` wrote. A file is published whole: temporary name, fsync, rename. What is no
file, a pipe or a device, is written to as it is.
"""

import errno
import io
import json
import os
import stat
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import zstandard

from assay.errors import DataError
from assay.records.checks import check, check_finite
from assay.records.trajectory import ModelStep, Trajectory

MAX_RECORD = 64 * 1024 * 1024
"""Bytes of one record, at most. Longer lines are refused before they are parsed."""

_BUFFER = 1 << 20
"""Bytes read at once: 5 times faster than the default for lines of 15 KB."""
_MAGIC = b"\x28\xb5\x2f\xfd"
_PIECE = 2048
"""Compressed bytes taken at a time: zstd unfolds at most 32,768 times, so 64 MiB at most."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OPEN: Final = {"/dev/stdout": 1, "/dev/stderr": 2}
"""Names of what this process has open: written on where it stands, whatever it is."""


class Trajectory2(Trajectory, frozen=True, tag="assay.trajectory/2"):
    """Version 2 on disk: version 1 and `scores` in its model steps. Nothing else ever sees it."""


_encoder = msgspec.json.Encoder()
_decoder: "msgspec.json.Decoder[Trajectory]" = msgspec.json.Decoder(Trajectory | Trajectory2)


def encode(trajectory: Trajectory) -> bytes:
    """Returns the record as one line of JSON, without the newline.

    What it returns, `decode` accepts: the line is read back before it is given away. It is written
    in the first version of the format that has all its keys.

    Raises:
        DataError: a NaN, an infinity, a wrong type, text that is no Unicode; names the field.
        AlignmentError: a step's per-token lists do not line up with its tokens.
    """
    where = f"trajectory {trajectory.id!r}"
    try:
        check_finite(trajectory, where)
        line = _line(trajectory)
    except (UnicodeError, OverflowError, TypeError, AttributeError) as error:
        raise DataError(f"{where} cannot be written: {error}") from None
    return _line(_decode(line, where))


def _scored(trajectory: Trajectory) -> bool:
    """Has a step a key of version 2?"""
    return any(type(step) is ModelStep and step.scores for step in trajectory.steps)


def _line(trajectory: Trajectory) -> bytes:
    return _encoder.encode(_as(Trajectory2, trajectory) if _scored(trajectory) else trajectory)


def _as(kind: type[Trajectory], trajectory: Trajectory) -> Trajectory:
    """Returns the trajectory as another version's record, its parts shared."""
    return kind(**msgspec.structs.asdict(trajectory))


def decode(line: bytes, *, where: str = "record") -> Trajectory:
    """Returns the trajectory that `line` holds.

    Args:
        line: one JSON object, schema "assay.trajectory/1" or "/2".
        where: what to call it in an error, for example "run.jsonl line 3".

    Raises:
        DataError: not JSON, an unknown or repeated key, a wrong type; the message names the field.
        AlignmentError: a step's per-token lists do not line up with its tokens.
    """
    trajectory = _decode(line, where)
    if _line(trajectory) != line:
        _check_keys(line, where)
    return trajectory


def _decode(line: bytes, where: str) -> Trajectory:
    try:
        trajectory = _decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        if "missing required field `schema`" in str(error):
            raise DataError(f'{where}.schema: missing; expected "assay.trajectory/1"') from None
        raise DataError(f"{where}: {error}; expected an assay.trajectory record") from None
    if type(trajectory) is Trajectory2:
        trajectory = _as(Trajectory, trajectory)
    elif _scored(trajectory):
        raise DataError(f"{where}: scores: not a key of assay.trajectory/1; write it as /2")
    check(trajectory, where)
    return trajectory


def _check_keys(line: bytes, where: str) -> None:
    """Raises DataError for what the typed decoder lets pass: a repeated key."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DataError(f"{where}: key {twice!r} occurs twice in one object; expected once")
        return record

    try:
        json.loads(line, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, DataError) else DataError(f"{where}: {error}") from None


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
    """Opens a line file, zstd or plain, as (line number from 1, bytes without newline).

    Blank lines are skipped but counted.

    Raises:
        DataError: the file cannot be read, its zstd stream is broken or cut short, or a line is
            longer than `MAX_RECORD`.
    """
    try:
        raw = io.BufferedReader(io.FileIO(path), _BUFFER)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    with raw:
        zstd = raw.peek(4)[:4] == _MAGIC
        yield _numbered(io.BufferedReader(_Frames(raw), 1 << 16) if zstd else raw, path)


class _Frames(io.RawIOBase):
    """The content of a zstd file of any number of frames. Unlike zstandard's own reader, which
    takes the end of a file that was cut short for the end of the data, it raises there."""

    def __init__(self, raw: io.BufferedIOBase) -> None:
        self._raw, self._left = raw, memoryview(b"")
        self._frame = zstandard.ZstdDecompressor().decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left:
            if self._frame.eof:
                piece = self._frame.unused_data or self._raw.read(_PIECE)
                if not piece:
                    return 0
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            elif not (piece := self._raw.read(_PIECE)):
                raise zstandard.ZstdError("the file is cut short")
            self._left = memoryview(self._frame.decompress(piece))
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


def _numbered(
    stream: io.BufferedIOBase, path: str | os.PathLike[str]
) -> Iterator[tuple[int, bytes]]:
    number = 0
    while True:
        number += 1
        try:
            line = stream.readline(MAX_RECORD + 2)
        except zstandard.ZstdError as error:
            raise DataError(f"{path} line {number}: broken zstd stream: {error}") from None
        except OSError as error:
            raise DataError(f"{path} line {number}: {error.strerror or error}") from None
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

    Raises:
        DataError: a record cannot be written (see `encode`), or the file cannot be.
    """
    with published(path) as stream:
        if not str(path).endswith(".zst"):
            return _write(stream, trajectories)
        compressor = zstandard.ZstdCompressor(write_checksum=True)
        with compressor.stream_writer(stream, closefd=False) as sink:
            return _write(sink, trajectories)


def _write(stream: Any, trajectories: Iterable[Trajectory]) -> int:
    count = 0
    for trajectory in trajectories:
        stream.write(encode(trajectory) + b"\n")
        count += 1
    return count


@contextmanager
def published(path: str | os.PathLike[str]) -> Generator[IO[bytes]]:
    """A file that appears under `path` only if the block succeeds: temp, fsync, rename, fsync.

    Under a link, its target is replaced and the link stays. A pipe or a device stays as well, and
    gets the bytes as they come.

    Raises:
        DataError: a folder is there; or there is no room, or no permission, to write it.
    """
    refuse_folder(path)
    if _is_stream(path):
        with _room(path), _opened(path, path) as stream:
            yield stream
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.tmp-{os.getpid()}")
    stream = _opened(path, temporary)
    try:
        with _room(path):
            with stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
            _fsync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_folder(path: str | os.PathLike[str]) -> None:
    """Raises DataError if there is a folder where a file is to be written."""
    if os.path.isdir(path or "."):
        raise DataError(f"{Path(path)}: is a folder; name a file")


def _is_stream(path: str | os.PathLike[str]) -> bool:
    """Is there something that takes bytes and that no file can replace?"""
    try:
        return os.fspath(path) in _OPEN or not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _opened(path: str | os.PathLike[str], at: str | os.PathLike[str]) -> IO[bytes]:
    """Opens `at`, which an error calls `path`."""
    try:
        if os.fspath(at) in _OPEN:
            return os.fdopen(os.dup(_OPEN[os.fspath(at)]), "wb")
        Path(at).parent.mkdir(parents=True, exist_ok=True)
        return Path(at).open("wb")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def _room(path: str | os.PathLike[str]) -> Generator[None]:
    """Says which file a full disk is about; any other error of the block is the block's."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


def _fsync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut, where folders can be synced at all."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""Trajectories to bytes and back: JSON Lines, optionally zstd. Never pickle.

One record a line, UTF-8, keys in field order, defaults left out: `encode(decode(line)) == line` for
every line that `encode` wrote.
"""

import json
import os
from collections.abc import Container, Iterable, Iterator
from contextlib import nullcontext

import msgspec
import zstandard

from assay.errors import DataError, TornError
from assay.files.atomic import published
from assay.files.lines import lines
from assay.files.strict import unique
from assay.records.checks import check, check_finite
from assay.records.trajectory import ModelStep, Trajectory


class Trajectory2(Trajectory, frozen=True, tag="assay.trajectory/2"):
    """Version 2 on disk: version 1 and `scores` in its model steps. Nothing else ever sees it."""


class Trajectory3(Trajectory, frozen=True, tag="assay.trajectory/3"):
    """Version 3 on disk: version 2 and `session`."""


class Trajectory4(Trajectory, frozen=True, tag="assay.trajectory/4"):
    """Version 4 on disk: version 3 and `prior`."""


class Trajectory5(Trajectory, frozen=True, tag="assay.trajectory/5"):
    """Version 5 on disk: version 4, `rescue`, and `hints`, `told`, `neutral`, `helped` in its model
    steps."""


_KINDS = {1: Trajectory, 2: Trajectory2, 3: Trajectory3, 4: Trajectory4, 5: Trajectory5}
_VERSIONS = {kind: version for version, kind in _KINDS.items()}

_encoder = msgspec.json.Encoder()
_decoder: "msgspec.json.Decoder[Trajectory]" = msgspec.json.Decoder(
    Trajectory | Trajectory2 | Trajectory3 | Trajectory4 | Trajectory5
)


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
    return _line(_decode(line, where)[1])


def _needs(trajectory: Trajectory) -> tuple[int, str]:
    """Returns the first version that has all keys of the record, and its newest key."""
    steps = [step for step in trajectory.steps if type(step) is ModelStep]
    if trajectory.rescue is not None:
        return 5, "rescue"
    for key in ("hints", "told", "neutral", "helped"):
        if any(getattr(step, key) not in ((), None) for step in steps):
            return 5, key
    if trajectory.prior is not None:
        return 4, "prior"
    if trajectory.session is not None:
        return 3, "session"
    return (2, "scores") if any(step.scores for step in steps) else (1, "")


def _line(trajectory: Trajectory) -> bytes:
    kind = _KINDS[_needs(trajectory)[0]]
    return _encoder.encode(trajectory if kind is Trajectory else _as(kind, trajectory))


def _as(kind: type[Trajectory], trajectory: Trajectory) -> Trajectory:
    """Returns the trajectory as another version's record, its parts shared."""
    return kind(**msgspec.structs.asdict(trajectory))


def decode(line: bytes, *, where: str = "record") -> Trajectory:
    """Returns the trajectory that `line` holds.

    Args:
        line: one JSON object, schema "assay.trajectory/1" to "/5".
        where: what to call it in an error, for example "run.jsonl line 3".

    Raises:
        TornError: not JSON.
        DataError: an unknown or repeated key, a wrong type; the message names the field.
        AlignmentError: a step's per-token lists do not line up with its tokens.
    """
    written, trajectory = _decode(line, where)
    if _encoder.encode(written) != line:
        _check_keys(line, where)
    return trajectory


def _decode(line: bytes, where: str) -> tuple[Trajectory, Trajectory]:
    """Returns the record of the version that the line names, and what everybody sees of it."""
    try:
        written = trajectory = _decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        if "missing required field `schema`" in str(error):
            raise DataError(f'{where}.schema: missing; expected "assay.trajectory/1"') from None
        # msgspec's own class says that it is no JSON, its subclass that it is no record
        kind = TornError if type(error) is msgspec.DecodeError else DataError
        raise kind(f"{where}: {error}; expected an assay.trajectory record") from None
    version = _VERSIONS[type(written)]
    if version < len(_VERSIONS):
        needed, key = _needs(written)
        if needed > version:
            raise DataError(
                f"{where}: {key}: not a key of assay.trajectory/{version}; write it as /{needed}"
            )
    if type(written) is not Trajectory:
        trajectory = _as(Trajectory, written)
    check(trajectory, where)
    return written, trajectory


def _check_keys(line: bytes, where: str) -> None:
    """Raises DataError for what the typed decoder lets pass: a repeated key."""
    try:
        json.loads(line, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {error}") from None


def read(path: str | os.PathLike[str]) -> Iterator[Trajectory]:
    """Yields the trajectories of a `.jsonl` or `.jsonl.zst` file, one at a time.

    Raises:
        DataError: the file is missing or a line is not a record; names file and line.
    """
    with lines(path) as numbered:
        for number, line in numbered:
            yield decode(line, where=f"{path} line {number}")


def read_some(path: str | os.PathLike[str], wanted: Container[int]) -> Iterator[Trajectory | None]:
    """Yields what `read` does, but None for records of other numbers, which are not looked into."""
    with lines(path) as numbered:
        for k, (number, line) in enumerate(numbered):
            yield decode(line, where=f"{path} line {number}") if k in wanted else None


def write(path: str | os.PathLike[str], trajectories: Iterable[Trajectory]) -> int:
    """Writes records to `.jsonl` or `.jsonl.zst`; the file appears whole or not at all.

    Returns:
        How many were written.

    Raises:
        DataError: a record cannot be written (see `encode`), or the file cannot be.
    """
    with published(path) as stream:
        sink, count = nullcontext(stream), 0
        if str(path).endswith(".zst"):
            compressor = zstandard.ZstdCompressor(write_checksum=True)
            sink = compressor.stream_writer(stream, closefd=False)
        with sink as opened:
            for trajectory in trajectories:
                opened.write(encode(trajectory) + b"\n")
                count += 1
        return count

"""Outcomes that are given to a log afterwards, in a file beside it; the log itself stays as it is.

One JSON object a line, schema "assay.label/1". Of several lines of one trajectory and one source
the last counts. A line that a kill cut short is none.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from assay.errors import DataError
from assay.records.base import Record
from assay.records.evidence import Grade

ENDING = ".labels.jsonl"
"""How the name of such a file ends; it is never taken for a log."""


class Label(Record, frozen=True, tag_field="schema", tag="assay.label/1"):
    """What somebody says of the outcome of one trajectory."""

    id: str
    """Of the trajectory."""
    grade: Grade


_HEAD = b'{"schema":"assay.label/1"'
_encoder = msgspec.json.Encoder()
_decoder: "msgspec.json.Decoder[Label]" = msgspec.json.Decoder(Label)


def label_line(label: Label) -> bytes:
    """Returns the label as one line, newline and all."""
    return _encoder.encode(label) + b"\n"


def labels(path: Path) -> dict[tuple[str, str], Label]:
    """Returns the labels of a file by id and source, those that count.

    Raises:
        DataError: the file is missing, or a line is no label.
    """
    try:
        with path.open("rb") as stream:
            return {(each.id, each.grade.source): each for each in _read(stream, path)}
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; expected a file of labels") from None


def _read(stream: Iterator[bytes], path: Path) -> Iterator[Label]:
    for number, line in enumerate(stream, 1):
        if not line.endswith(b"\n") and (line.startswith(_HEAD) or _HEAD.startswith(line)):
            return  # cut short, and still seen to be a label
        if not line.strip():
            continue
        try:
            yield _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(f"{path} line {number}: {error}; expected an assay.label/1") from None


def grades(path: Path) -> dict[str, tuple[Grade, ...]]:
    """Returns what the labels of a file say of each trajectory, by its id; see `labels`."""
    found: dict[str, tuple[Grade, ...]] = {}
    for label in labels(path).values():
        found[label.id] = (*found.get(label.id, ()), label.grade)
    return found

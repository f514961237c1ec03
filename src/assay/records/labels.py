"""Outcomes that are given to a log afterwards, in a file beside it; the log itself stays as it is.

One JSON object a line, schema "assay.label/1". Of several lines of one trajectory and one source
the last counts. A line that a kill cut short is none.

Many logs have no ids, and ours then count rows: a row more, and every id after it is another's. So
a label names its trajectory by what is in it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import final

import msgspec

from assay.errors import DataError
from assay.records.base import Record
from assay.records.evidence import Grade
from assay.records.trajectory import ModelStep, ToolStep, Trajectory

ENDING = ".labels.jsonl"
"""How the name of such a file ends; it is never taken for a log."""


class Label(Record, frozen=True, tag_field="schema", tag="assay.label/1"):
    """What somebody says of the outcome of one trajectory."""

    id: str
    """Of the trajectory, when it was labelled."""
    grade: Grade
    content: str = ""
    """What `Contents` calls it. Empty: whoever wrote the label goes by the id alone."""

    @property
    def of(self) -> str:
        """Which trajectory is meant: its content, or its id where that is all there is."""
        return self.content or self.id


_HEAD = b'{"schema":"assay.label/1"'
_encoder = msgspec.json.Encoder()
_decoder: "msgspec.json.Decoder[Label]" = msgspec.json.Decoder(Label)


@final
class Contents:
    """Names the trajectories of a log, in its order, by what they are."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def name(self, trajectory: Trajectory) -> str:
        """Returns a digest of task, policy and all that was said and called; the second of several
        that are alike in all of it ends in ~2.

        Ids, groups, outcomes and what Assay found out are no part of it."""
        digest = hashlib.sha256()
        for text in _texts(trajectory):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data))
            digest.update(data)
        name = digest.hexdigest()[:24]
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name}~{self._seen[name]}"


def _texts(trajectory: Trajectory) -> Iterator[str]:
    yield trajectory.task
    yield trajectory.policy_version or ""
    for step in trajectory.steps:
        yield type(step).__name__
        yield step.text
        if type(step) is ModelStep:
            for call in step.calls:
                yield from ("Call", call.name, call.arguments)
        elif type(step) is ToolStep:
            yield step.name


def label_line(label: Label) -> bytes:
    """Returns the label as one line, newline and all."""
    return _encoder.encode(label) + b"\n"


def labels(path: Path) -> dict[tuple[str, str], Label]:
    """Returns the labels of a file by trajectory (`Label.of`) and source, those that count.

    Raises:
        DataError: the file is missing, or a line is no label.
    """
    try:
        with path.open("rb") as stream:
            return {(each.of, each.grade.source): each for each in _read(stream, path)}
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


@final
class Given:
    """What the labels of a file say, taken by the trajectories of a log in its order."""

    def __init__(self, path: Path) -> None:
        """Reads the file; see `labels`."""
        self._contents = Contents()
        self._left: dict[str, list[Label]] = {}
        for label in labels(path).values():
            self._left.setdefault(label.of, []).append(label)

    def take(self, trajectory: Trajectory) -> tuple[Grade, ...]:
        """Returns what the labels say of a trajectory, once."""
        names = (self._contents.name(trajectory), trajectory.id)
        return tuple(each.grade for name in names for each in self._left.pop(name, ()))

    def left(self) -> list[str]:
        """Returns the ids, as they were, of the trajectories that did not come."""
        return [each[0].id for each in self._left.values()]

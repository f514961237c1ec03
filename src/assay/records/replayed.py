"""What replay found out about a decision: its future, played on many times from before and after.

One JSON object a line, schema "assay.replay/1", in the order of the plan. A line that a kill cut
short is none.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from assay.errors import DataError
from assay.records.base import Record
from assay.records.trajectory import Ledger

Verdict = Literal["good", "bad", "open", "unscored"]
"""The interval of the true advantage lies above 0, below it, holds it (replay cannot tell the step
from one that changes nothing), or there is none because nobody scored the continuations."""


class Value(Record, frozen=True):
    """What the policy comes to from one point of a trajectory."""

    mean: float | None
    """Mean outcome of the continuations. None: nobody scored any."""
    count: int
    """Continuations that were scored; 0 where the outcome is known exactly."""
    passed: int | None = None
    """How many of them scored 1, where all scored 0 or 1. None: some scored otherwise."""
    spread: float | None = None
    """Standard deviation of their outcomes, ddof 1. None: fewer than two."""
    exact: bool = False
    """The trajectory ends here: `mean` is its own outcome, and no estimate."""


class Replayed(Record, frozen=True, tag_field="schema", tag="assay.replay/1"):
    """One decision, and how much it changed."""

    trajectory: str
    step: int
    """Index into the trajectory's `steps`."""
    task: str
    group: str
    stratum: str
    """Kind of its group and place in its trajectory: "mixed/first" ..."""
    weight: float
    """Decisions of the log that it stands for: those of its stratum, by those chosen of it."""
    before: Value
    after: Value
    advantage: float | None
    """after - before. None: one of them is not known."""
    low: float | None
    """95 % interval of the advantage."""
    high: float | None
    verdict: Verdict
    cost: Ledger
    """What the continuations newly cost; a value that the line before has already is free."""

    @property
    def matters(self) -> bool:
        """Can replay tell the step from one that changes nothing?"""
        return self.verdict in ("good", "bad")


_encoder = msgspec.json.Encoder()
_decoder: "msgspec.json.Decoder[Replayed]" = msgspec.json.Decoder(Replayed)


def replayed_line(row: Replayed) -> bytes:
    """Returns the row as one line, newline and all."""
    return _encoder.encode(row) + b"\n"


def replayed(path: Path) -> Iterator[Replayed]:
    """Yields the rows of a file, up to its last whole line.

    Raises:
        DataError: the file is missing, or a whole line is no row.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield _decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise DataError(
                        f"{path} line {number}: {error}; expected an assay.replay/1"
                    ) from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; expected replayed decisions") from None

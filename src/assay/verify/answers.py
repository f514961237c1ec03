"""What a trajectory answers, as text that can be compared: a vote asks who answered alike."""

import re
from hashlib import blake2b
from typing import Final

from msgspec import structs

from assay.records import ModelStep, Trajectory

SCORE: Final = "answer"
"""Score of a last step: a number of what it answers; equal numbers are equal answers."""
_SURE: Final = re.compile(r"[ \t]*~[\d.]+[ \t]*$")


def answer_of(record: Trajectory) -> str | None:
    """Returns the last line of a trajectory's last step, white space and case apart; None: it ended
    in a call, or without a word. A confidence that was stated behind it (`~7`) is no part of it.
    """
    if not record.steps or type(last := record.steps[-1]) is not ModelStep or last.calls:
        return None
    lines = [line for line in last.text.splitlines() if line.strip()]
    if not lines:
        return None
    line = lines[-1] if last.confidence is None else _SURE.sub("", lines[-1])
    return " ".join(line.split()).casefold() or None


def with_answer(record: Trajectory) -> Trajectory:
    """Returns a record whose last step has what it answers as its score "answer", a whole number
    below 2^48 that is the same on every machine; as it is where nothing was answered."""
    text = answer_of(record)
    if text is None:
        return record
    code = float(int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=6).digest()))
    last: ModelStep = record.steps[-1]  # pyright: ignore[reportAssignmentType]
    last = structs.replace(last, scores={**last.scores, SCORE: code})
    return structs.replace(record, steps=(*record.steps[:-1], last))

"""What the next state shows by itself: a call that did not run. That one ran is no progress yet."""

import re
from collections.abc import Sequence
from typing import ClassVar, Final, final

from assay.feedback.base import Given, Source, Turn, turns
from assay.judges.asking import Shown
from assay.records import ToolStep, Trajectory
from assay.verify.observation import is_error

_OURS: Final = re.compile(
    r"""\b(?:time[ds]?\s?-?out|out\sof\smemory|connection\s(?:refused|reset|aborted)|
        service\sunavailable|internal\sserver\serror|rate\slimit|too\smany\srequests|
        https?(?:/[\d.]+)?\s(?:429|5\d\d)|status(?:\scode)?:?\s(?:429|5\d\d))\b""",
    re.VERBOSE | re.IGNORECASE,
)
"""Nobody's fault who wrote the call."""
READ: Final = 400
"""Characters of the beginning in which an infrastructure's own words are looked for."""


@final
class Facts(Source):
    """Tools' own results: -1 where a call failed, 0 where all ran, None where the world broke."""

    name: ClassVar[str] = "facts"

    def read(self, records: Sequence[Trajectory]) -> list[Given]:
        """Returns verdicts of turns that a tool's result follows."""
        return [
            Given(
                scores={
                    turn.at: verdict(record, turn)
                    for turn in turns(record)
                    if _played(record, turn)
                }
            )
            for record in records
        ]


def verdict(record: Trajectory, turn: Turn) -> float | None:
    """Returns -1: a result is an error; 0: none is, which is not yet progress; None: it speaks to a
    judge, or it is an error of the infrastructure."""
    results = _results(record, turn)
    if any(Shown("", "", each.text).directed for each in results):
        return None
    errors = [
        each for each in results if each.error or (each.error is None and is_error(each.text))
    ]
    if any(broken(each.text) for each in errors):
        return None
    return -1.0 if errors else 0.0


def broken(text: str) -> bool:
    """Returns whether the infrastructure, and not the call, failed: a timeout, a status of 5xx."""
    return _OURS.search(text[:READ]) is not None


def _results(record: Trajectory, turn: Turn) -> list[ToolStep]:
    found: list[ToolStep] = []
    for step in record.steps[turn.at + 1 :]:
        if type(step) is not ToolStep:
            break
        found.append(step)
    return found


def _played(record: Trajectory, turn: Turn) -> bool:
    return bool(_results(record, turn))

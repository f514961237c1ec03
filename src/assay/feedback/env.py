"""The world as a source: a turn's hint is what its own next observation says."""

from collections.abc import Sequence
from typing import ClassVar, Literal, final

from assay.feedback.base import Given, Source, Turn, turns
from assay.records import Hint, Trajectory
from assay.verify.observation import is_error

LONGEST = 300
"""Characters of an observation that a hint has; a longer one is cut."""


@final
class Env(Source):
    """What the world answered. It costs nothing, and never names what was not asked."""

    name: ClassVar[str] = "env"

    def __init__(self, which: Literal["all", "errors"] = "all") -> None:
        """Takes which turns have hints: all that were answered, or those answered by an error."""
        self._which = which

    def read(self, records: Sequence[Trajectory]) -> list[Given]:
        """Returns the observations after each turn, as hints."""
        return [
            Given({turn.at: hint for turn in turns(r) if (hint := self._of(turn))}) for r in records
        ]

    def _of(self, turn: Turn) -> tuple[Hint, ...]:
        text = " ".join(turn.heard.split())[:LONGEST]
        if not text or (self._which == "errors" and not _went_wrong(turn)):
            return ()
        return (Hint(text=text, source=self.name, quote=text),)


def _went_wrong(turn: Turn) -> bool:
    """Returns whether a call of the turn did not run; where nobody looked, the words decide."""
    ran = [call.evidence.ran for call in turn.step.calls]
    return False in ran or (True not in ran and is_error(turn.heard))

"""A person at the terminal as a source."""

from collections.abc import Callable, Sequence
from typing import ClassVar, final

from assay.feedback.base import Given, Source, Turn, turns
from assay.judges.texts import task_of
from assay.records import Hint, Trajectory

SHOWN = 600
"""Characters of each text that a person is shown."""
ASKED = "hint (empty: none; . none of this one; .. no more): "


@final
class Human(Source):
    """Shows turns and what came after them, and asks."""

    name: ClassVar[str] = "human"

    def __init__(
        self,
        ask: Callable[[str], str] = input,
        show: Callable[[str], None] = print,
        *,
        most: int = 8,
    ) -> None:
        """Takes how to ask and show, and of how many trajectories a person is asked at a time."""
        self._ask, self._show, self._most = ask, show, most
        self._over = False

    def read(self, records: Sequence[Trajectory]) -> list[Given]:
        """Returns what the person says; nobody is asked again once they want no more, or where no
        terminal is left to read from."""
        self.said = ""
        found: list[Given] = []
        for at, record in enumerate(records):
            found.append(Given() if self._over or at >= self._most else self._about(record))
        return found

    def _about(self, record: Trajectory) -> Given:
        self._show(f"\ntask {record.task}, outcome {record.outcome}\n{_shown(task_of(record))}")
        hints: dict[int, tuple[Hint, ...]] = {}
        for turn in turns(record):
            self._show(_told(turn))
            try:
                said = self._ask(ASKED).strip()
            except EOFError:
                self._over, self.said = True, "human: nobody is at the terminal; no more is asked"
                break
            if said in (".", ".."):
                self._over = said == ".."
                break
            if said:
                hints[turn.at] = (Hint(text=said, source=self.name),)
        return Given(hints)


def _told(turn: Turn) -> str:
    heard = f"world: {_shown(turn.heard)}" if turn.heard else "(the task was over)"
    return f"turn {turn.number + 1}: {_shown(turn.step.text)}\n{heard}"


def _shown(text: str) -> str:
    """Returns a text without what could move a terminal's cursor, cut."""
    plain = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text.strip())
    return plain if len(plain) <= SHOWN else f"{plain[:SHOWN]} ..."

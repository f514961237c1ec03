"""A language model as a source: it reads the next state, and what it says is checked."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, final

from assay.feedback.base import Given, Source, Turn, turns
from assay.judges.asking import Shown
from assay.judges.judge import Judge, Verdict
from assay.judges.probes import Probed
from assay.judges.texts import task_of
from assay.records import Hint, Trajectory


@final
class FromJudge(Source):
    """Verdicts and hints of a judge that was probed; of one that is unfit, none."""

    name: ClassVar[str] = "judge"

    def __init__(self, judge: Judge, probed: Probed, *, most: int = 64) -> None:
        """Takes a judge.

        Args:
            judge: what is asked.
            probed: what probes found of it. Unfit: it is not asked, and every verdict is None.
            most: turns that it is asked about at a time; those that come last in their trajectories
                before earlier ones.
        """
        self._judge, self._probed, self._most = judge, probed, most

    def read(self, records: Sequence[Trajectory]) -> list[Given]:
        """Returns verdicts, and hints where a turn was wrong; what goes wrong is None."""
        known = [[turn for turn in turns(record) if turn.heard.strip()] for record in records]
        if not self._probed.fit:
            self.said = f"judge: {self._probed.sentences()[-1]}"
            return [Given(scores=dict.fromkeys((t.at for t in each), None)) for each in known]
        places = sorted(
            ((row, turn) for row, each in enumerate(known) for turn in each),
            key=lambda place: place[1].number - len(known[place[0]]),
            reverse=True,
        )[: self._most]
        asked = [Shown(task_of(records[row]), t.step.text, t.heard) for row, t in places]
        found = self._judge.verdicts(asked)
        self.said = _said(found)
        return _sorted(self.name, len(records), places, found)


def _sorted(
    name: str, count: int, places: Sequence[tuple[int, Turn]], found: Sequence[Verdict]
) -> list[Given]:
    """Returns verdicts by record."""
    hints = [dict[int, tuple[Hint, ...]]() for _ in range(count)]
    scores = [dict[int, float | None]() for _ in range(count)]
    for (row, turn), verdict in zip(places, found, strict=True):
        scores[row][turn.at] = None if verdict.verdict is None else float(verdict.verdict)
        if verdict.hint:
            said = Hint(text=verdict.hint, source=name, quote=verdict.quote)
            hints[row][turn.at] = (said,)
    return [Given(*each) for each in zip(hints, scores, strict=True)]


def _said(found: Sequence[Verdict]) -> str:
    """Returns how many steps have no verdict, and why votes are missing; empty: all have one."""
    missing = sum(each.verdict is None for each in found)
    if not missing:
        return ""
    why = sum((each.why for each in found), Counter[str]())
    votes = ", ".join(f"{word} {n}" for word, n in why.most_common())
    return f"judge: {missing} of {len(found)} turns without a verdict (votes lost: {votes or '0'})"

"""A judge's word on a rubric, onto records: several votes a question, in one of `judges.forms`.

Whatever cannot be read is no vote, and where too few can there is nothing: null, which is never 0.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

import msgspec
import numpy as np

from assay.errors import UsageError
from assay.judges.asking import Shown
from assay.judges.chat import NoAnswer
from assay.judges.forms import FORMS, PROBE, Form
from assay.judges.judge import Ask, mark
from assay.judges.probes import cases
from assay.judges.rubric import Item, answer_of
from assay.judges.texts import task_of
from assay.records import Trajectory


@final
@dataclass(frozen=True, slots=True)
class Judged:
    """Records with what a judge says of them, and how asking went."""

    records: tuple[Trajectory, ...]
    asked: int
    """Questions."""
    unjudged: int
    """Of these, how many came to nothing."""
    why: dict[str, int]
    """Votes that there were not, by reason (`judges.asking.Vote.why`)."""


@final
class Panel:
    """A model that is asked several times."""

    def __init__(
        self,
        ask: Ask,
        *,
        votes: int = 3,
        parallel: int = 8,
        marks: Callable[[], str] = mark,
    ) -> None:
        """Takes the model.

        Args:
            ask: the model.
            votes: answers to each question; odd, so that there is a majority. Of three independent
                ones that each miss three in ten, the majority misses .216.
            parallel: requests at the same time.
            marks: gives a mark that is used once.

        Raises:
            UsageError: an even number of votes, or nothing in parallel.
        """
        if votes < 1 or votes % 2 == 0 or parallel < 1:
            raise UsageError(
                f"rubric: got {votes} votes, {parallel} in parallel; expected an odd number of "
                "votes, and at least 1 request at a time"
            )
        self._ask, self.votes, self._parallel, self._marks = ask, votes, parallel, marks

    def said(
        self, texts: Sequence[tuple[str, str, str]], form: Form
    ) -> tuple[list[float], Counter[str]]:
        """Returns what the votes on each question come to, NaN where to nothing, and why votes were
        lost.

        Args:
            texts: task, answer and what it is to be looked at for.
            form: of the question.
        """
        asked = [each for each in texts for _ in range(self.votes)]
        with ThreadPoolExecutor(self._parallel) as pool:
            said = [*pool.map(lambda each: self._vote(each, form), asked)]
        table = np.array([number for number, _ in said], float).reshape(-1, self.votes)
        decided = form.decided(table).tolist() if texts else []
        return decided, Counter(word for _, word in said if word)

    def _vote(self, texts: tuple[str, str, str], form: Form) -> tuple[float, str]:
        """Returns the number of one vote, or NaN and why there is none."""
        task, answer, check = texts
        if not answer.strip():
            return float(form.numbers[0]), ""
        if Shown(task, answer, "").directed:
            return float("nan"), "directed"
        data, reply = (self._fresh(f"{task}{answer}{check}") for _ in range(2))
        try:
            said = self._ask(form.question(task, answer, check, data, reply))
        except NoAnswer as error:
            return float("nan"), error.word
        return form.read(said, reply)

    def _fresh(self, text: str) -> str:
        while (found := self._marks()) in text:
            pass
        return found


def judged(
    records: Sequence[Trajectory],
    items: Sequence[Item],
    panel: Panel,
    form: Form = FORMS["items"],
) -> Judged:
    """Returns records with what a judge says: of each item that it checks in
    `rewards["rubric:ID"]`, or of all graded ones in `rewards["rating:rubric"]`, 1 to 10.

    What is there is not asked for again. Who wrote nothing fails, or is rated 1; an answer that
    speaks to a judge gets no vote.

    Args:
        records: any.
        items: of the rubric.
        panel: who is asked.
        form: of the question.

    Raises:
        UsageError: form implicit, and no graded item has a text.
    """
    questions = [*form.questions(records, items)]
    texts = [
        (task_of(records[each.row]), answer_of(records[each.row]) or "", each.check)
        for each in questions
    ]
    decided, why = panel.said(texts, form)
    found = [dict(record.rewards) for record in records]
    for each, number in zip(questions, decided, strict=True):
        found[each.row][each.reward] = None if np.isnan(number) else number
    made = (msgspec.structs.replace(r, rewards=f) for r, f in zip(records, found, strict=True))
    return Judged(tuple(made), len(questions), int(np.isnan(decided).sum()), dict(why))


def fooled(panel: Panel, form: Form) -> dict[str, tuple[int, int]]:
    """Returns, by kind of made-up answer that is wrong (`judges.probes.cases`), how many a judge
    did not put below the right one to the same task, of how many that it said anything of."""
    made = cases()
    texts = [(each.shown.task, f"{each.shown.said}\n{each.shown.heard}", PROBE) for each in made]
    decided, _ = panel.said(texts, form)
    right = dict[str, float]()
    for each, number in zip(made, decided, strict=True):
        if each.right and not np.isnan(number):
            right[each.shown.task] = max(right.get(each.shown.task, number), number)
    found = dict[str, tuple[int, int]]()
    for each, number in zip(made, decided, strict=True):
        if not each.right and not np.isnan(number) and each.shown.task in right:
            n, of = found.get(each.kind, (0, 0))
            found[each.kind] = n + (number >= right[each.shown.task]), of + 1
    return found

"""Several answers to one question, and the verdict that most of them give."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from secrets import token_hex
from typing import Final, final

import numpy as np

from assay.errors import UsageError
from assay.judges.asking import Shown, Vote, question, read
from assay.judges.chat import Message, NoAnswer
from assay.kernels.verdicts import majority

Ask = Callable[[Sequence[Message]], str]
"""A model: messages in, its text out; raises `NoAnswer`."""
LEAST: Final = 10
"""Characters that a hint must have more of; OpenClaw-RL's rule."""


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What the votes on a step come to."""

    verdict: int | None
    """1, 0 or -1. None: nobody voted, or several answers have most votes."""
    hint: str
    """The longest of the votes of -1 that is longer than `LEAST`; empty: none, or no -1."""
    quote: str
    """Words of the next state on which the hint rests."""
    votes: tuple[Vote, ...]

    @property
    def why(self) -> Counter[str]:
        """How many votes there are not, by reason."""
        return Counter(vote.why for vote in self.votes if vote.why)


def mark() -> str:
    """Returns a mark that nobody can know before it is used."""
    return f"<{token_hex(8)}>"


@final
class Judge:
    """Asks a model several times about each step.

    Votes of one prompt go together: `assay.kernels.verdicts.together` says how much, and `worth`
    what they are worth.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        votes: int = 3,
        parallel: int = 8,
        marks: Callable[[], str] = mark,
    ) -> None:
        """Takes a model.

        Args:
            ask: the model.
            votes: answers to each question; odd, so that there is a majority.
            parallel: requests at the same time.
            marks: gives a mark that is used once.

        Raises:
            UsageError: an even number of votes, or nothing in parallel.
        """
        if votes < 1 or votes % 2 == 0 or parallel < 1:
            raise UsageError(
                f"judge: got {votes} votes, {parallel} in parallel; expected an odd number of "
                "votes, and at least 1 request at a time"
            )
        self._ask, self.votes, self._parallel, self._marks = ask, votes, parallel, marks

    def verdicts(self, steps: Sequence[Shown], *, guarded: bool = True) -> list[Verdict]:
        """Returns what is said of each step, in order.

        Args:
            steps: what is asked about.
            guarded: a step that speaks to the judge, and one without a next state, is not asked
                about and has no verdict. False: it is asked about, as probes do.
        """
        asked = [step for step in steps for _ in range(self.votes)]
        with ThreadPoolExecutor(self._parallel) as pool:
            found = iter([*pool.map(lambda step: self._vote(step, guarded=guarded), asked)])
        return [_decided(tuple(next(found) for _ in range(self.votes))) for _ in steps]

    def _vote(self, step: Shown, *, guarded: bool) -> Vote:
        if guarded and not step.heard.strip():
            return Vote(None, why="silent")
        if guarded and step.directed:
            return Vote(None, why="directed")
        text = f"{step.task}{step.said}{step.heard}"
        data, reply = self._fresh(text), self._fresh(text)
        try:
            answer = self._ask(question(step, data, reply))
        except NoAnswer as error:
            return Vote(None, why=error.word)
        return read(answer, reply, step.heard)

    def _fresh(self, text: str) -> str:
        while (found := self._marks()) in text:
            pass
        return found


def _decided(votes: tuple[Vote, ...]) -> Verdict:
    said = [np.nan if vote.verdict is None else float(vote.verdict) for vote in votes]
    most = float(majority(np.array([said]))[0])
    verdict = None if np.isnan(most) else int(most)
    hints = [vote for vote in votes if verdict == vote.verdict == -1 and len(vote.hint) > LEAST]
    best = max(hints, key=lambda vote: len(vote.hint), default=None)
    return Verdict(verdict, best.hint if best else "", best.quote if best else "", votes)

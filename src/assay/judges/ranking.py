"""Several answers to one task, ranked by a judge: votes in shuffled order, or duels in both orders.

Axes: U answers, M votes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random
from typing import Any, Final, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.errors import UsageError
from assay.judges.asking import SHOWN, cut
from assay.judges.chat import Message, NoAnswer
from assay.judges.judge import Ask, mark
from assay.judges.protocols import Grade, Protocol, Said, forged
from assay.kernels.ranking import bradley_terry, kept_votes, knockout, summed_votes, win_rates

Asks = Callable[[Sequence[Sequence[Message]]], list[str | NoAnswer]]
"""A model that is asked several things at once: what it wrote of each, or why it did not."""
Schedule = Literal["round_robin", "knockout"]
KEPT: Final = 4000
"""Characters of what a judge wrote that are kept of each vote: its end."""


def at_once(ask: Ask, parallel: int = 8) -> Asks:
    """Returns a model that answers so many requests at the same time."""

    def one(messages: Sequence[Message]) -> str | NoAnswer:
        try:
            return ask(messages)
        except NoAnswer as error:
            return error

    def several(asked: Sequence[Sequence[Message]]) -> list[str | NoAnswer]:
        with ThreadPoolExecutor(parallel) as pool:
            return [*pool.map(one, asked)]

    return several


@final
@dataclass(frozen=True, slots=True)
class Cast:
    """One vote: which answers were shown in which order, and what was said of them."""

    order: tuple[int, ...]
    scores: tuple[float, ...] | None
    """In that order. None: no vote, and `why` says why."""
    why: str = ""
    """As of `Said`, or of `NoAnswer`. Empty: there is a vote."""
    text: str = ""
    """What the judge wrote, its reasons; its end, where it is long."""
    grade: float | None = None
    """What a filter gives it, in [0, 1]. None: nothing that could be read, or there is none."""
    kept: bool = True
    """Whether it counts, where it is a vote: a filter left it in, or there is none."""


@final
@dataclass(frozen=True, slots=True)
class Ranked:
    """What a judge says of the answers to one task."""

    scores: tuple[float | None, ...]
    """In [0, 1]. None: no verdict on this answer."""
    why: tuple[str, ...]
    """Of each answer without a score: "forged", it speaks to the judge; "empty"; "alone", nothing
    to compare it with; "votes", none could be read, or none was kept. Empty: it has one."""
    votes: tuple[Cast, ...]
    asked: int = 0
    """Requests."""
    characters: tuple[int, int] = (0, 0)
    """Of what was asked, and of what was answered."""

    @property
    def lost(self) -> Counter[str]:
        """How many votes there are not, by reason."""
        return Counter(vote.why for vote in self.votes if vote.why)


@final
@dataclass(frozen=True, slots=True)
class Meta:
    """A filter of votes: who grades them, and how many are kept of a task's."""

    asks: Asks
    who: str
    """The model that grades, in words."""
    keep: int

    @property
    def about(self) -> str:
        """What makes it the same one, in words."""
        return f"the best {self.keep} by {self.who}"


@final
class Ranker:
    """Ranks answers by one protocol."""

    def __init__(
        self,
        asks: Asks,
        protocol: Protocol,
        *,
        votes: int = 8,
        schedule: Schedule = "round_robin",
        shown: int = SHOWN,
        seed: int = 0,
        marks: Callable[[], str] = mark,
        meta: Meta | None = None,
    ) -> None:
        """Takes a model.

        Args:
            asks: the model.
            protocol: how it is asked.
            votes: on each task; of duels on each pair, half in each order, so an even number.
            schedule: of duels, all against all, or a knockout.
            shown: characters of task and of each answer that it is shown.
            seed: of orders and brackets, with the texts; the same ones get the same.
            marks: gives a mark that is used once.
            meta: grades what the judge wrote, so that the best alone count. None: all do.

        Raises:
            UsageError: no votes, an odd number of duels, a knockout of what is no duel, a filter of
                what is one, or one that keeps none or more than there are.
        """
        if votes < 1 or shown < 2:
            raise UsageError(f"judge: got {votes} votes, {shown} characters; expected 1, 2 or more")
        if protocol.pairwise and votes % 2:
            raise UsageError(
                f"judge: got {votes} votes of {protocol.name}; expected an even number: half of "
                "them in each order"
            )
        if schedule == "knockout" and not protocol.pairwise:
            raise UsageError(
                f"judge: a knockout is for pairs; {protocol.name} compares all at once"
            )
        if meta is not None and protocol.pairwise:
            raise UsageError(
                f"judge: a filter is for votes on all answers at once; {protocol.name} compares "
                "pairs, and votes of both orders must stay as many"
            )
        if meta is not None and not 1 <= meta.keep <= votes:
            raise UsageError(
                f"judge: got {meta.keep} to keep of {votes} votes; expected 1 to {votes}"
            )
        self.meta = meta
        self._asks, self.protocol, self.votes = asks, protocol, votes
        self.schedule, self.shown, self._seed, self._marks = schedule, shown, seed, marks

    def key(self, task: str, answers: Sequence[str]) -> str:
        """Returns a digest of what decides what is asked, but for the marks."""
        about: tuple[Any, ...] = (
            *(self.protocol.name, self.votes, self.schedule, self.shown, self._seed),
            *(() if self.meta is None else (self.meta.about,)),
        )
        return hashlib.sha256(repr((about, task, [*answers])).encode()).hexdigest()[:24]

    def rank(self, task: str, answers: Sequence[str], *, guarded: bool = True) -> Ranked:
        """Returns scores of the answers to a task, which are compared with each other.

        Args:
            task: what was asked.
            answers: what is compared.
            guarded: one that is forged is not shown. False: it is, as probes do.
        """
        bad = [guarded and forged(answer) for answer in answers]
        why = [
            "empty" if not a.strip() else "forged" * b for a, b in zip(answers, bad, strict=True)
        ]
        fit = [i for i, said in enumerate(why) if not said]
        if len(fit) < 2:
            alone = tuple(said or "alone" for said in why)
            return Ranked((None,) * len(answers), alone, ())
        texts = [cut(text, self.shown) for text in answers]
        asked = _Asked(self, cut(task, self.shown), texts)
        rng = Random(f"{self._seed} {self.key(task, answers)}")
        found = (
            self._duels(asked, fit, rng) if self.protocol.pairwise else self._all(asked, fit, rng)
        )
        scores: list[float | None] = [None] * len(answers)
        for i, score in zip(fit, found.tolist(), strict=True):
            scores[i] = None if np.isnan(score) else float(np.clip(score, 0.0, 1.0))
            why[i] = "votes" if scores[i] is None else ""
        return Ranked(tuple(scores), tuple(why), tuple(asked.votes), asked.asked, asked.characters)

    def answers(
        self, asked: Sequence[Sequence[Message]], *, graded: bool = False
    ) -> list[str | NoAnswer]:
        """Returns what the model wrote of each request; `graded`: the one that grades votes."""
        asks = self.meta.asks if graded and self.meta is not None else self._asks
        return asks(asked) if asked else []

    def fresh(self, text: str) -> str:
        """Returns a mark that does not occur in a text."""
        while (found := self._marks()) in text:
            pass
        return found

    def _all(self, asked: "_Asked", fit: list[int], rng: Random) -> Float64[np.ndarray, " U"]:
        """Returns the mean score over the votes that were read and kept, in [0, 1]."""
        orders = [tuple(rng.sample(fit, len(fit))) for _ in range(self.votes)]
        place = {i: u for u, i in enumerate(fit)}
        score_MU = np.full((self.votes, len(fit)), np.nan)
        asked.ask(orders)
        if self.meta is not None:
            asked.grade(self.meta.keep)
        for m, vote in enumerate(asked.votes):
            if vote.scores is not None and vote.kept:
                score_MU[m, [place[i] for i in vote.order]] = vote.scores
        read = int((~np.isnan(score_MU).any(1)).sum())
        low, high = self.protocol.low, self.protocol.high
        return (summed_votes(score_MU) / max(read, 1) - low) / (high - low)

    def _duels(self, asked: "_Asked", fit: list[int], rng: Random) -> Float64[np.ndarray, " U"]:
        """Returns how often each would beat another; of a knockout, rounds survived over rounds."""
        if self.schedule == "knockout":
            bracket = rng.sample(range(len(fit)), len(fit))

            def duels(pairs: Sequence[tuple[int, int]]) -> list[float]:
                won = self._won(asked, [(fit[a], fit[b]) for a, b in pairs])
                return [0.5 if np.isnan(each) else each for each in won]

            _, survived, _ = knockout(bracket, duels)
            some = any(vote.scores for vote in asked.votes)
            return survived / survived.max() if some else np.full(len(fit), np.nan)
        pairs = [*combinations(range(len(fit)), 2)]
        won_UU = np.zeros((len(fit), len(fit)))
        known = np.zeros(len(fit), bool)
        won = self._won(asked, [(fit[a], fit[b]) for a, b in pairs])
        for (a, b), each in zip(pairs, won, strict=True):
            if not np.isnan(each):
                won_UU[a, b], won_UU[b, a] = each, 1.0 - each
                known[[a, b]] = True
        return np.where(known, win_rates(bradley_terry(won_UU)), np.nan)

    def _won(self, asked: "_Asked", pairs: Sequence[tuple[int, int]]) -> list[float]:
        """Returns how much the first of each pair won: the mean over both orders.

        NaN: of one order there is no vote, so that place and worth cannot be told apart.
        """
        both = [order for a, b in pairs for order in ((a, b), (b, a))]
        half = self.votes // 2
        found = iter(asked.ask([order for order in both for _ in range(half)]))
        won: list[float] = []
        for a, _ in pairs:
            ways: list[float] = []
            for _ in range(2):
                votes = [next(found) for _ in range(half)]
                read = [v.scores[v.order.index(a)] for v in votes if v.scores is not None]
                ways.append(sum(read) / len(read) if read else np.nan)
            won.append(sum(ways) / 2)
        return won


@final
class _Asked:
    """What was asked about one task, and what came back."""

    def __init__(self, by: Ranker, task: str, texts: Sequence[str]) -> None:
        self._by, self._task, self._texts = by, task, texts
        self.votes: list[Cast] = []
        self.asked, self.characters = 0, (0, 0)

    def ask(self, orders: Sequence[tuple[int, ...]]) -> list[Cast]:
        """Returns a vote on each order of answers."""
        texts = [[self._texts[i] for i in order] for order in orders]
        found = self._answers(self._by.protocol, texts)
        cast = [
            self._cast(order, said, reply)
            for order, (said, reply) in zip(orders, found, strict=True)
        ]
        self.votes += cast
        return cast

    def grade(self, keep: int) -> None:
        """Has every vote that was read graded, and keeps the best; of those without a grade none.

        S is summed over argtop_keep(grade): DeepSeek-GRM, https://arxiv.org/abs/2504.02495.
        """
        by = Grade()
        at = [m for m, vote in enumerate(self.votes) if vote.scores is not None]
        texts = [[self._texts[i] for i in self.votes[m].order] for m in at]
        said_M = [cut(vote.text, self._by.shown) for vote in self.votes]
        texts = [[*each, said_M[m]] for m, each in zip(at, texts, strict=True)]
        grade_M = np.full(len(self.votes), np.nan)
        for m, (said, reply) in zip(at, self._answers(by, texts, graded=True), strict=True):
            scores = by.read(said, 1, reply).scores if isinstance(said, str) else None
            if scores is not None:
                grade_M[m] = (scores[0] - by.low) / (by.high - by.low)
        kept_M = kept_votes(grade_M, keep) & ~np.isnan(grade_M)
        self.votes = [
            replace(vote, grade=None if np.isnan(grade) else float(grade), kept=bool(kept))
            for vote, grade, kept in zip(self.votes, grade_M, kept_M, strict=True)
        ]

    def _answers(
        self, protocol: Protocol, texts: Sequence[Sequence[str]], *, graded: bool = False
    ) -> list[tuple[str | NoAnswer, str]]:
        """Returns what was written of each request, and the mark that was to stand around it."""
        by, known = self._by, self._task + "".join({text for each in texts for text in each})
        data, reply = by.fresh(known), by.fresh(known)
        asked = [protocol.ask(self._task, each, data, reply) for each in texts]
        found = by.answers(asked, graded=graded)
        self.asked += len(asked)
        sent = sum(len(message["content"]) for each in asked for message in each)
        back = sum(len(said) for said in found if isinstance(said, str))
        self.characters = (self.characters[0] + sent, self.characters[1] + back)
        return [(said, reply) for said in found]

    def _cast(self, order: tuple[int, ...], said: str | NoAnswer, reply: str) -> Cast:
        if isinstance(said, NoAnswer):
            return Cast(order, None, said.word)
        read: Said = self._by.protocol.read(said, len(order), reply)
        return Cast(order, read.scores, read.why, said[-KEPT:])

"""Several answers to one task, ranked by a judge: votes in shuffled order, or duels in both orders.

Axes: U answers, M votes.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Final, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.errors import UsageError
from assay.judges.asking import SHOWN, cut
from assay.judges.chat import Message, NoAnswer
from assay.judges.judge import Ask, mark
from assay.judges.protocols import Protocol, Said, forged
from assay.kernels.ranking import bradley_terry, knockout, summed_votes, win_rates

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


@final
@dataclass(frozen=True, slots=True)
class Ranked:
    """What a judge says of the answers to one task."""

    scores: tuple[float | None, ...]
    """In [0, 1]. None: no verdict on this answer."""
    why: tuple[str, ...]
    """Of each answer without a score: "forged", it speaks to the judge; "empty"; "alone", nothing
    to compare it with; "votes", none could be read. Empty: it has one."""
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

        Raises:
            UsageError: no votes, an odd number of duels, or a knockout of what is no duel.
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
        self._asks, self.protocol, self.votes = asks, protocol, votes
        self.schedule, self.shown, self._seed, self._marks = schedule, shown, seed, marks

    def key(self, task: str, answers: Sequence[str]) -> str:
        """Returns a digest of what decides what is asked, but for the marks."""
        about = (self.protocol.name, self.votes, self.schedule, self.shown, self._seed)
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
        return Ranked(
            tuple(scores), tuple(why), tuple(asked.votes), len(asked.votes), asked.characters
        )

    def answers(self, asked: Sequence[Sequence[Message]]) -> list[str | NoAnswer]:
        """Returns what the model wrote of each request."""
        return self._asks(asked) if asked else []

    def fresh(self, text: str) -> str:
        """Returns a mark that does not occur in a text."""
        while (found := self._marks()) in text:
            pass
        return found

    def _all(self, asked: "_Asked", fit: list[int], rng: Random) -> Float64[np.ndarray, " U"]:
        """Returns the mean score over the votes that were read, in [0, 1]."""
        orders = [tuple(rng.sample(fit, len(fit))) for _ in range(self.votes)]
        place = {i: u for u, i in enumerate(fit)}
        score_MU = np.full((self.votes, len(fit)), np.nan)
        for m, vote in enumerate(asked.ask(orders)):
            if vote.scores is not None:
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
        self.characters = (0, 0)

    def ask(self, orders: Sequence[tuple[int, ...]]) -> list[Cast]:
        """Returns a vote on each order of answers."""
        by, whole = self._by, self._task + "".join(self._texts)
        marks = [(by.fresh(whole), by.fresh(whole)) for _ in orders]
        asked = [
            by.protocol.ask(self._task, [self._texts[i] for i in order], data, reply)
            for order, (data, reply) in zip(orders, marks, strict=True)
        ]
        found = by.answers(asked)
        cast = [
            self._cast(order, said, reply)
            for order, said, (_, reply) in zip(orders, found, marks, strict=True)
        ]
        sent = sum(len(message["content"]) for each in asked for message in each)
        back = sum(len(said) for said in found if isinstance(said, str))
        self.characters = (self.characters[0] + sent, self.characters[1] + back)
        self.votes += cast
        return cast

    def _cast(self, order: tuple[int, ...], said: str | NoAnswer, reply: str) -> Cast:
        if isinstance(said, NoAnswer):
            return Cast(order, None, said.word)
        read: Said = self._by.protocol.read(said, len(order), reply)
        return Cast(order, read.scores, read.why, said[-KEPT:])

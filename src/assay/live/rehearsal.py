"""Serving and learning in turn, with the simulated user: for the demo, and for the claim.

Everything goes the way of live use: sessions into the store, next states to labels and hints by the
resolver, the selection with its bounds, the update. Seeded: the same seed, the same bytes of turns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, final

import numpy as np

from assay.live.admission import listened
from assay.live.checks import Own
from assay.live.learning import Learner, Learning
from assay.live.replays import Replayer
from assay.live.resolver import Resolver, by_rule
from assay.live.selection import BASE, Rules, selected, version_of
from assay.live.simulated import (
    HELD_OUT,
    MISLEADS,
    Request,
    pleases,
    request,
    served,
    session_of,
    understood,
)
from assay.live.store import Store
from assay.policy.loading import START
from assay.records import Trajectory
from assay.records.live import NextState, Version
from assay.rollout.backends.local import Transformers

Asked = tuple[Request, str, str]
"""A request, the name of its session, and of its user."""
Through = Callable[[Sequence[Asked], str], Sequence[str]]
"""Serves requests with the version of that name, records them with the user's replies, and returns
the answers."""
USERS: Final = 4
"""Whose words are the same: none has more than a quarter of an update."""


@final
@dataclass(frozen=True, slots=True)
class Round:
    """What an update was, and what serving was like before it."""

    number: int
    understood: float
    """Of held-out requests, after the update: mean chance of the tool that was meant."""
    pleased: float
    """Of the requests served before it: share of answers that pleased."""
    facts: Mapping[str, Any]


@final
class Rehearsal:
    """A policy that serves the simulated user and learns from what he says."""

    def __init__(
        self,
        store: Store,
        model: Any,
        tokenizer: Any,
        learning: Learning,
        *,
        seed: int,
        turns: int = 32,
        held_out: int = 96,
        shuffled: bool = False,
        misleads: float = MISLEADS,
        through: Through | None = None,
        kept: Sequence[Trajectory] = (),
    ) -> None:
        """Takes an empty store and a policy.

        Args:
            store: open to write.
            model: the policy, which is trained in place.
            tokenizer: its own.
            learning: how.
            seed: of the requests and of all chance.
            turns: served before each update.
            held_out: requests on which is measured whether the words are understood.
            shuffled: what the user says of the answers of a round changes places among them.
            misleads: how often the users name a tool that they did not mean.
            through: what serves and records, a gateway; None: the policy itself, and this.
            kept: of the base policy, what is to stay likely.
        """
        self._store, self._model, self._tokenizer = store, model, tokenizer
        self._learner = Learner(model, tokenizer, learning, kept=kept)
        self._resolver = Resolver(store, by_rule(), clock=lambda: float(self._at))
        self._rules, self._turns = Rules(turns=turns, sessions=min(8, turns)), turns
        self._replayer = Replayer(
            store, Own("simulated", pleases), self._rules, lambda: float(self._at)
        )
        self._seed, self._shuffled, self._through = seed, shuffled, through
        self._misleads = misleads
        self.held_out = [request(HELD_OUT + n) for n in range(held_out)]
        self._statistics: Mapping[str, float] = {}
        self._at, self._first = 0, seed * 10_007
        self._asked = set[tuple[int, str]]()

    def measured(self) -> float:
        """Returns how well the policy understands words of held-out requests, in [0, 1]."""
        return float(understood(self._model, self._tokenizer, self.held_out).mean())

    def rounds(self, updates: int) -> Iterator[Round]:
        """Serves and learns, and yields each update."""
        for number in range(1, updates + 1):
            pleased = self._serve(number)
            self._resolver.step()
            if self._learner.settings.admit:
                self._replay(number)
            facts = self._learn(number)
            yield Round(number, self.measured(), pleased, facts)

    @property
    def version(self) -> str:
        """The version that serves now."""
        return next(reversed(self._store.versions()), BASE)

    def _serve(self, number: int) -> float:
        """Serves a round, and returns the share of answers that pleased."""
        asked = [
            (self._next(n % USERS), f"s{number}-{n}", f"u{n % USERS}") for n in range(self._turns)
        ]
        answers = (self._through or partial(self._recorded, number))(asked, self.version)
        self._at += self._turns
        pairs = zip(asked, answers, strict=True)
        return float(np.mean([_pleased(made, answer) for (made, _, _), answer in pairs]))

    def _recorded(self, number: int, asked: Sequence[Asked], version: str) -> list[str]:
        """Answers requests, and records them as a gateway does; returns the answers."""
        requests = [made for made, _, _ in asked]
        answers = served(self._model, self._tokenizer, requests, (self._seed, number))
        events = [
            [*session_of(made, answer, name=name, user=user, version=version,
                         at=float(self._at + n))]
            for n, ((made, name, user), answer) in enumerate(zip(asked, answers, strict=True))
        ]  # fmt: skip
        if self._shuffled:
            events = _mixed(events, (self._seed, number))
        for each in events:
            self._store.append(*each)
        self._store.append(durable=True).result()
        return [each.text for each in answers]

    def _next(self, user: int) -> Request:
        """Returns a request that this user did not make before: it would be taken for a replay."""
        while True:
            made = replace(request(self._first % HELD_OUT), misleads=self._misleads)
            self._first += 1
            if (user, made.text) not in self._asked:
                self._asked.add((user, made.text))
                return made

    def _replay(self, number: int) -> None:
        """Measures the users' hints on the turns of a round."""
        backend = Transformers(self._model, self._tokenizer)
        seed = (self._seed, number)
        self._replayer.step(backend, base=START, version=self.version, pairs=self._turns, seed=seed)

    def _learn(self, number: int) -> dict[str, Any]:
        versions = [*self._store.versions().values()]
        sessions = [*self._store.sessions().values()]
        if self._learner.settings.admit:
            sessions = listened(sessions)
        found = selected(sessions, versions, self.version, self._rules)
        if found.missing:
            return {"missing": found.missing}
        records = [each.record for each in found.turns]
        version = self.version
        learnt = self._learner.update(
            records,
            self._statistics,
            own=lambda r: version_of(r.policy_version) == version,
            seed=(self._seed, number),
        )
        self._statistics = learnt.statistics
        at, name = float(self._at), f"pol-{number:06d}"
        self._store.append(
            *found.trained(name, at=at),
            Version(at=at, name=name, state="made", parent=version, sessions=found.sessions),
            durable=True,
        ).result()
        return {**found.facts(), **learnt.facts}


def _pleased(asked: Request, answer: str) -> bool:
    return asked.reply(answer).startswith("thanks")


def _mixed(events: list[list[Any]], seed: tuple[int, int]) -> list[list[Any]]:
    """Returns sessions whose user's words changed places."""
    order = np.random.default_rng([*seed, 1]).permutation(len(events)).tolist()
    said = [next(e.text for e in each if isinstance(e, NextState)) for each in events]
    return [
        [
            NextState(session=e.session, at=e.at, turn=e.turn, role=e.role, text=said[order[n]])
            if isinstance(e, NextState)
            else e
            for e in each
        ]
        for n, each in enumerate(events)
    ]

"""Which sources of hints count, by what the store holds of them: fold of its `Replayed` events.

A replay answers a recorded prompt again, once with a source's hints about the turn and once with
words that say nothing (`assay.live.replays`). Pairs are taken in their order, 16 at a time: each
sixteen are one measurement, older ones counting half of what the next does, and the source counts
while the one-sided 90 % lower bound of its uplift is above 0 (`assay.kernels.uplift`). That bound
is a normal one: while fewer than ten pairs differ the exact sign test must say so too, at the same
level. And no user decides: answers to at least four differ, and without any one of them hints still
help.
Nobody measured: not admitted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final
from zlib import crc32

from assay.feedback.verdict import plain, sentence
from assay.kernels.uplift import FEWEST, LEVEL, Measured, by_chance, paired
from assay.records.live import Replayed
from assay.records.turns import Session

KEEP: Final = 0.5
"""Share of earlier pairs that still counts beside the next sixteen: the policy has moved."""
NORMAL: Final = 10
"""Pairs that differ from which on the normal bound holds: five of them each way by chance."""
USERS: Final = 4
"""Whose answers must differ: as many as there are where none has more than a quarter."""


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a source by now."""

    seen: Measured
    """Of whole sixteens."""
    waiting: int
    """Pairs since the last of them."""
    but: str = ""
    """Why it does not count although the bound is above 0: too few pairs differ, or users agree."""

    @property
    def admitted(self) -> bool:
        """Whether its hints count."""
        return self.seen.decides.admits and not self.but

    def row(self) -> dict[str, Any]:
        """Returns it as plain values; see `assay.feedback.verdict.plain`."""
        more = {"admitted": self.admitted, "but": self.but, "waiting": self.waiting}
        return {**plain(self.seen), **more}

    def sentence(self, name: str) -> str:
        """Returns it in words."""
        passes = self.seen.passes
        if not passes.pairs:
            return f"{name}: not admitted: {self.waiting} pairs of replays, {FEWEST} decide"
        if not passes.told and not passes.neutral:
            return f"{name}: not admitted: of {passes.pairs:g} pairs of answers none was good"
        more = f"; {self.waiting} pairs wait for {FEWEST}" if self.waiting else ""
        return f"{sentence(name, self.seen, but=self.but)}{more}"


def standings(sessions: Iterable[Session]) -> dict[str, Standing]:
    """Returns where each source that gave a hint stands, by name. Replays of sessions that may not
    be trained on any more do not count."""
    found: dict[str, list[Replayed]] = {}
    users = dict[str, str]()
    for session in sessions:
        users[session.id] = session.user or session.id
        for turn in session.turns:
            for hint in turn.hints:
                found.setdefault(hint.source, [])
            for source, each in turn.replays.items():
                if session.consent == "train":
                    found.setdefault(source, []).append(each)
    return {source: standing(found[source], users) for source in sorted(found)}


def standing(replays: Iterable[Replayed], users: Mapping[str, str]) -> Standing:
    """Returns what replays of one source come to, given whose their sessions are:

    M_k = KEEP M_(k - 1) + sums of the k-th sixteen,    M_0 = 0

    Those of one time are mixed, by a digest of their turns: neighbours are often of one user.
    """
    ordered = sorted(replays, key=lambda each: (each.at, crc32(each.turn.encode()), each.turn))
    whole, seen = len(ordered) // FEWEST * FEWEST, Measured(paired(()))
    split = _Split()
    for first in range(0, whole, FEWEST):
        some = ordered[first : first + FEWEST]
        seen = seen.after(Measured(paired((e.told, e.neutral) for e in some)), KEEP)
        split.take((users[e.session], e.told - e.neutral) for e in some)
    but = split.but() if seen.decides.admits else ""
    return Standing(seen, len(ordered) - whole, but)


@final
class _Split:
    """Whose pairs they are, and which way they go; older ones count less here, too."""

    def __init__(self) -> None:
        self._won = self._lost = 0.0
        self._users = set[str]()
        """Whose pairs differ."""
        self._gain = dict[str, float]()
        """Of each user, with his hints less without."""

    def take(self, pairs: Iterable[tuple[str, float]]) -> None:
        """Takes the users and the differences of a sixteen."""
        self._won, self._lost = KEEP * self._won, KEEP * self._lost
        for user in self._gain:
            self._gain[user] *= KEEP
        for user, by in pairs:
            self._won += by > 0
            self._lost += by < 0
            self._gain[user] = self._gain.get(user, 0.0) + by
            if by != 0:
                self._users.add(user)

    def but(self) -> str:
        """Returns what speaks against a bound above 0; empty: nothing."""
        differ = self._won + self._lost
        if differ < NORMAL and (chance := by_chance(self._won, self._lost)) > 1 - LEVEL:
            return f"only {differ:g} pairs differ: chance alone does as well in {chance:.0%}"
        if (users := len(self._users)) < USERS:
            return f"pairs of {users} users alone differ; expected {USERS} at least"
        if sum(self._gain.values()) <= max(self._gain.values()):
            return "it does not help without the pairs of one user"
        return ""


def admitted(found: Mapping[str, Standing]) -> frozenset[str]:
    """Returns the sources whose hints count."""
    return frozenset(name for name, each in found.items() if each.admitted)


def listened(sessions: Sequence[Session]) -> list[Session]:
    """Returns the sessions with the hints of admitted sources and no others."""
    sources = admitted(standings(sessions))
    return [
        replace(
            session,
            turns=[
                replace(turn, hints=[each for each in turn.hints if each.source in sources])
                for turn in session.turns
            ],
        )
        for session in sessions
    ]

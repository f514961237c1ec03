"""Which sources of hints count, by what the store holds of them: fold of its `Replayed` events.

A replay answers a recorded prompt again, once with a source's hints about the turn and once with
words that say nothing (`assay.live.replays`). Pairs are taken in their order, 16 at a time: each
sixteen are one measurement, older ones counting half of what the next does, and the source counts
while the one-sided 90 % lower bound of its uplift is above 0 (`assay.kernels.uplift`). Nobody
measured: not admitted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final
from zlib import crc32

from assay.feedback.verdict import plain, sentence
from assay.kernels.uplift import FEWEST, Measured, paired
from assay.records.live import Replayed
from assay.records.turns import Session

KEEP: Final = 0.5
"""Share of earlier pairs that still counts beside the next sixteen: the policy has moved."""


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a source by now."""

    seen: Measured
    """Of whole sixteens."""
    waiting: int
    """Pairs since the last of them."""

    @property
    def admitted(self) -> bool:
        """Whether its hints count."""
        return self.seen.decides.admits

    def row(self) -> dict[str, Any]:
        """Returns it as plain values; see `assay.feedback.verdict.plain`."""
        return {**plain(self.seen), "waiting": self.waiting}

    def sentence(self, name: str) -> str:
        """Returns it in words."""
        passes = self.seen.passes
        if not passes.pairs:
            return f"{name}: not admitted: {self.waiting} pairs of replays, {FEWEST} decide"
        if not passes.told and not passes.neutral:
            return f"{name}: not admitted: of {passes.pairs:g} pairs of answers none was good"
        more = f"; {self.waiting} pairs wait for {FEWEST}" if self.waiting else ""
        return f"{sentence(name, self.seen)}{more}"


def standings(sessions: Iterable[Session]) -> dict[str, Standing]:
    """Returns where each source that gave a hint stands, by name. Replays of sessions that may not
    be trained on any more do not count."""
    found: dict[str, list[Replayed]] = {}
    for session in sessions:
        for turn in session.turns:
            for hint in turn.hints:
                found.setdefault(hint.source, [])
            for source, each in turn.replays.items():
                if session.consent == "train":
                    found.setdefault(source, []).append(each)
    return {source: standing(found[source]) for source in sorted(found)}


def standing(replays: Iterable[Replayed]) -> Standing:
    """Returns what replays of one source come to:

    M_k = KEEP M_(k - 1) + sums of the k-th sixteen,    M_0 = 0

    Those of one time are mixed, by a digest of their turns: neighbours are often of one user.
    """
    ordered = sorted(replays, key=lambda each: (each.at, crc32(each.turn.encode()), each.turn))
    whole, seen = len(ordered) // FEWEST * FEWEST, Measured(paired(()))
    for first in range(0, whole, FEWEST):
        some = ordered[first : first + FEWEST]
        seen = seen.after(Measured(paired((e.told, e.neutral) for e in some)), KEEP)
    return Standing(seen, len(ordered) - whole)


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

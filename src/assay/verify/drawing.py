"""Which verdicts of judges somebody should look at: drawn evenly, accepted and rejected apart."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final, final

from assay.kernels.constancy import bar
from assay.records import Trajectory
from assay.verify.claims import claim_of
from assay.verify.outcome import resolve, verdict

ACCEPTED: Final = 0.5
"""Share of the audits that goes to what was accepted; where there are fewer, the other half gets
the rest. What was accepted is where a policy learns to cheat."""


@final
@dataclass(frozen=True, slots=True)
class _Judged:
    place: int
    stratum: str
    accepted: bool


def drawn(
    trajectories: Iterable[Trajectory], count: int, *, seed: int, pass_at: float = 1.0
) -> set[int]:
    """Returns the places of `count` trajectories to look at, or of all there are.

    Of those that a judge (E1, E2) decided, and no check: `ACCEPTED` of what was accepted, the rest
    of what was rejected; of each as many of every judge and claim as there are, and inside of one
    every trajectory with the same chance, so that `rates.rates` reads them as they were drawn.

    Args:
        trajectories: of a log, in its order.
        count: how many can be looked at, at least 1.
        seed: of the draw.
        pass_at: a verdict at or above it accepts.
    """
    rng, of = Random(seed), list(_judged(trajectories, pass_at))
    yes, no = ([each for each in of if each.accepted == side] for side in (True, False))
    most = max(round(count * ACCEPTED), count - len(no))
    chosen = _evenly(yes, most, rng)
    return {*chosen, *_evenly(no, count - len(chosen), rng)}


def _judged(trajectories: Iterable[Trajectory], pass_at: float) -> Iterable[_Judged]:
    for place, each in enumerate(trajectories):
        claim = each.claim or claim_of(each.steps)
        found = verdict(each)
        if found is not None and resolve(each, claim, pass_at=pass_at).level in ("E1", "E2"):
            yield _Judged(place, f"{found[0]}/{claim}", found[1] >= bar(pass_at))


def _evenly(of: list[_Judged], count: int, rng: Random) -> list[int]:
    """Returns up to `count` places, one stratum after the other in turn."""
    strata: dict[str, list[int]] = {}
    for each in of:
        strata.setdefault(each.stratum, []).append(each.place)
    for places in strata.values():
        rng.shuffle(places)
    chosen: list[int] = []
    while len(chosen) < count and any(strata.values()):
        for places in strata.values():
            if places and len(chosen) < count:
                chosen.append(places.pop())
    return chosen

"""What happened, as lists of times, and what it comes to: the same for a model and for a real run.

Seconds are counted from the start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Literal, final

import numpy as np

from assay.cluster.dispatch import REASONS, Group, Reason
from assay.cluster.plan import Plan
from assay.errors import DataError

Drop = tuple[float, int, Reason]
"""When, the number of the group, why."""
End = Literal["done", "lost", "stopped", "open"]
"""Played to its end; its worker was lost; its group was dropped; time was up."""


@final
@dataclass(frozen=True, slots=True)
class Played:
    """One piece, once: a piece that is played again is in the history twice."""

    group: int
    worker: int
    rows: int
    tokens: float
    """That it comes to when it is played to its end."""
    version: int
    begun: float
    ended: float
    end: End


@final
@dataclass(frozen=True, slots=True)
class Updated:
    """One update."""

    begun: float
    ended: float
    groups: Sequence[int]
    version: int
    """Updates made before it."""


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stretch of a history comes to. Shares are of a worker's time, or the trainer's."""

    seconds: float
    updates_per_hour: float
    tokens_per_second: float
    """That were trained."""
    worker_idle: float
    """Share of a worker's time in which it plays nothing, though it could."""
    worker_down: float
    """Share in which it is lost or starts again."""
    worker_wasted: float
    """Share in which it plays what no update takes."""
    trainer_idle: float
    groups_dropped: float
    """Share of the groups that were trained or dropped."""
    dropped: dict[str, float]
    """The same by reason."""
    staleness_mean: float
    """Of the trajectories that were trained: updates between weights and use."""
    staleness_p95: float
    staleness_max: int
    group_wait: float
    """Seconds, mean over trained groups: from its first piece played to its last."""
    trainer_wait: float
    """Seconds, mean over trained groups: from its last piece played to its update."""
    tokens_per_trajectory: float
    """Of those that were trained: to drop what is late is to drop what is long."""


@final
@dataclass(slots=True)
class History:
    """Pieces, updates, drops and losses."""

    plan: Plan
    pieces: list[Played] = field(default_factory=list[Played])
    updates: list[Updated] = field(default_factory=list[Updated])
    dropped: list[tuple[float, int, Reason]] = field(
        default_factory=list[tuple[float, int, Reason]]
    )
    down: list[tuple[int, float, float]] = field(default_factory=list[tuple[int, float, float]])
    """Worker, lost, ready again."""

    def drop(self, at: float, groups: Sequence[tuple[Group, Reason]]) -> None:
        """Notes groups that were dropped."""
        self.dropped.extend((at, group.number, reason) for group, reason in groups)

    def outcome(self, skip: int = 0) -> Outcome:
        """Returns what it comes to, from the end of the update numbered `skip` on.

        Args:
            skip: updates at the beginning that do not count. 0: all from the start counts.

        Raises:
            DataError: no update is left.
        """
        if len(self.updates) <= skip:
            raise DataError(f"history: {len(self.updates)} updates; expected more than {skip}")
        start = self.updates[skip - 1].ended if skip else 0.0
        counted, stop = self.updates[skip:], self.updates[-1].ended
        span = stop - start
        trained = {number: each for each in counted for number in each.groups}
        given = [(at, why) for at, _, why in self.dropped if start <= at <= stop]
        thrown = {number for _, number, _ in self.dropped}
        wasted = [p for p in self.pieces if p.group in thrown or p.end in ("lost", "stopped")]
        playable = self.plan.workers * span
        busy, vain = (_within(each, start, stop) for each in (self.pieces, wasted))
        down = fsum(_overlap(a, b, start, stop) for _, a, b in self.down)
        many = len(trained) + len(given)
        rows = [each for each in self.pieces if each.end == "done" and each.group in trained]
        late = np.repeat(
            [trained[each.group].version - each.version for each in rows],
            [each.rows for each in rows],
        )
        spread, wait = _waits(rows, trained)
        return Outcome(
            seconds=span,
            updates_per_hour=3600.0 * len(counted) / span,
            tokens_per_second=fsum(each.tokens for each in rows) / span,
            worker_idle=max(0.0, 1.0 - (busy + down) / playable),
            worker_down=down / playable,
            worker_wasted=vain / playable,
            trainer_idle=1.0 - fsum(each.ended - each.begun for each in counted) / span,
            groups_dropped=len(given) / many,
            dropped={why: sum(each == why for _, each in given) / many for why in REASONS},
            staleness_mean=float(late.mean()),
            staleness_p95=float(np.quantile(late, 0.95)),
            staleness_max=int(late.max()),
            group_wait=spread,
            trainer_wait=wait,
            tokens_per_trajectory=fsum(each.tokens for each in rows) / late.size,
        )


def _within(pieces: Sequence[Played], start: float, stop: float) -> float:
    return fsum(_overlap(each.begun, each.ended, start, stop) for each in pieces)


def _overlap(begun: float, ended: float, start: float, stop: float) -> float:
    return max(0.0, min(ended, stop) - max(begun, start))


def _waits(rows: Sequence[Played], trained: dict[int, Updated]) -> tuple[float, float]:
    """Returns the mean seconds between first and last piece of a group, and from there on."""
    ends: dict[int, list[float]] = {}
    for each in rows:
        ends.setdefault(each.group, []).append(each.ended)
    spread = [max(times) - min(times) for times in ends.values()]
    wait = [trained[number].begun - max(times) for number, times in ends.items()]
    return float(np.mean(spread)), float(np.mean(wait))

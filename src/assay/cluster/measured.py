"""What was measured, and how long a piece and an update take by it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from assay.errors import DataError
from assay.records import Trajectory


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Lengths of trajectories by group, and seconds of one core.

    A piece of trajectories of lengths l takes  start + sum over t of forward(w_t),  w_t being how
    many of them are longer than t; an update on n tokens takes  update + token n / trainers.
    """

    length: Sequence[Sequence[float]]
    """Forward passes of each trajectory, by task. Trajectories of a task are drawn from those of
    one task, so that what a task is like stays with its group."""
    tokens: Sequence[Sequence[float]]
    """Tokens that the policy wrote in each, as `length`; what throughput and update count."""
    start: float = 0.0
    """Of a piece, before its first forward pass."""
    forward: Sequence[float] = (1.0,)
    """Of a forward pass with 1, 2, ... trajectories in it; with more it is as with the last."""
    wake: float = 0.0
    """More for the first piece after a worker had nothing to do."""
    update: float = 0.0
    """Of an update, however many tokens, with the publication of its weights."""
    token: float = 0.0
    """More for each token of an update."""
    wake_update: float = 0.0
    """More for an update before which the trainer had nothing to do."""
    load: float = 0.0
    """Until a worker has newer weights."""
    restart: float = 0.0
    """From the loss of a worker until it can play."""
    jitter: Sequence[float] = (1.0,)
    """What times of pieces are multiplied by, drawn from these."""
    crowded: Sequence[float] = ()
    """The same of pieces that begin where more processes are busy than there are cores, which no
    system shares out evenly. Empty: as `jitter`."""
    rates: Sequence[float] = ()
    """On a machine that is shared: speed of each of 1, 2, ... busy workers, 1 being alone. Beyond
    them all together are as fast as the last ones were together. Empty: processes share the cores
    evenly."""
    beside: Sequence[float] = ()
    """The same of workers beside a trainer that is at work. Empty: a trainer counts as a worker."""
    burdened: Sequence[float] = ()
    """Speed of the trainer beside 1, 2, ... busy workers. Empty: as a worker's."""

    def __post_init__(self) -> None:
        """Checks every number."""
        shapes = [[len(each) for each in table] for table in (self.length, self.tokens)]
        if shapes[0] != shapes[1] or not shapes[0] or not all(shapes[0]):
            raise DataError(
                f"measured: {len(shapes[0])} tasks with lengths and {len(shapes[1])} with tokens; "
                "expected as many of each, and as many trajectories in each, at least one"
            )
        shared = [*self.rates, *self.beside, *self.burdened]
        many = [*self.length, *self.tokens, self.forward, self.jitter, self.crowded, shared]
        times = ("start", "wake", "update", "token", "wake_update", "load", "restart")
        many += [[getattr(self, name)] for name in times]
        if not all(0 <= each < math.inf for values in many for each in values):
            raise DataError("measured: a number is negative, or none; expected at least 0")
        if not self.jitter or not self.forward or 0 in shared:
            raise DataError(
                "measured: forward or jitter is empty, or a rate is 0; expected numbers above 0"
            )

    @classmethod
    def of(cls, records: Iterable[Trajectory], **seconds: float | Sequence[float]) -> "Measured":
        """Returns what a log says: the wall seconds of each trajectory, and its tokens.

        Args:
            records: with `ledger.wall_seconds` and `ledger.tokens`; others are passed over.
            **seconds: the fields of this class that no log has. A length is in seconds here, so
                `forward` stays 1.

        Raises:
            DataError: no record has both.
        """
        table: dict[str, list[tuple[float, float]]] = {}
        for each in records:
            spent = each.ledger
            if spent.wall_seconds and spent.tokens:
                table.setdefault(each.group, []).append((spent.wall_seconds, float(spent.tokens)))
        if not table:
            raise DataError(
                "measured: no record has both ledger.wall_seconds and ledger.tokens; expected a "
                "log of rollouts that were timed one by one"
            )
        length = [[time for time, _ in rows] for rows in table.values()]
        tokens = [[count for _, count in rows] for rows in table.values()]
        return cls(length=length, tokens=tokens, **seconds)  # pyright: ignore[reportArgumentType]

    def drawn(self, size: int, chance: np.random.Generator) -> tuple[list[float], list[float]]:
        """Returns lengths and tokens of a new group: trajectories of one task, with replacement."""
        task = int(chance.integers(len(self.length)))
        picks = chance.integers(len(self.length[task]), size=size).tolist()
        length, tokens = self.length[task], self.tokens[task]
        return [length[at] for at in picks], [tokens[at] for at in picks]

    def piece_seconds(self, length: Sequence[float]) -> float:
        """Returns the seconds of trajectories that are played together, before jitter."""
        longest = sorted(length, reverse=True)
        shorter = [*longest[1:], 0.0]
        widest = len(self.forward) - 1
        return self.start + sum(
            (end - begin) * self.forward[min(at, widest)]
            for at, (end, begin) in enumerate(zip(longest, shorter, strict=True))
        )

    def update_seconds(self, tokens: float, trainers: int = 1) -> float:
        """Returns the seconds of an update."""
        return self.update + self.token * tokens / trainers

    def speeds(self, workers: int, trainers: int, cores: int) -> tuple[float, float]:
        """Returns the speed of each worker and of a trainer on a shared machine, 1 being alone.

        Args:
            workers: that are busy.
            trainers: 0 or 1, at work.
            cores: of the machine, read where no rates were measured.
        """
        alike = _speed(self.rates, workers + trainers, cores)
        if not trainers or not workers:
            return alike, alike
        return (
            _speed(self.beside, workers, cores) if self.beside else alike,
            _speed(self.burdened, workers, cores) if self.burdened else alike,
        )


def _speed(rates: Sequence[float], busy: int, cores: int) -> float:
    if not rates:
        return min(1.0, cores / max(busy, 1))
    return rates[min(max(busy, 1), len(rates)) - 1] * min(1.0, len(rates) / max(busy, 1))

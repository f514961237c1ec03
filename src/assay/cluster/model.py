"""The discrete-event model: workers, a trainer, losses, and time as it was measured.

simpy (https://simpy.readthedocs.io) keeps the events and interrupts who is lost or stopped.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final, final

import numpy as np

from assay.cluster.dispatch import Dispatch, Piece
from assay.cluster.history import End, History, Played, Updated
from assay.cluster.machine import Machine
from assay.cluster.measured import Measured
from assay.cluster.plan import Plan
from assay.errors import DataError, MissingExtraError, UsageError

HOUR: Final = 3600.0
LOST: Final = "lost"
STOPPED: Final = "stopped"


def simulate(
    plan: Plan,
    measured: Measured,
    *,
    updates: int,
    seed: int = 0,
    losses: Sequence[tuple[float, int]] | None = None,
    limit: float = float("inf"),
) -> History:
    """Returns what happens until so many updates are made.

    The groups are the same for one seed, in the order in which they are begun, whatever the plan.

    Args:
        plan: who plays what, and what an update waits for.
        measured: lengths and seconds.
        updates: to be made.
        seed: of lengths, jitter and losses.
        losses: (seconds, worker) to be lost then, in place of `plan.lost`.
        limit: seconds of the model after which it gives up.

    Raises:
        UsageError: no update is asked for.
        DataError: they are not made within `limit`.
        MissingExtraError: simpy is not installed.
    """
    try:
        import simpy
    except ImportError:
        raise MissingExtraError.of("simpy", extra="cluster", to="simulate a cluster") from None
    if updates < 1:
        raise UsageError(f"simulate: updates is {updates}; expected at least 1")
    model = _Model(plan, measured, simpy, seed, losses)
    clock = model.env.timeout(limit) if limit < float("inf") else model.env.event()
    model.env.run(model.trainer(updates) | clock)
    if len(model.history.updates) < updates:
        raise DataError(
            f"simulate: {len(model.history.updates)} of {updates} updates within {limit:g} s; "
            "workers are lost faster than they play, or limit is too short"
        )
    model.close()
    return model.history


@final
class _Model:
    def __init__(
        self,
        plan: Plan,
        measured: Measured,
        simpy: Any,
        seed: int,
        losses: Sequence[tuple[float, int]] | None,
    ) -> None:
        self.env: Any = simpy.Environment(0.0)
        self._interrupt: Any = simpy.Interrupt
        self.plan, self._measured, self.history = plan, measured, History(plan)
        self._rules = Dispatch(plan)
        self._lengths, self._luck, self._fate = np.random.default_rng(seed).spawn(3)
        self._drawn: dict[int, tuple[list[float], list[float]]] = {}
        self._begun = 0
        self._news: Any = self.env.event()
        self._ready: Any = self.env.event()
        self._open: dict[Piece, tuple[int, float]] = {}
        self._down: dict[int, float] = {}
        self._machine: Machine | None = None
        if (cores := plan.cores) is not None:
            self._machine = Machine(self.env, lambda w, t: measured.speeds(w, t, cores))
        self._workers = [self.env.process(self._work(n)) for n in range(plan.workers)]
        if losses is not None:
            self.env.process(self._given(sorted(losses)))
        elif plan.lost:
            for n in range(plan.workers):
                self.env.process(self._drawn_losses(n))

    def trainer(self, updates: int) -> Any:
        """Returns the process that ends with the last update."""
        return self.env.process(self._train(updates))

    def close(self) -> None:
        """Notes what is played still."""
        for piece, (_, begun) in list(self._open.items()):
            if begun < self.env.now:
                self._ended(piece, "open")
        for worker in list(self._down):
            self._up(worker)

    def _train(self, updates: int) -> Generator[Any, Any, None]:
        for _ in range(updates):
            waited = not self._rules.ready
            while not self._rules.ready:
                yield self._ready
            groups, begun = self._rules.take(), self.env.now
            self._changed()
            numbers = [group.number for group in groups]
            tokens = sum(sum(self._drawn.pop(number)[1]) for number in numbers)
            seconds = self._measured.update_seconds(tokens, self.plan.trainers)
            seconds += waited * self._measured.wake_update
            yield from self._busy(seconds, trains=True)
            version = self._rules.version
            self.history.updates.append(Updated(begun, self.env.now, numbers, version))
            self._rules.updated()
            self._changed()

    def _work(self, worker: int) -> Generator[Any, Any, None]:
        speed = self.plan.speeds[worker % len(self.plan.speeds)]
        held = 0
        while True:
            piece: Piece | None = None
            waited = False
            try:
                while (piece := self._rules.begin()) is None:
                    waited = True
                    yield self._news
                self._open[piece] = worker, self.env.now
                seconds = self._seconds(piece) + (piece.version > held) * self._measured.load
                seconds += waited * self._measured.wake
                held = piece.version
                yield from self._busy(seconds / speed)
                self._ended(piece, "done")
                self._rules.played(piece)
                if self._rules.ready:
                    self._tell_trainer()
            except self._interrupt as why:
                if why.cause == STOPPED:
                    self._stop(piece)
                else:
                    held = self._rules.version
                    yield from self._fall(worker, piece)

    def _stop(self, piece: Piece | None) -> None:
        if piece in self._open:
            self._ended(piece, "stopped")

    def _fall(self, worker: int, piece: Piece | None) -> Generator[Any, Any, None]:
        """Loses a worker: what it played, and the time until it can play again."""
        self._down[worker] = self.env.now
        if piece in self._open:
            self._ended(piece, "lost")
            self._rules.lost(piece)
            self._changed()
        while True:
            try:
                yield from self._busy(self._measured.restart)
            except self._interrupt:
                continue  # lost again while it starts
            break
        self._up(worker)

    def _up(self, worker: int) -> None:
        self.history.down.append((worker, self._down.pop(worker), self.env.now))

    def _busy(self, seconds: float, *, trains: bool = False) -> Generator[Any, Any, None]:
        if self._machine is None:
            yield self.env.timeout(seconds)
        else:
            yield from self._machine.work(seconds, trains=trains)

    def _seconds(self, piece: Piece) -> float:
        while piece.group.number not in self._drawn:
            self._drawn[self._begun] = self._measured.drawn(self.plan.size, self._lengths)
            self._begun += 1
        length, _ = self._drawn[piece.group.number]
        machine, crowded = self._machine, self._measured.crowded
        crowd = machine is not None and machine.busy >= (self.plan.cores or 0)
        jitter = crowded if crowd and crowded else self._measured.jitter
        times = jitter[int(self._luck.integers(len(jitter)))] if len(jitter) > 1 else jitter[0]
        return times * self._measured.piece_seconds(length[piece.first : piece.first + piece.rows])

    def _ended(self, piece: Piece, end: End) -> None:
        worker, begun = self._open.pop(piece)
        number, rows = piece.group.number, slice(piece.first, piece.first + piece.rows)
        tokens = sum(self._drawn[number][1][rows])
        self.history.pieces.append(
            Played(number, worker, piece.rows, tokens, piece.version, begun, self.env.now, end)
        )

    def _changed(self) -> None:
        """Tells everyone: idle workers that there may be something, others that theirs is off."""
        for piece in self._rules.stopped():
            worker, _ = self._open[piece]
            self._workers[worker].interrupt(STOPPED)
        fallen = self._rules.dropped[len(self.history.dropped) :]
        self.history.drop(self.env.now, fallen)
        news, self._news = self._news, self.env.event()
        news.succeed()
        if self._rules.ready:
            self._tell_trainer()

    def _tell_trainer(self) -> None:
        ready, self._ready = self._ready, self.env.event()
        ready.succeed()

    def _given(self, losses: Sequence[tuple[float, int]]) -> Generator[Any, Any, None]:
        for at, worker in losses:
            yield self.env.timeout(at - self.env.now)
            self._workers[worker].interrupt(LOST)

    def _drawn_losses(self, worker: int) -> Iterator[Any]:
        while True:
            yield self.env.timeout(self._fate.exponential(HOUR / self.plan.lost))
            self._workers[worker].interrupt(LOST)

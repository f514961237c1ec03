"""Cores that busy processes share: those of a kind go on at one speed, the slower the more there
are."""

from collections.abc import Callable, Generator
from typing import Any, final

DUST = 1e-12
"""Seconds of work that round-off may leave of a job that is done."""


@final
class Machine:
    """Processor sharing (Kleinrock 1967), by workers and a trainer."""

    def __init__(self, env: Any, rates: Callable[[int, int], tuple[float, float]]) -> None:
        """Takes simpy's environment, and the speeds of a worker and of a trainer where so many
        workers and trainers are busy."""
        self._env, self._rates = env, rates
        self._left: dict[Any, float] = {}
        self._trains: set[Any] = set()
        self._since = 0.0
        self._turn = 0

    @property
    def busy(self) -> int:
        """Jobs that go on now."""
        return len(self._left)

    def work(self, seconds: float, *, trains: bool = False) -> Generator[Any, Any, None]:
        """Takes as long as a job of so many seconds takes beside the others; may be interrupted."""
        job = self._env.event()
        self._go_on()
        self._left[job] = seconds
        if trains:
            self._trains.add(job)
        self._plan()
        try:
            yield job
        except Exception:  # an interrupt
            if job in self._left:
                self._go_on()
                self._drop(job)
                self._plan()
            raise

    def _drop(self, job: Any) -> None:
        del self._left[job]
        self._trains.discard(job)

    def _speeds(self) -> dict[Any, float]:
        trainers = len(self._trains)
        worker, trainer = self._rates(len(self._left) - trainers, trainers)
        return {job: trainer if job in self._trains else worker for job in self._left}

    def _go_on(self) -> None:
        """Takes off what was done since the last change."""
        past, self._since = self._env.now - self._since, self._env.now
        for job, speed in self._speeds().items():
            self._left[job] -= past * speed

    def _plan(self) -> None:
        """Wakes up where the next job ends, unless something changes before."""
        self._turn += 1
        if self._left:
            turn, speeds = self._turn, self._speeds()
            after, job = min(
                (left / speeds[job], at, job) for at, (job, left) in enumerate(self._left.items())
            )[::2]
            self._env.timeout(max(0.0, after)).callbacks.append(lambda _: self._ended(turn, job))

    def _ended(self, turn: int, job: Any) -> None:
        """Ends a job that is done, and those that are done with it."""
        if turn != self._turn:
            return
        self._go_on()
        self._left[job] = 0.0
        for done in [each for each, left in self._left.items() if left <= DUST]:
            self._drop(done)
            done.succeed()
        self._plan()

"""Cores that busy processes share: all go on at one speed, the slower the more there are."""

from collections.abc import Callable, Generator
from typing import Any, final

DUST = 1e-12
"""Seconds of work that round-off may leave of a job that is done."""


@final
class Machine:
    """Processor sharing (Kleinrock 1967): n jobs go on at `rate(n)` each."""

    def __init__(self, env: Any, rate: Callable[[int], float]) -> None:
        """Takes simpy's environment, and the speed of each of so many jobs."""
        self._env, self._rate = env, rate
        self._left: dict[Any, float] = {}
        self._since = 0.0
        self._turn = 0

    def work(self, seconds: float) -> Generator[Any, Any, None]:
        """Takes as long as a job of so many seconds takes beside the others; may be interrupted."""
        job = self._env.event()
        self._go_on()
        self._left[job] = seconds
        self._plan()
        try:
            yield job
        finally:
            if job in self._left:
                self._go_on()
                del self._left[job]
                self._plan()

    def _go_on(self) -> None:
        """Takes off what was done since the last change."""
        now = self._env.now
        if self._left:
            done = (now - self._since) * self._rate(len(self._left))
            self._left = {job: left - done for job, left in self._left.items()}
        self._since = now

    def _plan(self) -> None:
        """Wakes up where the next job ends, unless something changes before."""
        self._turn += 1
        if self._left:
            turn, least = self._turn, min(self._left.values())
            after = max(0.0, least) / self._rate(len(self._left))
            self._env.timeout(after).callbacks.append(lambda _: self._ended(turn, least))

    def _ended(self, turn: int, least: float) -> None:
        if turn != self._turn:
            return
        self._go_on()
        edge = DUST * max(1.0, least) + min(self._left.values())
        for job in [job for job, left in self._left.items() if left <= edge]:
            del self._left[job]
            job.succeed()
        self._plan()

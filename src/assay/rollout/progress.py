"""One line on a terminal while trajectories are made: rate, reward, dead groups, time left."""

import math
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Final, final

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from assay.records import Trajectory

_WINDOW: Final = 30.0
"""Seconds over which the rate is taken."""
_EVERY: Final = 30.0
"""Seconds between two lines where there is no terminal."""


@final
class Progress:
    """A context: `advance` per unit of work, `seen` per trajectory. Off a terminal the line is
    printed now and then."""

    def __init__(
        self,
        total: int,
        unit: str,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._unit, self._clock = total, unit, clock
        self._console = Console(stderr=True) if console is None else console
        self._done = 0
        self._ticks: deque[tuple[float, int]] = deque()
        self._printed = clock()
        self._reward, self._scored, self._trajectories = 0.0, 0, 0
        self._groups: dict[str, list[float]] = {}
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[said]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(unit, total=total, said="")

    def __enter__(self) -> "Progress":
        """Shows the line."""
        self._bar.start()
        self._ticks.append((self._clock(), 0))
        return self

    def __exit__(self, *_: object) -> None:
        """Takes it away."""
        self._bar.stop()

    def say(self, message: str) -> None:
        """Prints a line above."""
        self._bar.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def begin(self, done: int) -> None:
        """Counts what was done before."""
        self._done = done
        self._ticks.clear()
        self._ticks.append((self._clock(), done))

    def seen(self, record: Trajectory) -> None:
        """Counts a trajectory."""
        self._trajectories += 1
        if record.outcome is not None:
            self._reward += record.outcome
            self._scored += 1
            self._groups.setdefault(record.group, []).append(record.outcome)
        self._draw()

    def advance(self, by: int = 1) -> None:
        """Counts work that is done; the means start again."""
        self.tick(by)
        self._reward, self._scored = 0.0, 0
        self._groups.clear()

    def reached(self, done: int) -> None:
        """Counts work up to where it is done; the means start again."""
        self.advance(done - self._done)

    def tick(self, by: int = 1) -> None:
        """Counts work that is done; the means go on."""
        self._done += by
        now = self._clock()
        self._ticks.append((now, self._done))
        while len(self._ticks) > 2 and now - self._ticks[0][0] > _WINDOW:
            self._ticks.popleft()
        self._draw()

    def attempt(self, record: Trajectory) -> None:
        """Counts a trajectory that is a unit of work itself."""
        self.seen(record)
        self.tick()

    def line(self) -> str:
        """Returns what it says now."""
        began, before = self._ticks[0] if self._ticks else (self._clock(), 0)
        seconds = self._clock() - began
        rate = (self._done - before) / seconds if seconds > 0 else 0.0
        parts = [f"{self._done:,}/{self._total:,} {self._unit}"]
        if rate:
            parts.append(f"{rate:,.1f} {self._unit}/s" if rate >= 1 else f"{1 / rate:.1f} s each")
        if self._scored:
            parts.append(f"reward {self._reward / self._scored:.3f}")
        whole = [values for values in self._groups.values() if len(values) > 1]
        if whole:
            dead = sum(max(values) - min(values) <= 1e-6 for values in whole)
            parts.append(f"dead {dead / len(whole):.0%}")
        if rate:
            parts.append(f"{duration(max(self._total - self._done, 0) / rate)} left")
        return "  ".join(parts)

    def _draw(self) -> None:
        if self._console.is_terminal:
            self._bar.update(self._task, completed=self._done, said=self.line())
        elif self._clock() - self._printed >= _EVERY:
            self._printed = self._clock()
            self.say(self.line())


def free_cores(workers: int) -> float:
    """Returns how many cores so many processes get, beside what else runs."""
    return workers * min(1.0, (os.cpu_count() or 1) / (os.getloadavg()[0] + workers))


def about(seconds: float) -> str:
    """Returns an estimate in words: "about 40 seconds", "about 3.5 minutes"."""
    if seconds < 60:
        return f"about {seconds:.0f} seconds"
    minutes = seconds / 60
    return f"about {minutes:.1f} minutes" if minutes < 90 else f"about {minutes / 60:.1f} hours"


def duration(seconds: float) -> str:
    """Returns what a clock shows, "1:02:03"; "?" where it is not known."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"

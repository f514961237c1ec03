"""Trains and audits the arms side by side, one process each, with one line for all of them."""

import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from assay.errors import AssayError, DataError, UsageError
from assay.files.lines import rows

QUIET: Final = 10.0
"""Seconds between lines where standard error is no terminal."""
CRASHES: Final = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)
"""Exit codes of a process that fell over a fault of the code beneath Python."""
_WINDOW: Final = 5
"""Steps over which the line's means are taken."""


@final
class Arm:
    """One arm's process, and how far it is."""

    def __init__(self, name: str, out: Path, seed: int, tokens: int, steps: int) -> None:
        self.name, self.path, self.tokens, self.steps = name, out / name, tokens, steps
        self.log = out / f"{name}.log"
        self._asked = [str(self.path), str(out / f"{name}.toml"), str(seed)]
        self._process: subprocess.Popen[bytes] | None = None
        self._crashed = self._done = False

    def going(self) -> bool:
        """Begins it where it was not; returns whether anything is left, for good once nothing is.

        A process that crashed (`CRASHES`) is begun again once, from its last checkpoint; its log
        holds where it was.

        Raises:
            UsageError: the process says that it was asked for something wrong.
            DataError: it failed in another way.
        """
        if self._done:
            return False
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return True
            self._let_go()
            if code == 0:
                self._done = True
                return False
            if code not in CRASHES or self._crashed:
                raise self._failed(code)
            self._crashed = True
        command = [sys.executable, "-X", "faulthandler", "-m", "assay.demo.arm", *self._asked]
        with self.log.open("ab") as stream:  # why standard input is a pipe: see assay.demo.arm
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=stream, stderr=stream
            )
        return True

    def stop(self) -> None:
        """Ends the process; what it did up to its last checkpoint stays."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def _failed(self, code: int) -> AssayError:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = (lines or ["nothing"])[-1].removeprefix("assay: ")
        kind = UsageError if code == 2 else DataError
        return kind(f"arm {self.name} ended with code {code}: {said} (all of it: {self.log})")

    def rows(self) -> list[dict[str, Any]]:
        """Returns the whole lines of its metrics so far."""
        path = self.path / "metrics.jsonl"
        return list(rows(path)) if path.is_file() else []

    def told(self) -> str:
        """Returns its part of the line."""
        if self._done:
            return f"{self.name} done"
        seen = self.rows()
        if not seen:
            return f"{self.name} 0 %"
        last = seen[-_WINDOW:]
        reward, dead = (
            sum(row[key] for row in last) / len(last) for key in ("reward", "dead_share")
        )
        return f"{self.name} {self.share():.0%} reward {reward:.2f} dead {dead:.0%}"

    def share(self) -> float:
        """Returns how far training is, in [0, 1]: by tokens sampled, where they end it."""
        seen = [] if self._done else self.rows()
        if not seen:
            return float(self._done)
        steps = len(seen) / self.steps
        spent = seen[-1]["tokens_generated"] / self.tokens if self.tokens else 0.0
        return min(max(steps, spent), 1.0)


def train(arms: Sequence[Arm]) -> None:
    """Runs every arm to its end, all at once; returns when each is trained and audited.

    Raises:
        UsageError, DataError: as `Arm.going`; the other arms are stopped, and can be resumed.
    """
    console = Console(stderr=True, highlight=False)
    line = Line(arms)
    shown = 0.0
    with _until_stopped(arms), Live(console=console, transient=True, auto_refresh=False) as live:
        while sum(arm.going() for arm in arms):  # every arm is asked, so that all go on
            said = line()
            if console.is_terminal:
                live.update(Text(said, no_wrap=True, overflow="ellipsis"), refresh=True)
            elif time.monotonic() - shown >= QUIET:
                console.print(said, soft_wrap=True)
                shown = time.monotonic()
            time.sleep(0.5)


@final
class Line:
    """What all arms come to, and how long they still take at the rate of the last minute."""

    def __init__(self, arms: Sequence[Arm]) -> None:
        self._arms = arms
        self._ticks: deque[tuple[float, float]] = deque()

    def __call__(self) -> str:
        """Returns the line."""
        done = sum(arm.share() for arm in self._arms)
        now = time.monotonic()
        self._ticks.append((now, done))
        while now - self._ticks[0][0] > 60:
            self._ticks.popleft()
        began, before = self._ticks[0]
        left = len(self._arms) - done
        parts = [arm.told() for arm in self._arms]
        if left and done > before:
            seconds = round(left * (now - began) / (done - before))
            parts.append(f"{seconds // 60}:{seconds % 60:02d} left")
        return "   ".join(parts)


@contextmanager
def _until_stopped(arms: Sequence[Arm]) -> Generator[None]:
    """Ends the processes with us, also when we are asked to end."""

    def asked(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        for arm in arms:
            arm.stop()

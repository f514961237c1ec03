"""Processes that a test begins and that do not outlive it."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil


@contextmanager
def process(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Begins a process, and kills it and its descendants at the end of the block.

    `subprocess.Popen` as a context waits there, for ever where what it was waited for failed.
    """
    with subprocess.Popen(command, **options) as running:
        try:
            yield running
        finally:
            kill(running)


def kill(running: subprocess.Popen[Any]) -> None:
    """Kills a process, and what it has begun."""
    if running.poll() is None:
        for each in (*psutil.Process(running.pid).children(recursive=True), running):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        running.wait(60)

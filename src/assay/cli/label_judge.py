"""Outcomes by a command that is run once a trajectory."""

import json
import math
import os
import shlex
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from assay.cli.label_giver import Giver, count
from assay.errors import DataError, UsageError
from assay.files.lines import cut
from assay.files.outputs import told
from assay.records import Trajectory, encode
from assay.records.labels import Contents, label_line, labels


def command_of(text: str) -> list[str]:
    """Returns the words of a command.

    Raises:
        UsageError: there are none, or a quotation is not closed.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--judge {text}: {error}") from None
    if not words:
        raise UsageError("--judge: empty; expected a command")
    return words


def by_judge(
    command: list[str], trajectories: Iterator[Trajectory], of: Giver, timeout: float
) -> Iterator[str]:
    """Judges what the labels file does not have of this giver, a line at a time; yields what it
    did."""
    there = labels(of.to) if of.to.exists() else {}
    if of.to.exists():
        cut(of.to)  # a line that a kill cut short
    again = new = abstained = kept = 0
    contents, known = Contents(), set[str]()
    of.to.parent.mkdir(parents=True, exist_ok=True)
    with _appended(of.to) as stream:
        for trajectory in trajectories:
            kept += of.is_overruled_by(trajectory)
            content = contents.name(trajectory)
            known |= {content, trajectory.id}
            before = there.get((content, of.source))
            if before is not None and before.grade.level == of.level:
                again += 1
                continue
            label = of.label(trajectory.id, content, _judged(command, trajectory, timeout))
            stream.write(label_line(label))
            there[content, of.source] = label
            new, abstained = new + 1, abstained + (label.grade.value is None)
    yield f"{of.to}  {count(new, 'trajectory', 'trajectories')} judged, {of.level} by {of.source}"
    if abstained:
        yield f"{abstained:,} of them without a verdict"
    if again:
        had = count(again, "trajectory", "trajectories")
        yield (
            f"{had} had been judged before, {of.level} by {of.source}; "
            "another --source judges again"
        )
    yield from of.said(kept, there, known)


@contextmanager
def _appended(path: Path) -> Generator[IO[bytes]]:
    """A file of labels that is added to; what was added goes where somebody is forgotten
    meanwhile."""
    with path.open("ab", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        with told(path, undo=partial(stream.truncate, size)):
            yield stream


def _judged(command: list[str], trajectory: Trajectory, timeout: float) -> float | None:
    """Returns what the judge prints of a trajectory.

    Raises:
        DataError: it cannot be run, fails, takes too long, or prints anything else.
    """
    name = f"--judge {command[0]}, trajectory {trajectory.id!r}"
    try:
        done = subprocess.run(
            command,
            input=encode(trajectory) + b"\n",
            stdout=subprocess.PIPE,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise UsageError(f"--judge {command[0]}: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise DataError(f"{name}: no verdict in {timeout:g} s; run again to go on") from None
    if done.returncode:
        raise DataError(f"{name}: ended with code {done.returncode}; run again to go on")
    text = done.stdout.decode("utf-8", "replace").strip()
    try:
        value: Any = json.loads(text, parse_int=float)  # of any number of digits
    except (ValueError, RecursionError):
        value = text
    if value is not None and (type(value) is not float or not math.isfinite(value)):
        raise DataError(f"{name}: printed {text[:80]!r}; expected a number or null")
    return None if value is None else value

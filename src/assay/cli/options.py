"""Options that several verbs share, and how results leave the process."""

import math
import os
import sys
from collections.abc import Iterable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, final

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console

from assay.cli.prose import fitted, say
from assay.errors import UsageError
from assay.files.atomic import published, refuse_folder
from assay.files.shards import Shards, Source
from assay.importers import Choices
from assay.importers.columns import pairs
from assay.runs.reading import By, here

LOOK: Final[dict[str, Any]] = {"title_justify": "left", "box": SIMPLE_HEAD, "pad_edge": False}
"""How our tables look."""
seed_option: Final = partial(typer.Option, min=0, max=2**32 - 1)
"""Up to the largest seed that every source of chance takes."""
out_option: Final = partial(typer.Option, "--out", "-o")
set_option: Final = partial(typer.Option, "--set")


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise UsageError(f"--pass-at {value:g}: expected a finite number")
    return value


def _file(to: str | None) -> str | None:
    """Refuses a folder before the work, not after it."""
    if to not in (None, "-"):
        refuse_folder(to)
    return to


def spare(to: str | Path | None, *logs: Source) -> None:
    """Refuses to write a result over a log, or over a file of one that is no run directory.

    Raises:
        UsageError: `to` is a log, or a file that lies in one.
    """
    if to in (None, "-") or not os.path.isfile(to):
        return
    target = Path(to).resolve()
    paths = (log.paths if isinstance(log, Shards) else (log,) for log in logs)
    for log in chain.from_iterable(paths):
        if log.resolve() in (target, *target.parents) and not (log / "run.json").is_file():
            raise UsageError(f"{to}: is of the log and would be replaced; choose another file")


Log = Annotated[
    Path, typer.Argument(help="A log file or a folder of logs; its format is recognised.")
]
Logs = Annotated[
    list[Path],
    typer.Argument(
        help="A log: a file, a folder, or a pattern in quotes ('logs/**/*.jsonl'); several are one."
    ),
]
Format = Annotated[
    str | None, typer.Option("--format", help="Name the format instead of recognising it.")
]
Outcome = Annotated[
    str | None,
    typer.Option(
        "--outcome", metavar="KEY", help="Which part of the reward, or key, is the outcome."
    ),
]
Group = Annotated[
    str | None,
    typer.Option("--group", metavar="KEY", help="Which key of a record names its group."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse torn records and NaN instead of counting them.")
]
Map = Annotated[
    str | None,
    typer.Option(
        "--map",
        metavar="NAME=COLUMN,...",
        help="Of a table: which column is what: task, reward, messages ... (docs/formats.md).",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="Outcomes that `assay label` wrote beside the log."),
]
Ray = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="Read on a Ray cluster: auto, or HOST:PORT."),
]
PassAt = Annotated[
    float,
    typer.Option(
        "--pass-at", callback=_finite, help="A trajectory passes at this outcome or above."
    ),
]
Bar = Annotated[
    float | None,
    typer.Option(
        "--pass-at",
        callback=_finite,
        show_default="1.0",
        help="A trajectory passes at this outcome or above.",
    ),
]
Timeout = Annotated[float, typer.Option(min=0.001, help="Seconds of one request.")]
Json = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        callback=_file,
        help="Write the machine-readable result; - is stdout.",
    ),
]


def chosen(
    outcome: str | None,
    group: str | None,
    map: str | None,
    *,
    strict: bool = False,
    labels: Path | None = None,
) -> Choices:
    """Returns what the options say of a log.

    Raises:
        UsageError: `map` is no list of NAME=COLUMN.
    """
    columns = {} if map is None else pairs(map)
    beside = None if labels is None else str(labels)
    return Choices(outcome=outcome, group=group, strict=strict, map=columns, labels=beside)


@final
class Terminal(Console):
    """A console that leaves a closed pipe to `assay.cli.ending`; rich's own exits with 1."""

    def __init__(self) -> None:
        super().__init__(highlight=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints; where no terminal needs them, without the spaces at the ends of lines."""
        if self.is_terminal:
            super().print(*objects, **options)
            return
        with self.capture() as captured:
            super().print(*objects, **options)
        self.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
        self.file.flush()

    def on_broken_pipe(self) -> None:
        """Lets the error through."""
        raise BrokenPipeError

    def say(self, text: str) -> None:
        """Prints a sentence as it is, with line ends between words."""
        self.print(fitted(text, terminal=self.is_terminal), markup=False, soft_wrap=True)


def readers(ray: str | None) -> By:
    """Returns who reads a log: this machine, or a cluster; what is lost on the way is said."""

    def lost(line: str) -> None:
        say(f"assay: {line}", err=True)

    if ray is None:
        return partial(here, say=lost)
    from assay.runs.on_ray import on_ray

    return on_ray(ray, lost)


def encoded(value: Any) -> bytes:
    """Returns one line of JSON; NaN becomes null."""
    return msgspec.json.encode(value) + b"\n"


def emit_one(value: Any, to: str) -> None:
    """Writes one value as `emit`."""
    emit([encoded(value)], to)


def emit(lines: Iterable[bytes], to: str) -> None:
    """Writes lines to standard output ("-") or to a file that appears whole."""
    if to == "-":
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
        return
    with published(to) as stream:
        stream.writelines(lines)


def settings(pairs: list[str] | None) -> dict[str, Any]:
    """Returns `--set name=value` pairs; values are JSON where they parse as JSON, else text.

    Raises:
        UsageError: a pair has no "=".
    """
    chosen: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {pair}: expected name=value")
        try:
            chosen[name] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            chosen[name] = text
    return chosen

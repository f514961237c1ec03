"""Foreign logs to `Trajectory` records. Adding a format is one file and one line here."""

from collections.abc import Iterator
from pathlib import Path

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.recognise import probe
from assay.records import Trajectory
from assay.registry import Registry

from assay.importers.assay_records import AssayRecords
from assay.importers.chat import Chat

IMPORTERS: Registry[Importer] = Registry(
    "format",
    {
        "assay": AssayRecords,
        "chat": Chat,  # OpenAI chat messages with task, trial, reward
    },
    group="assay.importers",
)


def load(
    path: Path, *, format: str | None = None, losses: Losses | None = None
) -> tuple[str, Iterator[Trajectory]]:
    """Returns the name of the format of `path` and its trajectories, read as they are asked for.

    Args:
        path: a file or a folder.
        format: a name of `IMPORTERS`; None: recognised by content.
        losses: what could not be carried over is counted here.

    Raises:
        DataError: nothing recognises it; or, while iterating, a record is malformed.
        UnknownNameError: no such format.
    """
    losses = Losses() if losses is None else losses
    name = format or recognise(path)
    return name, _guarded(IMPORTERS.get(name)(), path, losses)


def recognise(path: Path) -> str:
    """Returns the name of the one importer that recognises `path` by its content."""
    seen = probe(path)
    names = [n for n in IMPORTERS.names() if IMPORTERS.get(n)().recognises(seen)]
    if len(names) == 1:
        return names[0]
    if names:
        raise DataError(f"{path}: could be {' or '.join(names)}; say which with --format")
    raise DataError(
        f"{path}: no known log format; expected one of {', '.join(IMPORTERS.names())}; "
        "name it with --format"
    )


def _guarded(importer: Importer, path: Path, losses: Losses) -> Iterator[Trajectory]:
    """Turns what a hostile file can still provoke into one clear line."""
    where = str(path)
    try:
        for trajectory in importer.read(path, losses):
            where = f"{path} after trajectory {trajectory.id!r}"
            yield trajectory
    except RecursionError:
        raise DataError(f"{where}: JSON nested too deeply") from None


__all__ = ["IMPORTERS", "Importer", "Losses", "Probe", "load", "recognise"]

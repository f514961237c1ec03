"""A log to its gated batch: by one process, or piece by piece by several."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import zstandard

from assay.audit.warnings import with_tokens
from assay.batch import Batch, Measure
from assay.batch.parallel import WORTH_IT, processes
from assay.batch.pieces import Asked, Joined, Workers
from assay.errors import DataError, MixedTokensError
from assay.files.shards import Source
from assay.importers import NONE, Choices, Kept, Losses, Opened, as_one_line, check_read, opened
from assay.pipeline import gated
from assay.recipes import Recipe
from assay.records import Decision, Trajectory, encode
from assay.runs.directory import records_of

By: TypeAlias = Callable[[int], Workers]
"""Who reads a log of so many bytes."""


def here(size: int, say: Callable[[str], None] = lambda _: None) -> Workers:
    """Returns processes of this machine, as many as it has cores and `size` bytes are worth.

    Args:
        size: of the log.
        say: is told what is done again since a process was killed.
    """
    return Workers(processes(size, WORTH_IT), say=say)


def gated_batch(
    log: Source,
    *,
    format: str | None = None,
    pass_at: float = 1.0,
    choices: Choices = NONE,
    losses: Losses | None = None,
    copy_to: Path | None = None,
    kept: Kept | None = None,
    recipe: Recipe | None = None,
    by: By = here,
) -> tuple[Batch, Sequence[Decision], str]:
    """Returns the gated batch of a log, the gates' decisions and the format's name.

    Args:
        log: a file, a folder, a run directory, or several.
        format: its format; None: recognised.
        pass_at: a trajectory passes at this outcome or above.
        choices: see `assay.importers.load`.
        losses: what could not be carried over is counted here.
        copy_to: write the records to this file on the way, unless the log holds records already.
        kept: see `assay.importers.load`.
        recipe: its gates decide, and records are prepared for its methods. None: grpo's.
        by: who reads it; the result does not depend on it.

    Raises:
        DataError: the log cannot be read, or holds no trajectory.
    """
    log, losses = records_of(log), Losses() if losses is None else losses
    kept = Kept() if kept is None else kept
    recipe = Recipe(pass_at=pass_at) if recipe is None else recipe
    prepared = partial(map, recipe.prepared) if recipe.prepares else iter
    found = opened(log, format, losses, choices, None)
    name = found.name
    copy_to = None if name == "assay" and choices == NONE else copy_to
    made = partial(_batch, copy_to=copy_to, kept=kept, pass_at=pass_at)

    def again() -> Iterable[Trajectory]:
        losses.counts.clear()  # they are counted again, from the first record to the last
        losses.first.clear()
        kept.begin()
        return opened(log, name, losses, choices, None).read(kept)

    try:
        batch = _in_pieces(found, kept, recipe, by, copy_to, pass_at)
        if batch is None:
            batch = made(prepared(found.read(kept)))
        elif len(set(batch.ids)) < len(batch.ids):  # one reader tells copies apart
            batch = made(prepared(again()))
    except MixedTokensError:
        batch = made(prepared(with_tokens(again(), losses)), measure="characters")
    if not batch.ids:
        raise DataError(f"{log}: no trajectory in it; expected at least one")
    left = int(np.isnan(batch.outcome_K).sum())
    if choices.labels is not None and losses.counts.pop("no_outcome", 0) and left:
        losses.counts["no_outcome"] = left  # after the labels
    return *gated(batch, recipe), name


def _in_pieces(
    found: Opened, kept: Kept, recipe: Recipe, by: By, copy_to: Path | None, pass_at: float
) -> Batch | None:
    """Returns the batch of a log that several read; None where one is to read it: it is small,
    some of it is taken over or waited for, or labels are told apart by what came before."""
    with as_one_line(lambda: str(found.asked)):
        log = found.found(kept)
    if not kept.begins or log.choices.labels is not None:
        return None
    size = sum(file.stat().st_size for file in log.files if file.is_file())
    workers = by(size)
    if workers.count < 2:
        return None
    prepare = recipe.prepared if recipe.prepares else None
    copied = copy_to is not None
    asked = Asked(found.importer, log, pass_at, copied=copied, prepare=prepare, size=size)
    if copy_to is None:
        joined = Joined(asked, kept, workers)
        joined.read()
    else:
        with _copy(copy_to) as stream:
            joined = Joined(asked, kept, workers, lambda lines: _by_line(stream, lines))
            joined.read()
    check_read(found.importer, log, found.asked, joined.parts, joined.count)
    return Batch(**joined.builder.arrays())


def _by_line(stream: Any, lines: bytes) -> None:
    for line in BytesIO(lines):
        stream.write(line)


def _batch(
    trajectories: Iterable[Trajectory],
    copy_to: Path | None,
    kept: Kept,
    *,
    pass_at: float,
    measure: Measure | None = None,
) -> Batch:
    """Returns the batch of trajectories and, with `copy_to`, leaves a compressed copy of each."""
    if copy_to is None:
        return Batch.of(trajectories, measure=measure, pass_at=pass_at)
    with closing(_copied(trajectories, copy_to, kept)) as copied:  # or it ends over a later copy
        return Batch.of(copied, measure=measure, pass_at=pass_at)


@contextmanager
def _copy(path: Path) -> Generator[Any]:
    """A file of compressed records."""
    with (
        path.open("wb") as raw,
        zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(raw) as stream,
    ):
        yield stream


def _copied(trajectories: Iterable[Trajectory], path: Path, kept: Kept) -> Generator[Trajectory]:
    """Yields trajectories and leaves a compressed copy of each in `path`."""
    with _copy(path) as stream:
        for trajectory in trajectories:
            stream.write((kept.line_of(trajectory) or encode(trajectory)) + b"\n")
            yield trajectory

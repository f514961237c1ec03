"""Two logs from disk, side by side: `assay.audit.compare` of what is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from assay.audit.compare import Side, compare
from assay.audit.warnings import NO_PEERS, NO_TOKENS, trust
from assay.batch import Batch, Measure
from assay.errors import DataError, MixedTokensError
from assay.importers import NONE, Choices, Losses, load
from assay.kernels.constancy import bar
from assay.pipeline import gated
from assay.recipes import Recipe
from assay.records import Trajectory
from assay.runs.audit import records_of


@final
@dataclass(frozen=True, slots=True)
class _Log:
    """A log, and how it was read."""

    path: Path
    format: str
    side: Side
    losses: Losses
    warnings: tuple[str, ...]
    """What to know before its numbers are believed."""

    def about(self) -> dict[str, Any]:
        """What the result says of it."""
        return {
            "source": self.path.name,
            "format": self.format,
            "trajectories": len(self.side.batch.ids),
            "groups": self.side.batch.n_groups,
            "losses": dict(sorted(self.losses.counts.items())),
            "warnings": list(self.warnings),
        }


def compare_logs(
    a: Path,
    b: Path,
    *,
    formats: tuple[str | None, str | None] = (None, None),
    pass_at: float = 1.0,
    choices: tuple[Choices, Choices] = (NONE, NONE),
    seed: int = 0,
) -> dict[str, Any]:
    """Returns what changed from log `a` to log `b`, and what each log is (`a`, `b`).

    Args:
        a: a file, a folder or a run directory.
        b: another.
        formats: of both; None: recognised.
        pass_at: a trajectory passes at this outcome or above.
        choices: of both, see `assay.importers.load`.
        seed: of the bootstrap intervals.

    Raises:
        DataError: a log cannot be read, or no task is in both.
    """
    how = zip((a, b), formats, choices, strict=True)
    first, second = (_read(path, format, pass_at, chosen) for path, format, chosen in how)
    if first.side.batch.measure != second.side.batch.measure:  # lengths in one unit
        first = _read(a, first.format, pass_at, choices[0], "characters")
        second = _read(b, second.format, pass_at, choices[1], "characters")
    result = compare(first.side, second.side, pass_at=pass_at, seed=seed)
    return {**result, "a": first.about(), "b": second.about()}


def _read(
    path: Path,
    format: str | None,
    pass_at: float,
    choices: Choices,
    measure: Measure | None = None,
) -> _Log:
    """Returns a log; one in which some steps have token ids and others none is read in characters.

    Raises:
        DataError: it cannot be read, or holds no trajectory.
    """
    log, losses, tasks = records_of(path), Losses(), list[str]()
    name, trajectories = load(log, format=format, losses=losses, choices=choices)
    try:
        batch = Batch.of(_noted(trajectories, tasks), measure=measure, pass_at=pass_at)
    except MixedTokensError:
        return _read(path, name, pass_at, choices, "characters")
    if not batch.ids:
        raise DataError(f"{log}: no trajectory in it; expected at least one")
    batch, decisions = gated(batch, Recipe(pass_at=pass_at))
    passed_K = batch.outcome_K >= bar(pass_at)
    found = trust(
        batch,
        decisions,
        passed_K,
        pass_at=pass_at,
        losses=losses.counts,
        format=name,
        chosen=choices.outcome,
    )
    of_training = (NO_TOKENS, NO_PEERS)
    warnings = tuple(each for each in found["warnings"] if each not in of_training)
    return _Log(path, name, Side(batch, tuple(tasks)), losses, warnings)


def _noted(trajectories: Iterator[Trajectory], tasks: list[str]) -> Iterator[Trajectory]:
    """Yields trajectories and notes the task of each."""
    for trajectory in trajectories:
        tasks.append(trajectory.task)
        yield trajectory

"""Two logs from disk, side by side: `assay.audit.compare` of what is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from assay.audit.compare import Side, compare
from assay.audit.warnings import NO_PEERS, NO_TOKENS, trust
from assay.batch import Batch, Measure
from assay.errors import DataError, MixedTokensError
from assay.files.lines import rows
from assay.importers import NONE, Choices, Losses, load
from assay.kernels.constancy import bar
from assay.pipeline import gated
from assay.recipes import Recipe
from assay.records import Trajectory
from assay.runs.directory import records_of

METRICS: Final = "metrics.jsonl"


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
    training: Mapping[str, float]
    """Of a training run: what it had generated and moved at its last step, see `_training`."""

    def about(self) -> dict[str, Any]:
        """What the result says of it."""
        return {
            "source": self.path.name,
            "format": self.format,
            "trajectories": len(self.side.batch.ids),
            "groups": self.side.batch.n_groups,
            "losses": dict(sorted(self.losses.counts.items())),
            "warnings": list(self.warnings),
            "training": dict(self.training) or None,
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
    return _Log(path, name, Side(batch, tuple(tasks)), losses, warnings, _training(path))


def _training(path: Path) -> dict[str, float]:
    """Returns steps, tokens generated and dose at the last step of a training run; of a log that
    is none nothing. The dose is sum |A| over the trained tokens times the learning rate, over all
    steps: arms that differ in it differ in how far they moved, whatever their credit says."""
    last: dict[str, Any] = {}
    if (path / METRICS).is_file():
        for row in rows(path / METRICS):
            last = row
    named = {"steps": "step", "tokens": "tokens_generated", "dose": "dose/total"}
    return {name: last[key] for name, key in named.items() if last.get(key) is not None}


def _noted(trajectories: Iterator[Trajectory], tasks: list[str]) -> Iterator[Trajectory]:
    """Yields trajectories and notes the task of each."""
    for trajectory in trajectories:
        tasks.append(trajectory.task)
        yield trajectory

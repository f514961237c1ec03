"""The functions behind `from assay import load, audit, credit`: a path in, an answer out."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, final

from assay import pipeline
from assay.audit import audit as audit_stage
from assay.batch import Batch
from assay.credit import Advantages, Method
from assay.files.shards import Source as LogPath
from assay.files.shards import log_of
from assay.importers import Choices, Losses
from assay.importers import load as load_log
from assay.recipes import Recipe
from assay.records import Trajectory
from assay.runs.audit import audit_log
from assay.runs.reading import gated_batch

Source: TypeAlias = str | Path | Iterable[Trajectory] | Batch
"""What is asked about: a log (a file, a folder, a run directory), trajectories, or their batch."""


@final
class Log(list[Trajectory]):
    """The trajectories of a log: a list that knows where it comes from."""

    def __init__(self, trajectories: Iterable[Trajectory], format: str, losses: Losses) -> None:
        """Reads all of them."""
        super().__init__(trajectories)
        self.format = format
        """The log's format: "assay", "trl", "tau_bench", ..."""
        self.losses = losses
        """What could not be carried over: `losses.counts` by kind, `losses.first` where first."""


def load(
    path: str | Path,
    *,
    format: str | None = None,
    outcome: str | None = None,
    group: str | None = None,
    strict: bool = False,
    map: dict[str, str] | None = None,
) -> Log:
    """Returns the trajectories of a log, in its order, its `format` and the `losses`.

    Args:
        path: a file, a folder, or a pattern, in any format that is read (docs/formats.md).
        format: its format. None: recognised.
        outcome: which part of the reward, or which key of a record with dots between levels, is the
            outcome. None: the one that the format names.
        group: which key of a record names its group. None: the format's.
        strict: refuse torn records and NaN instead of counting them among the losses.
        map: of a table, which column is what: `{"task": "id", "messages": "trajectory", ...}`
            (docs/formats.md). None: it is no table, or one whose columns are known.

    Raises:
        DataError: the log cannot be read, no format fits, or no record has the outcome.
        UnknownNameError: no format of that name.
    """
    losses = Losses()
    choices = Choices(outcome=outcome, group=group, strict=strict, map=map or {})
    name, trajectories = load_log(_log(path), format=format, losses=losses, choices=choices)
    return Log(trajectories, name, losses)


def _log(named: str | Path) -> LogPath:
    return log_of([Path(named)])


def audit(
    source: Source,
    *,
    pass_at: float = 1.0,
    seed: int = 0,
    format: str | None = None,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Returns where the learning signal is and where it is lost: what `assay audit --json` prints.

    >>> from assay.demo import RECORDED
    >>> audit(RECORDED)["groups"]["dead"]
    5

    Args:
        source: a log, trajectories, or a batch.
        pass_at: a trajectory passes at this outcome or above.
        seed: of the bootstrap intervals.
        format: of a log. None: recognised.
        out: of a log: the run directory to leave, with report, annotations and this JSON.

    Raises:
        DataError: the log cannot be read, or holds no trajectory.
        UsageError: `out` exists and no audit made it.
    """
    if isinstance(source, str | Path):
        folder = None if out is None else Path(out)
        return audit_log(_log(source), format=format, out=folder, pass_at=pass_at, seed=seed).audit
    recipe, refused = Recipe.compared(pass_at=pass_at), dict[str, str]()
    batch, decisions = pipeline.gated(source, Recipe(pass_at=pass_at))
    credits = pipeline.credits(batch, recipe, refused)
    losses = source.losses.counts if isinstance(source, Log) else None
    return audit_stage(
        batch, decisions, credits, pass_at=pass_at, refused=refused, losses=losses, seed=seed
    )


def credit(
    source: Source,
    by: str | Method = "grpo",
    *,
    pass_at: float = 1.0,
    format: str | None = None,
    **options: Any,
) -> Advantages:
    """Returns the advantages of one method: `advantage_N` has one number per token.

    Args:
        source: a log or trajectories, which the integrity gate looks at first; or a batch, which is
            taken as its gates left it.
        by: a method, or its name (`assay methods`).
        pass_at: a trajectory passes at this outcome or above.
        format: of a log. None: recognised.
        options: of a method that is named, as `assay.method` takes them.

    Raises:
        DataError: the log cannot be read.
        UnknownNameError: no such method or option.
        MethodError: the trajectories do not hold what the method needs.
    """
    recipe = (
        Recipe.compared([by], pass_at=pass_at, options=options)
        if isinstance(by, str)
        else Recipe.of(by)
    )
    if isinstance(source, str | Path):
        source = gated_batch(_log(source), format=format, pass_at=pass_at, recipe=recipe)[0]
    elif not isinstance(source, Batch):
        source = pipeline.gated(source, replace(recipe, pass_at=pass_at))[0]
    ((_, advantages),) = pipeline.credits(source, recipe)
    return advantages

"""What a policy does, beside how often it passes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.batch import Batch
from assay.records import Trajectory, read


def behaviour(rollouts: Path) -> dict[str, float | None]:
    """Returns what trajectories of the last quarter of a run's batches are like, on average.

        turns                 own model steps of a trajectory
        failing_turns         own model steps of a trajectory that fails
        calls                 calls of a trajectory
        errors_in_passes      share of the calls in passes that did not run
        reversals             how often the belief along a trajectory turns round

    None: there is nothing to take a mean of.
    """
    files = sorted(rollouts.glob("step_*.jsonl"))
    late = files[-max(len(files) // 4, 1) :]
    return of_records([record for file in late for record in read(file)])


def of_records(records: Sequence[Trajectory]) -> dict[str, float | None]:
    """Returns the same of records."""
    batch = Batch.of(records)
    turns_K = np.bincount(batch.traj_S[batch.own_S], minlength=len(records))
    passed_K = batch.value_K >= 1.0
    ran_C = batch.ran_C[passed_K[batch.traj_S[batch.step_C]] & (batch.ran_C >= 0)]
    turned = [n for n in map(_reversals, records) if n is not None]
    return {
        "turns": _mean(turns_K),
        "failing_turns": _mean(turns_K[batch.value_K < 1.0]),
        "calls": batch.step_C.size / len(records) if records else None,
        "errors_in_passes": _mean(ran_C == 0),
        "reversals": _mean(np.array(turned)),
    }


def _reversals(record: Trajectory) -> int | None:
    """Returns how often the belief along a trajectory turns; None: it has none."""
    steps: list[Any] = [getattr(step, "belief", None) for step in record.steps]
    beliefs = [each for each in (record.prior, *steps) if each is not None]
    if len(beliefs) < 2:
        return None
    moves = np.diff(beliefs)
    moves = moves[moves != 0]
    return int((moves[1:] * moves[:-1] < 0).sum())


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None

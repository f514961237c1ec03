"""What changed between two logs of the same tasks: paired by task, with intervals over tasks.

Axes: K trajectories, G groups, S steps, C calls, R spans, T tasks.

Every measure is one number a task and a log, and its change the mean over tasks of the second
minus the first, on the tasks where both have one. Tasks are what is drawn again for the interval,
so that a task with many trajectories counts once. Nothing is said of another run of the policy: a
log is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Final, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.audit.fates import group_fates
from assay.batch import CLAIMS, Batch
from assay.errors import DataError
from assay.kernels.constancy import bar
from assay.kernels.groups import UNSCORED
from assay.kernels.passk import honest_interval

SCHEMA: Final = "assay.compare/1"


@final
@dataclass(frozen=True, slots=True)
class Side:
    """One of the two logs."""

    batch: Batch
    """After the gates."""
    tasks: tuple[str, ...]
    """Task of each trajectory, in the batch's order."""


@final
@dataclass(frozen=True, slots=True)
class _Tasks:
    """One log by task: T tasks in the order in which they first occur."""

    names: dict[str, int]
    passed_T: Int64[np.ndarray, " T"]
    scored_T: Int64[np.ndarray, " T"]
    measures: Mapping[str, Float64[np.ndarray, " T"]]
    """NaN: the log has nothing to measure there."""


def compare(a: Side, b: Side, *, pass_at: float = 1.0, seed: int = 0) -> dict[str, Any]:
    """Returns what changed from `a` to `b`, schema "assay.compare/1" (docs/formats.md).

    Args:
        a: the first log.
        b: the second, lengths in the same unit.
        pass_at: a trajectory passes at this outcome or above.
        seed: of the bootstrap intervals; the same seed gives the same bytes.

    Raises:
        DataError: no task is in both.
    """
    first, second = _by_task(a, pass_at), _by_task(b, pass_at)
    both = [name for name in first.names if name in second.names]
    if not both:
        raise DataError(
            f"no task is in both logs: the first has {_some(first.names)}, the second "
            f"{_some(second.names)}; of a table --map task=COLUMN says what a task is called"
        )
    at_a = np.array([first.names[name] for name in both])
    at_b = np.array([second.names[name] for name in both])
    counts = np.stack(
        [first.passed_T[at_a], first.scored_T[at_a], second.passed_T[at_b], second.scored_T[at_b]]
    )
    rng = np.random.default_rng(seed)
    return {
        "schema": SCHEMA,
        "pass_at": pass_at,
        "seed": seed,
        "unit": a.batch.measure,
        "tasks": {
            "both": len(both),
            "only_a": [name for name in first.names if name not in second.names],
            "only_b": [name for name in second.names if name not in first.names],
        },
        "measures": {
            name: _change(of_a_T[at_a], second.measures[name][at_b], rng)
            for name, of_a_T in first.measures.items()
        },
        **_outcomes(both, counts),
    }


def _some(names: Mapping[str, int]) -> str:
    """Returns the first tasks of a log, as an error quotes them."""
    first = [repr(name if len(name) <= 40 else f"{name[:39]}…") for name in list(names)[:3]]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more:,} more" if more else "")


def _by_task(side: Side, pass_at: float) -> _Tasks:
    """Returns what is measured of a log, by task. A session of several outputs counts once, what
    was helped only among calls."""
    batch, names = side.batch, dict[str, int]()
    task_K = np.array([names.setdefault(name, len(names)) for name in side.tasks], np.int64)
    once_K, own_K = batch.once_K, ~batch.rescued_K
    scored_K = once_K & ~np.isnan(batch.outcome_K)
    passed_K = scored_K & (batch.outcome_K >= bar(pass_at))
    claimed_K = batch.claim_K == CLAIMS.index("claimed")

    def total(task: np.ndarray, weight: np.ndarray | None = None) -> Float64[np.ndarray, " T"]:
        return np.bincount(task, weight, len(names)).astype(float)

    scored_T, once_T = total(task_K, scored_K), total(task_K, once_K)
    own_S, once_C = batch.own_S & own_K[batch.traj_S], batch.once_S[batch.step_C]
    call_K = batch.traj_S[batch.step_C[once_C]]
    written_R = np.where(np.append(own_S, False)[batch.step_R], batch.length_R, 0)
    task_G = np.zeros(batch.n_groups, np.int64)
    task_G[batch.group_K] = task_K
    fate_G, dead_G = group_fates(batch, pass_at=pass_at)
    known_G = fate_G != UNSCORED
    parts = {
        "pass_rate": (total(task_K, passed_K), scored_T),
        "dead_groups": (total(task_G, dead_G & known_G), total(task_G, known_G)),
        "errors": (total(task_K[call_K], batch.ran_C[once_C] == 0), total(task_K[call_K])),
        "steps": (total(task_K[batch.traj_S], own_S), once_T),
        "written": (total(task_K[batch.traj_R], written_R), once_T),
        "false_success": (total(task_K, scored_K & ~passed_K & claimed_K), scored_T),
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = {name: part / whole for name, (part, whole) in parts.items()}
    passed_T = parts["pass_rate"][0].astype(np.int64)
    return _Tasks(names, passed_T, scored_T.astype(np.int64), measures)


def _change(
    a_T: Float64[np.ndarray, " T"], b_T: Float64[np.ndarray, " T"], rng: np.random.Generator
) -> dict[str, Any]:
    """Returns both means and the change, over the tasks where both have a number; None: none."""
    known_T = ~np.isnan(a_T) & ~np.isnan(b_T)
    gap_T = (b_T - a_T)[known_T]
    if not gap_T.size:
        return dict.fromkeys(("a", "b", "change", "low", "high")) | {"tasks": 0}
    size = float(max(abs(a_T[known_T]).max(), abs(b_T[known_T]).max()))
    low, high = honest_interval(gap_T, rng=rng, value_range=size) or (None, None)
    return {
        "a": float(a_T[known_T].mean()),
        "b": float(b_T[known_T].mean()),
        "change": float(gap_T.mean()),
        "low": low,
        "high": high,
        "tasks": int(gap_T.size),
    }


def _outcomes(names: Sequence[str], counts: Int64[np.ndarray, "4 T"]) -> dict[str, Any]:
    """Returns what became of each task: passes of scored in both, solved, lost, better, worse.

    Better and worse go by pass rate, compared as integers; their sign test is exact and two-sided.
    """
    passed_a, scored_a, passed_b, scored_b = counts
    known_T = (scored_a > 0) & (scored_b > 0)
    lead_T = passed_b * scored_a - passed_a * scored_b
    better, worse = int((known_T & (lead_T > 0)).sum()), int((known_T & (lead_T < 0)).sum())
    return {
        "solved": _named(names, known_T & (passed_a == 0) & (passed_b > 0)),
        "lost": _named(names, known_T & (passed_a > 0) & (passed_b == 0)),
        "better": better,
        "worse": worse,
        "equal": int(known_T.sum()) - better - worse,
        "sign_test": sign_test(better, worse) if known_T.any() else None,
        "outcomes": {
            name: {"a": [int(pa), int(sa)], "b": [int(pb), int(sb)]}
            for name, pa, sa, pb, sb in zip(names, *counts, strict=True)
        },
    }


def _named(names: Sequence[str], chosen_T: np.ndarray) -> list[str]:
    return [name for name, chosen in zip(names, chosen_T, strict=True) if chosen]


def sign_test(better: int, worse: int) -> float:
    """Returns the two-sided p of a split that a fair coin gives or a more uneven one; ties are out.

    1 where nothing differs.
    """
    n, fewer = better + worse, min(better, worse)
    tail = sum(comb(n, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**n)

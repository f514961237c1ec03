"""Holds credit and evidence against replayed decisions: the numbers of `truth.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.records import Replayed
from assay.replay.claimed import evidence, places, shuffled
from assay.replay.truth import Truth, drawn_weights, measured, metrics, share

DRAWS: Final = 1_000
"""Of the bootstrap over tasks."""
SHUFFLES: Final = 30
"""Of credit in time, and as many draws of random credit."""
_VERDICTS: Final = ("good", "bad", "open", "unscored")


@final
class Judge:
    """Measures one credit after the other against the same decisions, draws and random credit."""

    def __init__(self, rows: Sequence[Replayed], batch: Batch, *, seed: int) -> None:
        """Takes scored rows, and the batch that they are of."""
        names = {task: n for n, task in enumerate(dict.fromkeys(row.task for row in rows))}
        self.truth = Truth(
            np.array([row.advantage or 0.0 for row in rows], float),
            np.array([row.verdict == "good" for row in rows], bool),
            np.array([row.verdict == "bad" for row in rows], bool),
            np.array([row.weight for row in rows], float),
            np.array([names[row.task] for row in rows], np.int64),
        )
        self.tasks, self._seed, self._traj_S = len(names), seed, batch.traj_S
        self.at_D = places(batch, [(row.trajectory, row.step) for row in rows])
        self.weight_DB = drawn_weights(self.truth, DRAWS, np.random.default_rng([seed, 1]))
        self._random_PD = np.random.default_rng([seed, 2]).normal(size=(SHUFFLES, len(rows)))
        self._random: dict[bytes, dict[str, np.ndarray]] = {}

    def numbers(self, credit_S: Float64[np.ndarray, " S"]) -> dict[str, Any]:
        """Returns how many decisions have credit, how many of those matter, and every metric beside
        its controls."""
        rng = np.random.default_rng([self._seed, 3])
        mixed_PD = shuffled(credit_S, self._traj_S, self.at_D, SHUFFLES, rng)
        credit_D = credit_S[self.at_D]
        missing = np.isnan(credit_D)
        key = missing.tobytes()
        if key not in self._random:
            nothing_PD = np.where(missing, np.nan, self._random_PD)
            self._random[key] = metrics(self.truth, nothing_PD, self.weight_DB)
        found = measured(self.truth, credit_D, mixed_PD, self._random[key], self.weight_DB)
        told = {name: asdict(each) for name, each in found.items()}
        matter = int((~missing & self.truth.matters_D).sum())
        return {"decisions": int((~missing).sum()), "matter": matter, **told}

    def matters(self, rows: Sequence[Replayed]) -> dict[str, Any]:
        """Returns the share of decisions that change something, of all and by stratum."""
        every = np.ones(len(rows), bool)
        found = asdict(share(self.truth.matters_D, every, self.weight_DB, self.tasks))
        strata: dict[str, dict[str, int]] = {}
        for row in sorted(rows, key=lambda row: row.stratum):
            counts = strata.setdefault(row.stratum, {"decisions": 0, "matter": 0})
            counts["decisions"] += 1
            counts["matter"] += row.matters
        return {**found, "strata": strata}


def judged(
    rows: Sequence[Replayed],
    batch: Batch,
    methods: Mapping[str, Float64[np.ndarray, " S"]],
    *,
    seed: int,
) -> dict[str, Any]:
    """Returns what replayed decisions say of methods and levels of evidence, as plain values.

    Args:
        rows: all of a replay.
        batch: the log's, gated.
        methods: credit of each step by method.
        seed: of draws, shuffles and random credit.
    """
    kept = [row for row in rows if row.verdict != "unscored"]
    judge = Judge(kept, batch, seed=seed)
    return {
        "decisions": len(rows),
        "scored": len(kept),
        "tasks": judge.tasks,
        "verdicts": {name: sum(row.verdict == name for row in rows) for name in _VERDICTS},
        "matters": judge.matters(kept),
        "half_width": _half(kept),
        "cost": _cost(rows),
        "methods": {name: judge.numbers(credit) for name, credit in methods.items()},
        "evidence": {name: judge.numbers(credit) for name, credit in evidence(batch).items()},
    }


def _half(rows: Sequence[Replayed]) -> float | None:
    """Returns half the median width of the intervals: about the least advantage that is seen."""
    ends = [(row.low, row.high) for row in rows]
    widths = [(high - low) / 2 for low, high in ends if low is not None and high is not None]
    return float(np.median(widths)) if widths else None


def _cost(rows: Sequence[Replayed]) -> dict[str, int]:
    names = ("prompts", "tokens", "calls", "env_steps")
    return {name: sum(getattr(row.cost, name) or 0 for row in rows) for name in names}

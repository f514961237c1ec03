"""Labels of steps by what came after them: facts of the state first, then votes.

Axes: S model steps, M votes, Q sources by kind of step.
"""

from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.kernels.verdicts import majority, mean_vote

SCORE: Final = "next_state"
"""Name of a step's score that is a vote; with ":JUDGE" behind it where there are several."""
SOURCES: Final = ("state/call", "state/text", "votes/call", "votes/text")
"""Where a label comes from, and whether the step called anything: labels of one are compared."""


def votes_of(names: tuple[str, ...]) -> list[int]:
    """Returns which scores are votes."""
    return [j for j, name in enumerate(names) if name.partition(":")[0] == SCORE]


def votes_SM(batch: Batch) -> Float64[np.ndarray, "S M"]:
    """Returns the votes on each step; NaN: none."""
    return batch.score_SJ[:, votes_of(batch.score_names)]


def facts_S(batch: Batch) -> Float64[np.ndarray, " S"]:
    """Returns 1 where all calls of a step that somebody looked at left the state on a path to
    success, -1 where one did not; NaN: nobody looked."""
    seen = np.flatnonzero(batch.on_path_C >= 0)
    least_S = np.full(batch.traj_S.size, 2)
    np.minimum.at(least_S, batch.step_C[seen], batch.on_path_C[seen])
    return np.where(least_S == 2, np.nan, 2.0 * least_S - 1.0)


def labels(
    batch: Batch, *, facts: bool = True
) -> tuple[Float64[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
    """Returns the label of each step, +1 or -1, and its place in `SOURCES`; NaN and -1: none.

    Args:
        batch: the trajectories.
        facts: what the state says, before what votes say.
    """
    vote_S = majority(votes_SM(batch))
    fact_S = facts_S(batch) if facts else np.full(vote_S.size, np.nan)
    label_S = np.where(np.isnan(fact_S), vote_S, fact_S)
    label_S = np.where(label_S != 0.0, label_S, np.nan)
    silent_S = np.bincount(batch.step_C, minlength=label_S.size) == 0
    source_S = 2 * np.isnan(fact_S) + silent_S
    return label_S, np.where(np.isnan(label_S), -1, source_S)


def paid_S(batch: Batch, *, facts: bool = True) -> Float64[np.ndarray, " S"]:
    """Returns the fact of each step, else the mean of its votes, in [-1, 1]; NaN: neither."""
    mean_S = mean_vote(votes_SM(batch))
    if facts:
        fact_S = facts_S(batch)
        mean_S = np.where(np.isnan(fact_S), mean_S, fact_S)
    return mean_S


def baselines(batch: Batch, keep: float) -> dict[str, float]:
    """Returns the moving mean of each source after this batch, those of which it has labels.

        b <- keep^n b + (1 - keep^n) mean of the n labels,      from 0

    For one label at a time the usual b <- keep b + (1 - keep) label; for several whatever their
    order is.
    """
    label_S, source_S = labels(batch)
    found: dict[str, float] = {}
    for q, source in enumerate(SOURCES):
        of = label_S[(source_S == q) & batch.once_S]
        if of.size:
            name, stays = baseline_of(source), keep**of.size
            found[name] = stays * batch.statistics.get(name, 0.0) + (1.0 - stays) * float(of.mean())
    return found


def baseline_of(source: str) -> str:
    """Returns the name of the statistic."""
    return f"next state mean: {source}"

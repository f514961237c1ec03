"""Running statistics of a run: what a few groups of one batch cannot tell.

Pure: `updated` gives the numbers of the next batch, `Batch.statistics` takes them in, whoever
trains keeps them with the run. Axes: K trajectories, G groups.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from assay.batch import Batch
from assay.credit.base import require
from assay.credit.groups import counts, means
from assay.credit.judges import counted
from assay.credit.labels import baselines

OUTCOME: Final = ("outcome mean", "outcome within", "outcome between")
"""Mean of the group means; pooled sample variance inside groups; variance of the group means less
what sampling noise explains, at least 0. In units of the outcome, and of its square."""


UNSCORED: Final = "unscored share"
LEAST_UNSCORED: Final = "unscored share, least"
"""Of all trajectories, moving mean; and the least that it was."""


def measured(batch: Batch, within: float | None = None) -> dict[str, float]:
    """Returns `OUTCOME` as this batch alone has it; what nothing tells is left out.

    Args:
        batch: the trajectories.
        within: a variance inside groups that is known already. None: measured.
    """
    value_K = batch.value_K
    n_G, mean_G = counts(batch, value_K), means(batch, value_K)
    seen_G = n_G > 0
    found: dict[str, float] = {}
    if not seen_G.any():
        return found
    found["outcome mean"] = float(mean_G[seen_G].mean())
    freedom = int(np.maximum(n_G - 1, 0).sum())
    if within is None and freedom:
        within = float(np.nansum((batch.voted_K - mean_G[batch.group_K]) ** 2)) / freedom
    noise = 0.0
    if within is not None:
        found["outcome within"] = within
        noise = within * float((1.0 / n_G[seen_G]).mean())
    if seen_G.sum() > 1:
        between = float(mean_G[seen_G].var(ddof=1))
        found["outcome between"] = max(0.0, between - noise)
    return found


def updated(batch: Batch, keep: float = 0.9, pass_at: float = 1.0) -> Mapping[str, float]:
    """Returns the batch's statistics moved towards what it measures: keep * old + (1 - keep) * new.

    A number that had no old value is taken as measured; one that nothing measures stays. Counts of
    audits (`credit.judges`) fade and are added up, keep * old + new; baselines of labels
    (`credit.labels`) move by every label.

    Raises:
        MethodError: keep is not in [0, 1].
    """
    require(0 <= keep <= 1, f"keep must lie in [0, 1]; got {keep:g}")
    old = batch.statistics
    new = {
        name: keep * old.get(name, value) + (1.0 - keep) * value
        for name, value in measured(batch).items()
    }
    audited = counted(batch, pass_at)
    faded = {
        name: keep * value
        for name, value in old.items()
        if name.startswith("judge ") and name not in audited
    }
    added = {name: keep * old.get(name, 0.0) + value for name, value in audited.items()}
    return {**old, **new, **faded, **added, **baselines(batch, keep), **_unscored(batch, keep)}


def _unscored(batch: Batch, keep: float) -> dict[str, float]:
    """Returns how many trajectories nobody scores."""
    now = float(np.isnan(batch.outcome_K).mean()) if batch.ids else 0.0
    share = keep * batch.statistics.get(UNSCORED, now) + (1.0 - keep) * now
    return {UNSCORED: share, LEAST_UNSCORED: min(batch.statistics.get(LEAST_UNSCORED, 1.0), share)}


def estimates(batch: Batch, within: float | None = None) -> dict[str, float]:
    """Returns what the run knows, and what it does not know as the batch has it; see `measured`."""
    known = batch.statistics
    return {**measured(batch, known.get("outcome within") if within is None else within), **known}

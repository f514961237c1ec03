"""What the groups of a batch agree on, and the alarm where they are locked into what is wrong."""

from typing import Final

import numpy as np

from assay.batch import Batch
from assay.credit.ttrl import LOCKED, answers_K, elections

ALARM: Final = 0.25
"""Share of checked groups that are locked at which it is said."""


def consensus(batch: Batch) -> tuple[dict[str, float], str | None]:
    """Returns facts of a step's row, and what a person should know.

    "ttrl/agreement": mean share of the votes that a group's majority has. "ttrl/locked": share of
    groups whose majority was checked in which a wrong one has `LOCKED` of the votes or more; none
    where no majority was checked. Of a batch whose answers nobody compares: nothing.
    """
    if np.isnan(answers_K(batch)).all():
        return {}, None
    found = elections(batch)
    facts = {"ttrl/agreement": float(found.share_G.mean())}
    checked_G = found.right_G | found.wrong_G
    if not checked_G.any():
        return facts, None
    locked = float(found.locked_G[checked_G].mean())
    facts["ttrl/locked"] = locked
    if locked < ALARM:
        return facts, None
    return facts, (
        f"majorities are locked: in {locked:.0%} of the groups whose majority was checked a wrong "
        f"answer has {LOCKED:.0%} of the votes or more; sampling no longer shows the right one "
        "there: take other tasks, rescue them, or stop"
    )

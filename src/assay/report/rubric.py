"""Verdicts on the items of a rubric, for the page of a group."""

from collections.abc import Callable
from typing import Any

import numpy as np

from assay.batch import Batch
from assay.judges.rubric import VERDICT
from assay.report.pack import listed


def rubric(batch: Batch, shown: Callable[[str], str]) -> dict[str, Any] | None:
    """Returns `items` and, of each, `verdicts`: 1, 0 or null by trajectory. None: there are none.

    Null is not judged, or not asked: the records that pages are made of do not tell.

    Args:
        batch: the set.
        shown: hides secrets.
    """
    at = [j for j, name in enumerate(batch.reward_names) if name.startswith(VERDICT)]
    at = [j for j in at if not np.isnan(batch.reward_KJ[:, j]).all()]
    if not at:
        return None
    return {
        "items": [shown(batch.reward_names[j].removeprefix(VERDICT)) for j in at],
        "verdicts": [listed(batch.reward_KJ[:, j]) for j in at],
    }

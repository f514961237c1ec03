"""Verdicts on the items of a rubric, for the page of a group."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assay.batch import Batch
from assay.judges.rubric import VERDICT
from assay.report.metrics import configured
from assay.report.pack import listed


def rubric(
    batch: Batch, shown: Callable[[str], str], run: Path | None = None
) -> dict[str, Any] | None:
    """Returns `items` and, of each, `verdicts`: 1, 0 or null by trajectory; `texts`, "" where there
    is none; `essential`, 1 where the run says that it gates; and `mode`, what then happens, ""
    where no run says so. None: there are no verdicts.

    Null is not judged, or not asked: the records that pages are made of do not tell.

    Args:
        batch: the set.
        shown: hides secrets.
        run: directory of the run that made it; None: there is none.
    """
    at = [j for j, name in enumerate(batch.reward_names) if name.startswith(VERDICT)]
    at = [j for j in at if not np.isnan(batch.reward_KJ[:, j]).all()]
    if not at:
        return None
    names = [batch.reward_names[j].removeprefix(VERDICT) for j in at]
    mode, known = _said(run)
    about = [known.get(name, {}) for name in names]
    return {
        "items": [*map(shown, names)],
        "texts": [shown(str(each.get("text", ""))) for each in about],
        "essential": [int(each.get("essential") is True) for each in about],
        "mode": mode,
        "verdicts": [listed(batch.reward_KJ[:, j]) for j in at],
    }


def _said(run: Path | None) -> tuple[str, dict[str, Mapping[str, Any]]]:
    """Returns what a run does about its rubric, and its items by their names."""
    recipe = configured(run).get("recipe")
    said = recipe.get("rubric") if isinstance(recipe, dict) else None
    if not isinstance(said, dict):
        return "", {}
    items = said.get("items", [])
    found = [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []
    return str(said.get("mode", "veto")), {str(each.get("id")): each for each in found}

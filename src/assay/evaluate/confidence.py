"""What the attempts of a policy state of themselves: one summary, for `assay eval` and claims."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.evaluate.calibration import auroc, brier, ece, ece_debiased, null_band, reliability
from assay.evaluate.recalibration import cross_fitted, fit
from assay.evaluate.voting import By, elected_right
from assay.kernels.proper import gives_up_below

WAYS: Final[tuple[By, ...]] = ("majority", "weighted", "surest")
WEIGHTS: Final = (0.5, 1.0)
"""Of the Brier score, for which it is said where giving up pays."""


def summary(
    stated_U: Float64[np.ndarray, " U"],
    right_U: Bool[np.ndarray, " U"],
    task_U: Int64[np.ndarray, " U"],
    rate_G: Float64[np.ndarray, " G"],
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """Returns how honest stated confidence is, before and after recalibration; None: none stated.

    Args:
        stated_U: what attempts state, in [0, 1].
        right_U: were they right?
        task_U: the task of each, from 0.
        rate_G: share of right attempts at each task, in [0, 1].
        rng: of the null bands.
    """
    if not stated_U.size:
        return None
    worth_U = cross_fitted(stated_U, right_U, task_U)
    spread = float(np.sqrt(np.mean((stated_U - rate_G[task_U]) ** 2)))
    return {
        "stated": int(stated_U.size),
        **_scores(stated_U, right_U, rng),
        "reliability": [asdict(each) for each in reliability(stated_U, right_U)],
        "spread": spread,
        "gives_up_below": {f"{w:g}": gives_up_below(w, spread) for w in WEIGHTS},
        "platt": asdict(fit(stated_U, right_U)),
        "recalibrated": _scores(worth_U, right_U, rng),
    }


def _scores(
    stated_U: Float64[np.ndarray, " U"], right_U: Bool[np.ndarray, " U"], rng: np.random.Generator
) -> dict[str, Any]:
    apart = auroc(stated_U, right_U)
    return {
        "brier": brier(stated_U, right_U),
        "ece": ece(stated_U, right_U),
        "ece_null": asdict(null_band(stated_U, rng=rng, draws=500)),
        "ece_debiased": ece_debiased(stated_U, right_U),
        "auroc": None if np.isnan(apart) else apart,
    }


def votes(
    answers: Sequence[Sequence[str]],
    stated: Sequence[Sequence[float | None]],
    right: Sequence[Sequence[bool]],
) -> dict[str, float]:
    """Returns the share of tasks whose elected answer is right, by each way of electing one."""
    tasks = list(zip(answers, stated, right, strict=True))
    return {
        way: float(np.mean([elected_right(*each, by=way) for each in tasks])) if tasks else 0.0
        for way in WAYS
    }

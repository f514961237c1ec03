"""Intervals: of a rate, of a paired difference over prompts and seeds, of an aggregate over runs.

Axes: S seeds (runs), G prompts, M tasks. Every random function takes `rng`; there is no default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Float64

from assay.errors import DataError
from assay.kernels.wilson import wilson as rate_interval

Over = Literal["prompts", "seeds", "both"]


@final
@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Is 0 outside the interval?"""
        return self.low > 0 or self.high < 0


def wilson(passed: int, total: int, *, level: float = 0.95) -> tuple[float, float]:
    """Returns Wilson's interval of a rate (`kernels.wilson`); of nothing there is none."""
    if not 0 <= passed <= total or total < 1:
        raise DataError(
            f"wilson: got {passed} of {total}; expected 0 <= passed <= total, total >= 1"
        )
    return rate_interval(passed, total, level=level)


def resampled(count: int, draws: int, rng: np.random.Generator) -> Float64[np.ndarray, "D _"]:
    """Returns, by draw, the share of each of `count` things drawn with replacement as often."""
    return rng.multinomial(count, np.full(count, 1.0 / count), draws) / count


def paired_difference(
    first_SG: Float64[np.ndarray, "S G"],
    second_SG: Float64[np.ndarray, "R H"],
    *,
    rng: np.random.Generator,
    over: Over = "both",
    level: float = 0.95,
    draws: int = 10_000,
) -> Estimate:
    """Returns mean(second - first) on the same prompts, with a percentile interval.

    Prompts are resampled together for both arms and for every seed (they are the same prompts), and
    seeds as whole runs. With one seed only prompts can be resampled: the interval then says nothing
    of another run.

    Args:
        first_SG: score of each seed on each prompt, first arm.
        second_SG: the same of the second arm, same prompts, seed by seed.
        rng: source of the draws.
        over: what is resampled.
        level: of the interval.
        draws: of the bootstrap.

    Raises:
        DataError: other shapes, nothing to compare, or a score that is NaN.
    """
    if first_SG.shape != second_SG.shape or first_SG.size == 0:
        raise DataError(
            f"paired_difference: got {first_SG.shape} and {second_SG.shape}; expected the same "
            "seeds and prompts for both arms"
        )
    gap_SG = second_SG - first_SG
    if np.isnan(gap_SG).any():
        raise DataError("paired_difference: a score is NaN; leave that prompt out of both arms")
    seeds, prompts = gap_SG.shape
    at_S, at_G = np.full((1, seeds), 1.0 / seeds), np.full((1, prompts), 1.0 / prompts)
    if over != "seeds":
        at_G = resampled(prompts, draws, rng)
    if over != "prompts" and seeds > 1:
        at_S = resampled(seeds, draws, rng)
    means = ((at_S @ gap_SG) * at_G).sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(gap_SG.mean()), float(low), float(high))


def iqm(score: Float64[np.ndarray, "..."]) -> float:
    """Returns the mean of the middle half: a quarter of all scores is cut off at either end.

    Agarwal et al. 2021, Deep RL at the Edge of the Statistical Precipice,
    https://arxiv.org/abs/2108.13264. It hides collapsed runs: report their rate beside it.
    """
    from scipy.stats import trim_mean

    if score.size == 0:
        raise DataError("iqm: no score; expected at least one")
    return float(trim_mean(score.reshape(-1), 0.25))


def stratified_interval(
    score_SM: Float64[np.ndarray, "S M"],
    *,
    rng: np.random.Generator,
    of: Callable[[Float64[np.ndarray, "..."]], float] = iqm,
    level: float = 0.95,
    draws: int = 10_000,
) -> Estimate:
    """Returns an aggregate over seeds and tasks; runs are resampled independently in each task.

    Args:
        score_SM: score of each seed on each task.
        rng: source of the draws.
        of: the aggregate.
        level: of the interval.
        draws: of the bootstrap.

    Raises:
        DataError: no score, or one that is NaN.
    """
    if score_SM.size == 0 or np.isnan(score_SM).any():
        raise DataError(f"stratified_interval: got shape {score_SM.shape}; expected scores, no NaN")
    seeds, tasks = score_SM.shape
    values = np.empty(draws)
    columns = np.arange(tasks)
    for draw in range(draws):
        rows = rng.integers(0, seeds, (seeds, tasks))
        values[draw] = of(score_SM[rows, columns])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(of(score_SM), float(low), float(high))


def improvement_probability(
    first_SM: Float64[np.ndarray, "S M"], second_SM: Float64[np.ndarray, "R M"]
) -> float:
    """Returns the chance that a run of `first` beats one of `second`, ties one half, mean of M."""
    if first_SM.shape[1] != second_SM.shape[1]:
        raise DataError(
            f"improvement_probability: {first_SM.shape[1]} and {second_SM.shape[1]} tasks; "
            "expected the same"
        )
    gap = first_SM[:, None, :] - second_SM[None, :, :]
    return float(np.mean((gap > 0) + 0.5 * (gap == 0)))

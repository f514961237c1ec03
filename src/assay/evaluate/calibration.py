"""How far stated confidence is from being right: Brier and its parts, calibration error, AUROC.

Bins are fixed in code, because sources differ in them: equal width, left-closed unless asked; equal
mass never splits equal confidences, so that no number depends on the order of the rows.
"""

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.errors import DataError
from assay.evaluate.intervals import wilson

Edges = Literal["left", "right", "mass"]
"""Bins of equal width, "left" [a, b) or "right" (a, b]; or of equal mass, ties never split."""


@final
@dataclass(frozen=True, slots=True)
class BrierParts:
    """Murphy 1973: Brier = reliability - resolution + uncertainty, by distinct confidence."""

    reliability: float
    resolution: float
    uncertainty: float


@final
@dataclass(frozen=True, slots=True)
class NullBand:
    """What a calibration error is worth if the confidences are exactly right."""

    median: float
    upper: float
    """The 95 % quantile."""


@final
@dataclass(frozen=True, slots=True)
class Bin:
    """Samples of about one confidence."""

    stated: float
    """Their mean confidence."""
    right: float
    """Share of them that are right."""
    samples: int
    low: float
    """Wilson's interval of `right`, 95 %, samples taken as independent."""
    high: float


def brier(confidence_U: Float64[np.ndarray, " U"], right_U: Bool[np.ndarray, " U"]) -> float:
    """Returns mean (c - y)^2, in [0, 1]; lower is better, and only honesty minimises it."""
    _check(confidence_U, right_U)
    return float(np.mean((confidence_U - right_U) ** 2))


def brier_parts(
    confidence_U: Float64[np.ndarray, " U"],
    right_U: Bool[np.ndarray, " U"],
    *,
    levels: int | None = None,
) -> BrierParts:
    """Returns reliability, resolution and uncertainty, by distinct confidence.

        rel = sum_v n_v/n (c_v - y_v)^2,  res = sum_v n_v/n (y_v - y)^2,  unc = y (1 - y)

    Args:
        confidence_U: stated probability of being right, in [0, 1].
        right_U: was it?
        levels: round to this many equally spaced values first (21 is every .05): values that few
            samples share bias both parts upward. None: as they are.
    """
    _check(confidence_U, right_U)
    if levels is not None:
        confidence_U = np.round(confidence_U * (levels - 1)) / (levels - 1)
    value_V, of_U = np.unique(confidence_U, return_inverse=True)
    count_V = np.bincount(of_U)
    hit_V = np.bincount(of_U, right_U.astype(float)) / count_V
    share_V, hit = count_V / right_U.size, float(right_U.mean())
    return BrierParts(
        reliability=float(share_V @ (value_V - hit_V) ** 2),
        resolution=float(share_V @ (hit_V - hit) ** 2),
        uncertainty=hit * (1.0 - hit),
    )


def ece(
    confidence_U: Float64[np.ndarray, " U"],
    right_U: Bool[np.ndarray, " U"],
    *,
    bins: int = 10,
    edges: Edges = "left",
) -> float:
    """Returns the expected calibration error, sum_b n_b/n |c_b - y_b|.

    Report it beside `null_band`: it is above 0 for perfect confidences too.
    """
    share_B, gap_B, *_ = _binned(_bins(confidence_U, bins, edges), confidence_U, right_U)
    return float(share_B @ np.abs(gap_B))


def overconfidence(
    confidence_U: Float64[np.ndarray, " U"],
    right_U: Bool[np.ndarray, " U"],
    *,
    bins: int = 10,
    edges: Edges = "left",
) -> float:
    """Returns the part of `ece` that comes from bins in which confidence exceeds accuracy."""
    share_B, gap_B, *_ = _binned(_bins(confidence_U, bins, edges), confidence_U, right_U)
    return float(share_B @ np.maximum(gap_B, 0.0))


def ece_debiased(
    confidence_U: Float64[np.ndarray, " U"], right_U: Bool[np.ndarray, " U"], *, bins: int = 10
) -> float:
    """Returns the root mean squared calibration error over equal mass, noise taken off.

        sqrt( max(0, sum_b n_b/n ( (c_b - y_b)^2 - y_b (1 - y_b)/(n_b - 1) )) )

    Kumar et al. 2019, Verified Uncertainty Calibration, https://arxiv.org/abs/1909.10155. A bin of
    one sample has nothing to estimate its noise from, and none is taken off.
    """
    bin_U = _bins(confidence_U, bins, "mass")
    share_B, gap_B, hit_B, count_B = _binned(bin_U, confidence_U, right_U)
    noise_B = np.where(count_B > 1, hit_B * (1.0 - hit_B) / np.maximum(count_B - 1, 1), 0.0)
    return float(np.sqrt(max(0.0, float(share_B @ (gap_B**2 - noise_B)))))


def reliability(
    confidence_U: Float64[np.ndarray, " U"],
    right_U: Bool[np.ndarray, " U"],
    *,
    bins: int = 10,
    edges: Edges = "left",
) -> list[Bin]:
    """Returns the bins of `ece` that hold a sample, from low to high confidence: what a diagram of
    reliability draws."""
    bin_U = _bins(confidence_U, bins, edges)
    _, gap_B, hit_B, count_B = _binned(bin_U, confidence_U, right_U)
    return [
        Bin(float(hit + gap), float(hit), int(count), *wilson(round(hit * count), int(count)))
        for gap, hit, count in zip(gap_B, hit_B, count_B, strict=True)
    ]


def auroc(confidence_U: Float64[np.ndarray, " U"], right_U: Bool[np.ndarray, " U"]) -> float:
    """Returns the chance that a right sample was stated surer than a wrong one, ties one half.

    0.5 for a constant confidence, however well calibrated; NaN where all are right or all wrong.
    """
    _check(confidence_U, right_U)
    n_right = int(right_U.sum())
    n_wrong = right_U.size - n_right
    if not n_right or not n_wrong:
        return float("nan")
    from scipy.stats import mannwhitneyu

    beats = mannwhitneyu(confidence_U[right_U], confidence_U[~right_U], method="asymptotic")
    return float(beats.statistic) / (n_right * n_wrong)


def null_band(
    confidence_U: Float64[np.ndarray, " U"],
    *,
    rng: np.random.Generator,
    bins: int = 10,
    edges: Edges = "left",
    draws: int = 2000,
) -> NullBand:
    """Returns what `ece` comes out at for these confidences if y ~ Bernoulli(c): median and 95 %.

    An error inside the band is no evidence of miscalibration. A percentile bootstrap of the error
    itself is biased upward and is not offered.
    """
    _check(confidence_U, np.zeros(confidence_U.size, bool))
    bin_U = _bins(confidence_U, bins, edges)
    order = np.argsort(bin_U, kind="stable")
    sorted_U = confidence_U[order]
    start = np.flatnonzero(np.diff(bin_U[order], prepend=-1))
    values = np.empty(draws)
    for at in range(0, draws, 64):
        many = min(64, draws - at)
        drawn = rng.random((many, sorted_U.size)) < sorted_U
        gaps = np.add.reduceat(drawn - sorted_U, start, axis=1)
        values[at : at + many] = np.abs(gaps).sum(1) / sorted_U.size
    median, upper = np.quantile(values, [0.5, 0.95])
    return NullBand(float(median), float(upper))


def _check(confidence_U: Float64[np.ndarray, " U"], right_U: Bool[np.ndarray, " U"]) -> None:
    if confidence_U.size == 0:
        raise DataError("calibration: no sample; expected at least one")
    if right_U.size != confidence_U.size:
        raise DataError(f"calibration: {confidence_U.size} confidences, {right_U.size} answers")
    outside = np.flatnonzero(~((confidence_U >= 0) & (confidence_U <= 1)))
    if outside.size:
        raise DataError(
            f"calibration: confidence {outside[0]} is {confidence_U[outside[0]]}; expected 0 to 1 "
            "(leave out samples that state none)"
        )


def _bins(
    confidence_U: Float64[np.ndarray, " U"], bins: int, edges: Edges
) -> Int64[np.ndarray, " U"]:
    """Returns the bin of each sample; cuts at equal counts are moved up past equal confidences."""
    if edges != "mass":
        side = "right" if edges == "left" else "left"
        return np.searchsorted(np.arange(1, bins) / bins, confidence_U, side=side).astype(np.int64)
    ordered = np.sort(confidence_U)
    wanted = np.round(np.arange(1, bins) * ordered.size / bins).astype(int)
    wanted = wanted[(wanted > 0) & (wanted < ordered.size)]
    tied = ordered[wanted] == ordered[wanted - 1]
    moved = np.searchsorted(ordered, ordered[wanted], side="right")
    cuts = np.unique(np.where(tied, moved, wanted))
    cuts = cuts[cuts < ordered.size]
    return np.searchsorted(ordered[cuts], confidence_U, side="right").astype(np.int64)


def _binned(
    bin_U: Int64[np.ndarray, " U"],
    confidence_U: Float64[np.ndarray, " U"],
    right_U: Bool[np.ndarray, " U"],
) -> tuple[Float64[np.ndarray, " B"], ...]:
    """Returns (share, confidence - accuracy, accuracy, count) of each bin that is not empty."""
    _check(confidence_U, right_U)
    _, of_U, count_B = np.unique(bin_U, return_inverse=True, return_counts=True)
    hit_B = np.bincount(of_U, right_U.astype(float)) / count_B
    gap_B = np.bincount(of_U, confidence_U) / count_B - hit_B
    return count_B / bin_U.size, gap_B, hit_B, count_B.astype(float)

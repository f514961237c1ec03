"""One outcome per trajectory against another baseline than the mean: quantile, shrunk, shifted."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method
from assay.credit.groups import counts, means, require
from assay.credit.outcome import check_scaling, outcome_term
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class Quantile(Method):
    """A = (R - Q_K) / (std + eps), Q_K the least outcome x with F(x) >= K in the group.

    QAE 2025, Quantile Advantage Estimation, https://arxiv.org/abs/2509.22611. For 0/1 outcomes the
    baseline is 0 while the pass rate is at most 1 - K, so that only passes are trained, and 1 above
    it, so that only fails are. K 0.4 goes with a wide upper clip, 0.6 with low entropy.
    """

    name: ClassVar[str] = "quantile"
    source: ClassVar[str] = "QAE 2025, arXiv:2509.22611"
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
    scaling: ClassVar[str] = "quantile, std"

    level: float = 0.4
    """K, in (0, 1)."""
    ddof: int = 0
    """Degrees of freedom taken off the deviation: 0 population, as in the paper's vectors."""
    eps: float = 1e-6
    """Added to the deviation, in units of the outcome."""
    cap: float = float("inf")
    """Bound on |A|, above 0."""

    def __post_init__(self) -> None:
        require(0 < self.level < 1, f"level must lie in (0, 1); got {self.level:g}")
        check_scaling(self.ddof, self.eps, self.cap)

    def terms(self, batch: Batch) -> list[Term]:
        return [
            outcome_term(
                batch,
                baseline="quantile",
                quantile=self.level,
                ddof=self.ddof,
                eps=self.eps,
                cap=self.cap,
            )
        ]


@final
@dataclass(frozen=True, slots=True)
class Ebpo(Method):
    """A = R - ((1 - S) * group mean + S * mu): the group's mean, pulled towards everybody's.

        S = (within / n) / (within / n + between),  clipped to [0, max_shrink]

    EBPO 2026, Empirical Bayes Policy Optimization, https://arxiv.org/abs/2602.05165. All-fail
    groups get -S * mu, all-pass groups S * (1 - mu), and a lone trajectory S * (R - mu): it has a
    baseline. What we add to the paper: the clip at max_shrink, and estimates from this batch
    instead of a running one (mu the mean of group means, `within` the pooled sample variance,
    `between` the variance of group means less the share of it that is sampling noise, at least 0).
    With few groups per batch give mu, within and between from a running estimate.
    """

    name: ClassVar[str] = "ebpo"
    source: ClassVar[str] = "EBPO 2026, arXiv:2602.05165"
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group + batch"
    carried: ClassVar[str] = "all sampled"
    scaling: ClassVar[str] = "shrunk mean"

    mu: float | None = None
    """Mean outcome over tasks, in units of the outcome. None: from the batch."""
    within: float | None = None
    """Variance of outcomes inside a group, at least 0. None: from the batch."""
    between: float | None = None
    """Variance of group means, at least 0. None: from the batch."""
    max_shrink: float = 0.5
    """Largest S, in [0, 1]; also S where nothing in the batch tells the variances."""

    def __post_init__(self) -> None:
        require(0 <= self.max_shrink <= 1, f"max_shrink must lie in [0, 1]; got {self.max_shrink}")
        for name in ("within", "between"):
            variance = getattr(self, name)
            require(variance is None or variance >= 0, f"{name} must be at least 0; got {variance}")

    def terms(self, batch: Batch) -> list[Term]:
        mu, within, between = self._estimates(batch)
        n_G = counts(batch, batch.value_K)
        noise_G = within / np.maximum(n_G, 1)
        spread_G = noise_G + between
        shrink_G = np.divide(noise_G, spread_G, out=np.zeros_like(noise_G), where=spread_G > 0)
        if np.isnan(within):
            shrink_G = np.full(n_G.size, self.max_shrink)
        shrink_K = np.clip(shrink_G, 0.0, self.max_shrink)[batch.group_K]
        options = {"baseline": "shrunk", "prior": mu, "shrink": shrink_K}
        return [outcome_term(batch, scale="none", **options)]

    def _estimates(self, batch: Batch) -> tuple[float, float, float]:
        """Returns mu, within and between; within is NaN where no group has two scored members."""
        value_K = batch.value_K
        n_G, mean_G = counts(batch, value_K), means(batch, value_K)
        seen_G = n_G > 0
        mu, within, between = self.mu, self.within, self.between
        if mu is None:
            mu = float(mean_G[seen_G].mean()) if seen_G.any() else 0.0
        if within is None:
            square = np.nansum((value_K - mean_G[batch.group_K]) ** 2)
            freedom = int(np.maximum(n_G - 1, 0).sum())
            within = float(square) / freedom if freedom else float("nan")
        if between is None:
            between = _between(mean_G[seen_G], n_G[seen_G], within)
        return mu, within, between


def _between(mean_G: Float64[np.ndarray, " G"], n_G: np.ndarray, within: float) -> float:
    """Returns the variance of group means that sampling noise does not explain, at least 0."""
    if mean_G.size < 2:
        return 0.0
    noise = 0.0 if np.isnan(within) else within * float((1.0 / n_G).mean())
    return max(0.0, float(mean_G.var(ddof=1)) - noise)


@final
@dataclass(frozen=True, slots=True)
class AsymRe(Method):
    """A = R - (V + shift): REINFORCE whose baseline sits a little below the mean.

    AsymRE 2025, Asymmetric REINFORCE, https://arxiv.org/abs/2506.20520. Off policy, a baseline
    below the mean stresses passes and is stable; at or above it runs collapsed. With shift -0.1
    every trajectory of an all-fail group gets +0.1: it is reinforced, not punished.
    """

    name: ClassVar[str] = "asym_re"
    source: ClassVar[str] = "AsymRE 2025, arXiv:2506.20520"
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
    scaling: ClassVar[str] = "mean + shift"

    shift: float = -0.1
    """Added to the baseline, in units of the outcome; below 0 for off-policy data."""
    v: float | None = None
    """The baseline V, in units of the outcome. None: the mean of the group."""

    def terms(self, batch: Batch) -> list[Term]:
        if self.v is None:
            given: object = means(batch, batch.value_K)[batch.group_K] + self.shift
        else:
            given = self.v + self.shift
        return [outcome_term(batch, baseline="given", given_U=given, scale="none")]

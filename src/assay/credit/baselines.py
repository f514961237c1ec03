"""One outcome per trajectory against another baseline than the mean: quantile, shrunk, shifted,
and a mean that long trajectories have more of."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term, require
from assay.credit.groups import counts, means, rollout_lengths_K
from assay.credit.outcome import Singleton
from assay.credit.statistics import estimates
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
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
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
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, self, baseline="quantile", quantile=self.level)]


@final
@dataclass(frozen=True, slots=True)
class Ebpo(Method):
    """A = R - ((1 - S) * group mean + S * mu): the group's mean, pulled towards everybody's.

        S = (within / n) / (within / n + between),  clipped to [0, max_shrink]

    EBPO 2026, Empirical Bayes Policy Optimization, https://arxiv.org/abs/2602.05165. All-fail
    groups get -S * mu, all-pass groups S * (1 - mu), and a lone trajectory S * (R - mu): it has a
    baseline. What we add to the paper is the clip at max_shrink. Estimates are options, else the
    running statistics of the batch, else measured on it (`credit.statistics`): few groups per batch
    want running ones.
    """

    name: ClassVar[str] = "ebpo"
    source: ClassVar[str] = "EBPO 2026, arXiv:2602.05165"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    peers: ClassVar[str] = "task group + batch"
    scaling: ClassVar[str] = "shrunk mean"

    mu: float | None = None
    """Mean outcome over tasks, in units of the outcome. None: estimated."""
    within: float | None = None
    """Variance of outcomes inside a group, at least 0. None: estimated."""
    between: float | None = None
    """Variance of group means, at least 0. None: estimated."""
    max_shrink: float = 0.5
    """Largest S, in [0, 1]; also S where nothing in the batch tells the variances."""

    def __post_init__(self) -> None:
        require(0 <= self.max_shrink <= 1, f"max_shrink must lie in [0, 1]; got {self.max_shrink}")
        at_least_0(self, "within", "between")

    def terms(self, batch: Batch) -> list[Term]:
        known = estimates(batch, self.within)
        mu = known.get("outcome mean", 0.0) if self.mu is None else self.mu
        within = known.get("outcome within") if self.within is None else self.within
        between = known.get("outcome between", 0.0) if self.between is None else self.between
        n_G = counts(batch, batch.value_K)
        if within is None:
            shrink_G = np.full(n_G.size, self.max_shrink)
        else:
            noise_G = within / np.maximum(n_G, 1)
            spread_G = noise_G + between
            shrink_G = np.divide(noise_G, spread_G, out=np.zeros_like(noise_G), where=spread_G > 0)
        shrink_K = np.clip(shrink_G, 0.0, self.max_shrink)[batch.group_K]
        return [outcome_term(batch, baseline="shrunk", prior=mu, shrink=shrink_K, scale="none")]


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
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
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


@final
@dataclass(frozen=True, slots=True)
class Opo(Method):
    """A = R - sum_j l_j R_j / sum_j l_j over the group, l the tokens that a trajectory sampled.

    Hao et al. 2025, On-Policy RL with Optimal Reward Baseline, https://arxiv.org/abs/2505.23585.
    The baseline of least variance weighs outcomes by the squared norm of the gradient of their
    trajectory; the paper takes that to grow like its length. l counts what the policy wrote, steps
    that are not to be trained included; a lone trajectory gets 0, and in verl its raw reward
    (`singleton="raw"`). Lengths are
    the policy's own, so a policy that decides when to stop biases the baseline. The paper's exact
    on-policy training, without KL or entropy terms, belongs to the trainer.
    """

    name: ClassVar[str] = "opo"
    source: ClassVar[str] = "Hao et al. 2025, arXiv:2505.23585"
    reads: ClassVar[Reads] = "outcomes"
    scaling: ClassVar[str] = "mean by length"

    singleton: Singleton = "zero"
    """What a lone trajectory gets: 0, or its raw outcome (verl)."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, self, scale="none", mass_U=rollout_lengths_K(batch))]

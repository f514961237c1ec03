"""One outcome per trajectory, compared within its group: GRPO, its halves and its kin.

Vectors for the outcomes [1, 0, 0, 0]: grpo 1.5 / -0.5, dr_grpo 0.75 / -0.25, rloo 1 / -1/3,
max_rl 3 / -1. All of them give exactly 0 to a constant group and to a lone trajectory.

The halves and psr, nsr are {positive, negative} x {by deviation, flat}: together they tell apart
what the sign of a trajectory does from what the weight of its group does. Expected weights are 1
for psr and nsr, sqrt((1-p)/p) for grpo_positive, sqrt(p/(1-p)) for grpo_negative, where p is the
pass rate of the task.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from assay.batch import Batch
from assay.credit.base import Method, Reads, outcome_term
from assay.kernels.groups import fates
from assay.kernels.term import Sign, Term

Singleton = Literal["zero", "raw"]
Scale = Literal["none", "std", "mean"]


@final
@dataclass(frozen=True, slots=True)
class Grpo(Method):
    """A = (R - mean) / (std + eps), over the group.

    Shao et al. 2024, DeepSeekMath, https://arxiv.org/abs/2402.03300. The paper fixes neither ddof
    nor eps; we take the sample deviation and 1e-6, as verl does, and 0 for a constant group. One
    pass among G reaches (G - 1) / sqrt(G) (ddof 1), one fail the negative of it: see `cap`.
    """

    name: ClassVar[str] = "grpo"
    source: ClassVar[str] = "Shao et al. 2024, arXiv:2402.03300"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False

    scale: Scale = "std"
    """Divide by the deviation ("std"), by the mean ("mean"), or not at all ("none")."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation: 1 sample, 0 population. Read by "std" only."""
    eps: float = 1e-6
    """Added to the divisor, in units of the outcome."""
    singleton: Singleton = "zero"
    """What a lone trajectory gets: 0, or its raw outcome (verl, rllm)."""
    sign: Sign = "both"
    """Keep only the positive or only the negative advantages."""
    cap: float = float("inf")
    """Bound on |A|, above 0."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, self)]


@final
@dataclass(frozen=True, slots=True)
class GrpoPositive(Method):
    """A = max(GRPO, 0): only those above their group's mean are trained.

    One half of Shao et al. 2024, https://arxiv.org/abs/2402.03300. Its expected gradient weighs a
    group by sqrt((1-p)/p): rare passes count most. Sums to more than 0 in every mixed group.
    """

    name: ClassVar[str] = "grpo_positive"
    source: ClassVar[str] = "half of Shao et al. 2024, arXiv:2402.03300"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    scaling: ClassVar[str] = "mean, std; positive half"

    scale: Scale = "std"
    """Divide by the deviation ("std"), by the mean ("mean"), or not at all ("none")."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation: 1 sample, 0 population."""
    eps: float = 1e-6
    """Added to the divisor, in units of the outcome."""
    singleton: Singleton = "zero"
    """What a lone trajectory gets: 0, or the positive half of its raw outcome."""
    cap: float = float("inf")
    """Bound on |A|, above 0."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, self, sign="positive")]


@final
@dataclass(frozen=True, slots=True)
class GrpoNegative(Method):
    """A = min(GRPO, 0): only those below their group's mean are trained.

    One half of Shao et al. 2024, https://arxiv.org/abs/2402.03300. Its expected gradient weighs a
    group by sqrt(p/(1-p)): rare fails count most. It lost pass@256 in every small run we know of.
    """

    name: ClassVar[str] = "grpo_negative"
    source: ClassVar[str] = "half of Shao et al. 2024, arXiv:2402.03300"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    scaling: ClassVar[str] = "mean, std; negative half"

    scale: Scale = "std"
    """Divide by the deviation ("std"), by the mean ("mean"), or not at all ("none")."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation: 1 sample, 0 population."""
    eps: float = 1e-6
    """Added to the divisor, in units of the outcome."""
    singleton: Singleton = "zero"
    """What a lone trajectory gets: 0, or the negative half of its raw outcome."""
    cap: float = float("inf")
    """Bound on |A|, above 0."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, self, sign="negative")]


@final
@dataclass(frozen=True, slots=True)
class DrGrpo(Method):
    """A = R - mean: GRPO without the deviation, and without its bias towards easy and hard groups.

    Liu et al. 2025, Understanding R1-Zero-Like Training, https://arxiv.org/abs/2503.20783. The
    paper's constant length divisor belongs to the loss and is set in the trainer.
    """

    name: ClassVar[str] = "dr_grpo"
    source: ClassVar[str] = "Liu et al. 2025, arXiv:2503.20783"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    scaling: ClassVar[str] = "mean"

    singleton: Singleton = "zero"
    """What a lone trajectory gets: 0, or its raw outcome (verl)."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, self, scale="none")]


@final
@dataclass(frozen=True, slots=True)
class Rloo(Method):
    """A_i = R_i - mean of the others: an unbiased baseline, G / (G - 1) times Dr. GRPO's.

    Kool et al. 2019; Ahmadian et al. 2024, Back to Basics, https://arxiv.org/abs/2402.14740. A lone
    trajectory has no others and gets 0; verl hands it its raw reward (`singleton="raw"`).
    """

    name: ClassVar[str] = "rloo"
    source: ClassVar[str] = "Ahmadian et al. 2024, arXiv:2402.14740"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    scaling: ClassVar[str] = "leave-one-out"

    singleton: Singleton = "zero"
    """What a lone trajectory gets: 0, or its raw outcome (verl, rllm)."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, self, baseline="loo", scale="none")]


@final
@dataclass(frozen=True, slots=True)
class MaxRl(Method):
    """A = (R - mean) / (mean + eps): rare successes weigh 1/p, which maximises log-likelihood.

    Tajwar et al. 2026, Maximum Likelihood Reinforcement Learning, https://arxiv.org/abs/2602.02710.
    One pass in G gives G - 1, so a `cap` is wise. A group with a mean below 0, or with a mean of 0
    over outcomes that differ, is refused: the formula has no meaning there.
    """

    name: ClassVar[str] = "max_rl"
    source: ClassVar[str] = "Tajwar et al. 2026, arXiv:2602.02710"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    scaling: ClassVar[str] = "mean, mean"

    eps: float = 1e-6
    """Added to the mean, in units of the outcome."""
    cap: float = float("inf")
    """Bound on |A|, above 0."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, self, scale="mean")]


@final
@dataclass(frozen=True, slots=True)
class Gpg(Method):
    """A = alpha (R - mean), alpha = B / (B - M), M of the batch's B rollouts in dead groups.

    Chu et al. 2025, GPG, https://arxiv.org/abs/2504.02546. alpha gives back what dead groups take
    out of a mean over the batch, so that steps do not shrink as tasks are solved. verl divides B by
    the rollouts whose outcome is not 0 (`variant="verl"`), failures of live groups left out and
    passes of dead ones counted. The paper's F_norm is 1; by the deviation it is alpha times grpo.
    Its loss, without ratio and clip, is set in the trainer. alpha is 1 where no group is alive.
    """

    name: ClassVar[str] = "gpg"
    source: ClassVar[str] = "Chu et al. 2025, arXiv:2504.02546"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    peers: ClassVar[str] = "task group; batch for alpha"
    scaling: ClassVar[str] = "mean, share of live groups"

    variant: Literal["paper", "verl"] = "paper"
    """What alpha counts: rollouts of live groups, or of outcomes that are not 0."""
    singleton: Singleton = "zero"
    """What a lone trajectory gets: 0, or alpha times its raw outcome (verl)."""

    def terms(self, batch: Batch) -> list[Term]:
        voted_K, group_K = batch.voted_K, batch.group_K
        if self.variant == "paper":
            _, dead_G = fates(voted_K, group_K, n_groups=batch.n_groups)
            speaks_K = ~dead_G[group_K]
        else:
            speaks_K = voted_K != 0
        scored_K = ~np.isnan(voted_K)
        alive = int((speaks_K & scored_K).sum())
        alpha = float(scored_K.sum()) / alive if alive else 1.0
        return [outcome_term(batch, self, scale="none", weight=alpha)]

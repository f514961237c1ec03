"""One outcome per trajectory, compared within its group: GRPO and its kin.

Vectors for the outcomes [1, 0, 0, 0]: grpo 1.5 / -0.5, dr_grpo 0.75 / -0.25, rloo 1 / -1/3,
max_rl 3 / -1. All of them give exactly 0 to a constant group and to a lone trajectory.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from assay.batch import Batch
from assay.credit.base import Method
from assay.credit.groups import require
from assay.kernels.term import Scale, Sign, Term

Singleton = Literal["zero", "raw"]


def outcome_term(batch: Batch, name: str = "outcome", /, **options: object) -> Term:
    """Returns the term of most methods: the outcome, by trajectory, within the task group.

    Baseline "mean" and scale "std" unless `options`, fields of `Term`, say otherwise.
    """
    fields: dict[str, object] = {
        "value_U": batch.value_K,
        "peer_U": batch.group_K,
        "unit_R": batch.all_sampled_R,
        "weight_U": batch.weight_K,
        "baseline": "mean",
        "scale": "std",
        **options,
    }
    return Term(name=name, **fields)  # pyright: ignore[reportArgumentType]


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
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
    scaling: ClassVar[str] = "mean, std"

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

    def __post_init__(self) -> None:
        check_scaling(self.ddof, self.eps, self.cap)

    def terms(self, batch: Batch) -> list[Term]:
        return [
            outcome_term(
                batch,
                scale=self.scale,
                ddof=self.ddof,
                eps=self.eps,
                singleton=self.singleton,
                sign=self.sign,
                cap=self.cap,
            )
        ]


def check_scaling(ddof: int = 0, eps: float = 0.0, cap: float = 1.0) -> None:
    """Raises MethodError unless ddof is 0 or 1, eps at least 0 and cap above 0."""
    require(ddof in (0, 1), f"ddof must be 0 or 1; got {ddof}")
    require(eps >= 0, f"eps must be at least 0; got {eps:g}")
    require(cap > 0, f"cap must be above 0; got {cap:g}")


@final
@dataclass(frozen=True, slots=True)
class DrGrpo(Method):
    """A = R - mean: GRPO without the deviation, and without its bias towards easy and hard groups.

    Liu et al. 2025, Understanding R1-Zero-Like Training, https://arxiv.org/abs/2503.20783. The
    paper's constant length divisor belongs to the loss and is set in the trainer.
    """

    name: ClassVar[str] = "dr_grpo"
    source: ClassVar[str] = "Liu et al. 2025, arXiv:2503.20783"
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
    scaling: ClassVar[str] = "mean"

    singleton: Singleton = "zero"
    """What a lone trajectory gets: 0, or its raw outcome (verl)."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, scale="none", singleton=self.singleton)]


@final
@dataclass(frozen=True, slots=True)
class Rloo(Method):
    """A_i = R_i - mean of the others: an unbiased baseline, G / (G - 1) times Dr. GRPO's.

    Kool et al. 2019; Ahmadian et al. 2024, Back to Basics, https://arxiv.org/abs/2402.14740. A lone
    trajectory has no others and gets 0; verl hands it its raw reward (`singleton="raw"`).
    """

    name: ClassVar[str] = "rloo"
    source: ClassVar[str] = "Ahmadian et al. 2024, arXiv:2402.14740"
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
    scaling: ClassVar[str] = "leave-one-out"

    singleton: Singleton = "zero"
    """What a lone trajectory gets: 0, or its raw outcome (verl, rllm)."""

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, baseline="loo", scale="none", singleton=self.singleton)]


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
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
    scaling: ClassVar[str] = "mean, mean"

    eps: float = 1e-6
    """Added to the mean, in units of the outcome."""
    cap: float = float("inf")
    """Bound on |A|, above 0."""

    def __post_init__(self) -> None:
        check_scaling(eps=self.eps, cap=self.cap)

    def terms(self, batch: Batch) -> list[Term]:
        return [outcome_term(batch, scale="mean", eps=self.eps, cap=self.cap)]

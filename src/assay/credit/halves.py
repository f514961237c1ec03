"""The two halves of GRPO: with psr and nsr, {positive, negative} x {by deviation, flat}.

Together they tell apart what the sign of the sample does from what the weight of the group does:
expected weights are 1 for psr and nsr, sqrt((1-p)/p) for grpo_positive, sqrt(p/(1-p)) for
grpo_negative, where p is the pass rate of the task.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from assay.batch import Batch
from assay.credit.base import Method
from assay.credit.outcome import Singleton, check_scaling, outcome_term
from assay.kernels.term import Scale, Sign, Term


@final
@dataclass(frozen=True, slots=True)
class GrpoPositive(Method):
    """A = max(GRPO, 0): only those above their group's mean are trained.

    One half of Shao et al. 2024, https://arxiv.org/abs/2402.03300. Its expected gradient weighs a
    group by sqrt((1-p)/p): rare passes count most. Sums to more than 0 in every mixed group.
    """

    name: ClassVar[str] = "grpo_positive"
    source: ClassVar[str] = "half of Shao et al. 2024, arXiv:2402.03300"
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
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

    def __post_init__(self) -> None:
        check_scaling(self.ddof, self.eps, self.cap)

    def terms(self, batch: Batch) -> list[Term]:
        return [_half(self, batch, "positive")]


@final
@dataclass(frozen=True, slots=True)
class GrpoNegative(Method):
    """A = min(GRPO, 0): only those below their group's mean are trained.

    One half of Shao et al. 2024, https://arxiv.org/abs/2402.03300. Its expected gradient weighs a
    group by sqrt(p/(1-p)): rare fails count most. It lost pass@256 in every small run we know of.
    """

    name: ClassVar[str] = "grpo_negative"
    source: ClassVar[str] = "half of Shao et al. 2024, arXiv:2402.03300"
    value: ClassVar[str] = "outcome"
    unit: ClassVar[str] = "trajectory"
    peers: ClassVar[str] = "task group"
    carried: ClassVar[str] = "all sampled"
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

    def __post_init__(self) -> None:
        check_scaling(self.ddof, self.eps, self.cap)

    def terms(self, batch: Batch) -> list[Term]:
        return [_half(self, batch, "negative")]


def _half(method: GrpoPositive | GrpoNegative, batch: Batch, sign: Sign) -> Term:
    return outcome_term(
        batch,
        sign=sign,
        scale=method.scale,
        ddof=method.ddof,
        eps=method.eps,
        singleton=method.singleton,
        cap=method.cap,
    )

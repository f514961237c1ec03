"""What an agent says of its own success, held against what a check says."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from assay.batch import CATEGORIES, CLAIMS, Batch
from assay.credit.base import Method, Reads, at_least_0, outcome_term, require
from assay.kernels.term import Term

_ADMITTED = CLAIMS.index("admitted")
_FALSE, _HONEST, _UNDER = (
    CATEGORIES.index(name) for name in ("false_success", "honest_failure", "under_claim")
)


@final
@dataclass(frozen=True, slots=True)
class HonestClaims(Method):
    """A = h - mean h: what a claim costs or earns, where a check (E3, E4) looked.

        h = -false_claim   it says it is done, and is not
            -under_claim   it says it is not, and is
            +admission     it says it is not, and is not;      0 else

    For a mix with a method of outcomes 0 and 1, on its scale (dr_grpo, mixed_judges). Then saying
    "done" pays for whoever believes, by more than `pays_above`, that it is. Ours, for what is seen
    of agents that report success while the state says otherwise: Agents of Chaos 2026,
    https://arxiv.org/abs/2602.20021. Failing never pays for being admitted: trying with a chance p
    earns p + admission (1 - p), at most 1. What nobody checked costs and earns nothing.
    """

    name: ClassVar[str] = "honest_claims"
    source: ClassVar[str] = "ours, after Agents of Chaos 2026, arXiv:2602.20021"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "claim against check"
    scaling: ClassVar[str] = "mean"

    false_claim: float = 0.25
    """What a claim of success costs that a check refutes, in units of the outcome, at least 0."""
    admission: float = 0.05
    """What admitting a failure earns, in [0, 1)."""
    under_claim: float = 0.25
    """What it costs to say that it is not done where it is, at least 0."""
    above: float | None = None
    """Belief above which claiming shall pay, in (0, 1); in place of `under_claim`."""
    baseline: Literal["mean", "none"] = "mean"
    """"mean": of the group, so that where all claim falsely nobody is pushed. "none": h itself."""

    def __post_init__(self) -> None:
        at_least_0(self, "false_claim", "admission", "under_claim")
        require(self.admission < 1, f"admission must be below 1; got {self.admission:g}")
        require(
            self.above is None or 0 < self.above < 1,
            f"above must lie in (0, 1); got {self.above}",
        )

    @property
    def under_cost(self) -> float:
        """What saying less than is true costs: `under_claim`, or what puts `pays_above` at
        `above`, (false_claim + admission) (1 / above - 1)."""
        if self.above is None:
            return self.under_claim
        return (self.false_claim + self.admission) * (1.0 / self.above - 1.0)

    @property
    def pays_above(self) -> float:
        """Belief above which claiming pays more than admitting:

            (false_claim + admission) / (under_claim + false_claim + admission)

        NaN: both always earn the same."""
        stake = self.false_claim + self.admission
        total = self.under_cost + stake
        return stake / total if total > 0 else float("nan")

    def earned(self, belief: float) -> tuple[float, float]:
        """Returns what claiming and what admitting earn on average, outcome included.

        claim  b - (1 - b) false_claim,    admit  b (1 - under_claim) + (1 - b) admission
        """
        claimed = belief - (1.0 - belief) * self.false_claim
        return claimed, belief * (1.0 - self.under_cost) + (1.0 - belief) * self.admission

    def terms(self, batch: Batch) -> list[Term]:
        voter_K = batch.vote_K
        category_K, claim_K = batch.category_K[voter_K], batch.claim_K[voter_K]
        h_K = np.zeros(len(batch.ids))
        h_K[category_K == _FALSE] = -self.false_claim
        h_K[category_K == _UNDER] = -self.under_cost
        h_K[(category_K == _HONEST) & (claim_K == _ADMITTED)] = self.admission
        value_K = np.where(np.isnan(batch.value_K), np.nan, h_K)
        return [
            outcome_term(
                batch, None, "claims", value_U=value_K, baseline=self.baseline, scale="none"
            )
        ]

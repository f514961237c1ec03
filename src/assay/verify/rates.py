"""How often a judge errs, by audits: rates of error per source and stratum, from above where it
counts, and what is done with a source of which too little is known.

    rho0 = P(accepted | failed)      rho1 = P(rejected | passed)      J = 1 - rho0 - rho1

Of what a judge accepted and of what it rejected some is drawn and looked at by a check or a person
(`audited`). Rates move with the policy, for it learns what is accepted: they are estimated again in
every generation and held still inside one.
"""

from dataclasses import dataclass
from math import ceil, inf, lgamma, log, log1p, sqrt
from statistics import NormalDist
from typing import Final, Literal, final

import numpy as np

from assay.errors import DataError
from assay.kernels.constancy import ROUND_OFF
from assay.kernels.noise import LEAST_J

Trust = Literal["calibrated", "uncalibrated", "quarantined"]
ENOUGH: Final = 20
"""Failures that must have been looked at before what a judge accepts counts at all."""
LEVEL: Final = 0.9
"""Of the upper bound on false positives, one-sided."""
DOUBT: Final = 0.25
"""Weight of what a judge rejects of whom too little is known; what it accepts weighs 0."""
FALLEN: Final = 0.15
"""A judge whose J fell by more since the last generation is looked at again."""


@final
@dataclass(frozen=True, slots=True)
class Audits:
    """What audits found of one judge in one stratum: counts."""

    accepted_passed: int = 0
    accepted_failed: int = 0
    rejected_passed: int = 0
    rejected_failed: int = 0
    accepted_share: float | None = None
    """Share of all its verdicts that accept, in [0, 1]. None: what was looked at was drawn from all
    verdicts alike, and tells it."""

    @property
    def failed(self) -> int:
        """How many that truly failed were looked at."""
        return self.accepted_failed + self.rejected_failed

    def __post_init__(self) -> None:
        """Raises DataError for a count below 0, or a share that is none."""
        counts = (
            *(self.accepted_passed, self.accepted_failed),
            *(self.rejected_passed, self.rejected_failed),
        )
        share = self.accepted_share
        if min(counts) < 0 or (share is not None and not 0 <= share <= 1):
            raise DataError(
                f"audits: got counts {counts} and share {share}; expected counts of at least 0 and "
                "a share in [0, 1]"
            )


@final
@dataclass(frozen=True, slots=True)
class Rates:
    """How often a judge errs, as training takes it."""

    rho0: float
    """False positives, from above (`LEVEL`)."""
    rho1: float
    """False negatives, posterior mean."""
    failed: float = inf
    """Failures that were looked at. Infinite: the rates are given."""

    @property
    def j(self) -> float:
        """How much its verdicts say: 1 - rho0 - rho1."""
        return 1.0 - self.rho0 - self.rho1

    @property
    def trust(self) -> Trust:
        """ "uncalibrated": fewer than `ENOUGH` failures were looked at, so that what it accepts is
        not scored and what it rejects weighs `DOUBT`; "quarantined": J is below `LEAST_J`, and
        nothing that it says counts, nor its opposite."""
        if self.failed < ENOUGH:
            return "uncalibrated"
        return "calibrated" if self.j >= LEAST_J - ROUND_OFF else "quarantined"

    def fell(self, before: "Rates") -> bool:
        """Returns whether J fell so much that the judge, or what the policy does to it, needs a
        look."""
        return before.j - self.j > FALLEN


EXACT: Final = Rates(0.0, 0.0)
"""A check, or a person."""


def rates(audits: Audits, level: float = LEVEL) -> Rates:
    """Returns rates of error from what audits found.

    Drawn from all verdicts alike: rho0 is the upper bound of its share among failures, rho1 the
    mean (wrong + 1) / (n + 2) among passes. Drawn apart, with s the share of accepted ones, by
    Bayes from f+ = P(failed | accepted) and p- = P(passed | rejected):

        rho0 = f+ s / (f+ s + (1 - p-) (1 - s)),   rho1 = p- (1 - s) / (p- (1 - s) + (1 - f+) s)

    rho0 grows with both, so that it is bounded by their upper bounds, each at (1 + level) / 2; in
    rho1 both are posterior means. Upper bounds are `upper`, which is a little more careful than
    that of a Beta(1, 1) posterior: an error too many is safe, one too few is paid.
    """
    a = audits
    if a.accepted_share is None:
        passed = a.accepted_passed + a.rejected_passed
        rho1 = (a.rejected_passed + 1) / (passed + 2)
        return Rates(upper(a.accepted_failed, a.failed, level), rho1, float(a.failed))
    s, each = a.accepted_share, (1 + level) / 2
    accepted, rejected = (
        a.accepted_passed + a.accepted_failed,
        a.rejected_passed + a.rejected_failed,
    )
    wrong_yes, wrong_no = (
        upper(a.accepted_failed, accepted, each),
        upper(a.rejected_passed, rejected, each),
    )
    rho0 = _share(wrong_yes * s, (1 - wrong_no) * (1 - s))
    yes = (a.accepted_failed + 1) / (accepted + 2)
    no = (a.rejected_passed + 1) / (rejected + 2)
    return Rates(rho0, _share(no * (1 - s), (1 - yes) * s), float(a.failed))


def _share(part: float, rest: float) -> float:
    return part / (part + rest) if part + rest > 0 else 1.0


def upper(wrong: int, total: int, level: float = LEVEL) -> float:
    """Returns the upper bound of a rate of which `wrong` of `total` were seen: exact, one-sided.

        the u with P(Binomial(total, u) <= wrong) = 1 - level;    1 - (1 - level)^(1/n) for 0 of n

    Clopper and Pearson 1934. 1 where nothing was looked at.

    Raises:
        DataError: not 0 <= wrong <= total, or a level that is none.
    """
    if not 0 <= wrong <= total or not 0 < level < 1:
        raise DataError(
            f"upper: got {wrong} of {total} at level {level:g}; expected 0 <= wrong <= total and a "
            "level in (0, 1)"
        )
    if wrong == total:
        return 1.0
    low, high = wrong / total, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _at_most(wrong, total, middle) < 1 - level else (middle, high)
    return high


def _at_most(wrong: int, total: int, rate: float) -> float:
    """Returns P(Binomial(total, rate) <= wrong), for a rate in (0, 1)."""
    k = np.arange(wrong + 1)
    ways = np.array([lgamma(total + 1) - lgamma(i + 1) - lgamma(total - i + 1) for i in k.tolist()])
    return float(np.exp(ways + k * log(rate) + (total - k) * log1p(-rate)).sum())


def prevalence(
    accepted: float,
    rho0: float,
    rho1: float,
    *,
    n: int,
    failed: int,
    passed: int,
    level: float = 0.95,
) -> tuple[float, float, float, float]:
    """Returns the true pass rate behind a judge's, its standard error, and an interval.

        t = (a - rho0) / J,
        J^2 var = a (1 - a) / n + (1 - t)^2 rho0 (1 - rho0) / failed + t^2 rho1 (1 - rho1) / passed

    Rogan and Gladen 1978; the interval is the normal one with the noise of both samples in it, as
    in https://arxiv.org/abs/2511.21140, whose adaptive allocation of audits is not here. Not
    clipped: a rate below 0 says that false positives explain more than was accepted.

    Args:
        accepted: share that the judge accepted, of n.
        rho0: false positives, as seen among `failed` audits.
        rho1: false negatives, as seen among `passed` audits.
        n: verdicts.
        failed: audits of failures.
        passed: audits of passes.
        level: of the interval.

    Raises:
        DataError: J is not above 0, or a sample is empty.
    """
    j = 1.0 - rho0 - rho1
    if j <= 0 or min(n, failed, passed) < 1:
        raise DataError(
            f"prevalence: got J {j:g} and samples {n}, {failed}, {passed}; expected J above 0 and "
            "at least one of each"
        )
    t = (accepted - rho0) / j
    of_test = accepted * (1 - accepted) / n
    of_audits = (1 - t) ** 2 * rho0 * (1 - rho0) / failed + t**2 * rho1 * (1 - rho1) / passed
    error = sqrt(of_test + of_audits) / j
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    return t, error, t - reach, t + reach


def audits_for(share: float, chance: float = 0.95) -> int:
    """Returns how many audits, drawn evenly, see something of that share at least once so surely.

        ceil( log(1 - chance) / log(1 - share) )

    Raises:
        DataError: share or chance is not in (0, 1).
    """
    if not (0 < share < 1 and 0 < chance < 1):
        raise DataError(f"audits_for: got {share:g}, {chance:g}; expected both in (0, 1)")
    return ceil(log(1 - chance) / log1p(-share))

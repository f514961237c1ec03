"""Outcomes of several judges that err, each corrected by how often it does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, outcome_term, require
from assay.credit.groups import passes
from assay.credit.judges import Strata, decided_K, rates_of, strata_K
from assay.kernels.noise import LEAST_J, forward, others, posterior, weighed
from assay.kernels.term import Term
from assay.verify.rates import DOUBT


@final
@dataclass(frozen=True, slots=True)
class MixedJudges(Method):
    """A = x - b: a verdict corrected by its judge's rates of error, less the others of the group.

        x = (r - rho0) / J,   J = 1 - rho0 - rho1,   b = sum_{j other} J_j^2 x_j / sum J_j^2

    Correction: Cai et al. 2025, https://arxiv.org/abs/2510.00915. The baseline is ours: of others
    alone, and weighted by the judge and never by the verdict, so that the gradient is that of the
    true outcome though each trajectory has another judge. Without it whoever is judged leniently is
    rewarded. A check (E3, E4) has no errors; one judge for all is RLOO over J. Rates are per judge
    and claim: of audits, false positives from above (`verify.rates`), so that a failure is paid at
    most nothing. A judge of J < `least_j` says nothing, nor its opposite; of one with too few
    audits what it accepts says nothing and what it rejects is a 0 of weight 0.25. Who says nothing,
    or has nobody to be compared with, is not carried.
    """

    name: ClassVar[str] = "mixed_judges"
    source: ClassVar[str] = "Cai et al. 2025, arXiv:2510.00915"
    reads: ClassVar[Reads] = "outcomes"
    value: ClassVar[str] = "corrected verdict"
    scaling: ClassVar[str] = "mean of the others, by J^2"

    rates: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """(rho0, rho1) by judge, or by judge/claim, as "tests" or "tests/claimed"; in [0, 1]. Those
    that are not given are measured by audits."""
    strata: Strata = "claim"
    """Rates of each judge by what the agent said of its success, or ("none") over all alike."""
    form: Literal["backward", "posterior", "forward"] = "backward"
    """"backward": above. "posterior": the chance of a pass given the verdict less that before it,
    which is b: little variance, and another scale for every judge. "forward": r + rho1 - 1, without
    a baseline: asks for rho1 alone, for one judge."""
    scale: Literal["none", "std"] = "none"
    """"std": over sqrt(p (1 - p)), p the group's corrected rate; a group whose p is 0 or 1 or
    beyond is dropped, for errors explain all that was accepted, or rejected."""
    least_j: float = LEAST_J
    """In [0, 1]."""
    pass_at: float | None = None
    """An outcome at or above it is a pass. None: outcomes must be 0 or 1, or MethodError."""

    def __post_init__(self) -> None:
        require(0 <= self.least_j <= 1, f"least_j must lie in [0, 1]; got {self.least_j:g}")
        for name, (rho0, rho1) in self.rates.items():
            fits = 0 <= rho0 <= 1 and 0 <= rho1 <= 1
            require(fits, f"rates of {name!r} must lie in [0, 1]; got {rho0:g}, {rho1:g}")
        require(
            self.scale == "none" or self.form == "backward",
            'scale "std" is read by form "backward" alone',
        )

    def terms(self, batch: Batch) -> list[Term]:
        seen_K = passes(batch, self.name, self.pass_at)
        rho0_K, rho1_K, doubted_K = self._errors(batch)
        x_K, w_K = weighed(seen_K, rho0_K, rho1_K, self.least_j)
        no_K = doubted_K & (seen_K == 0.0)
        x_K, w_K = np.where(no_K, 0.0, x_K), np.where(no_K, DOUBT, w_K)
        base_K = others(x_K, w_K, batch.group_K, batch.vote_K)
        loss_K = np.where(no_K, DOUBT, 1.0)
        if self.form == "posterior":
            x_K, base_K = self._posterior(batch, x_K, base_K, rho0_K, rho1_K)
        elif self.form == "forward":
            x_K, base_K = (
                np.where(np.isnan(x_K), np.nan, forward(seen_K, rho1_K)),
                np.zeros_like(x_K),
            )
        elif self.scale == "std":
            loss_K = loss_K * self._inverse_std(batch, x_K, w_K)
        silent_K = ~np.isnan(seen_K) & (np.isnan(x_K) | np.isnan(base_K) | (loss_K == 0.0))
        unit_R = batch.all_sampled_R
        return [
            outcome_term(
                batch,
                value_U=np.where(silent_K, 0.0, x_K),
                baseline="given",
                given_U=np.where(np.isnan(base_K), 0.0, base_K),
                scale="none",
                unit_R=np.where(np.append(silent_K, False)[unit_R], -1, unit_R),
                weight_U=batch.weight_K * loss_K,
            )
        ]

    def _errors(
        self, batch: Batch
    ) -> tuple[Float64[np.ndarray, " K"], Float64[np.ndarray, " K"], Bool[np.ndarray, " K"]]:
        """Returns rho0 and rho1 of who decided each outcome, NaN where too little is known of them;
        and where that is."""
        bar = 1.0 if self.pass_at is None else self.pass_at
        code_K = np.where(decided_K(batch), strata_K(batch), -1)
        known = rates_of(batch, self.rates, self.strata, bar)
        found = np.full((3, len(batch.ids)), np.nan)
        for code in np.unique(code_K).tolist():
            each = known[code]
            doubted = each.trust == "uncalibrated"
            rho = (np.nan, np.nan) if doubted else (each.rho0, each.rho1)
            found[:, code_K == code] = np.array([*rho, doubted])[:, None]
        return found[0], found[1], found[2] == 1.0

    def _posterior(
        self,
        batch: Batch,
        x_K: Float64[np.ndarray, " K"],
        base_K: Float64[np.ndarray, " K"],
        rho0_K: Float64[np.ndarray, " K"],
        rho1_K: Float64[np.ndarray, " K"],
    ) -> tuple[Float64[np.ndarray, " K"], Float64[np.ndarray, " K"]]:
        """Returns the chance of a pass after the verdict and before it.

        Before it is the corrected rate of the n others, in [1/(n+2), (n+1)/(n+2)]: n failures do
        not make a pass impossible.
        """
        seen_K = passes(batch, self.name, self.pass_at)
        counts_K = ~np.isnan(x_K) & (batch.vote_K == np.arange(x_K.size))
        n_G = np.bincount(batch.group_K[counts_K], minlength=batch.n_groups)
        n_K = n_G[batch.group_K] - ~np.isnan(x_K)
        prior_K = np.clip(base_K, 1.0 / (n_K + 2), (n_K + 1.0) / (n_K + 2))
        told_K = posterior(seen_K, prior_K, rho0_K, rho1_K)
        told_K = np.where(np.isnan(rho0_K) & ~np.isnan(x_K), 0.0, told_K)
        return np.where(np.isnan(x_K), np.nan, told_K), prior_K

    def _inverse_std(
        self, batch: Batch, x_K: Float64[np.ndarray, " K"], w_K: Float64[np.ndarray, " K"]
    ) -> Float64[np.ndarray, " K"]:
        """Returns 1 / sqrt(p (1 - p)) of each one's group; 0 where p is not between 0 and 1."""
        votes_K = (batch.vote_K == np.arange(x_K.size)) & ~np.isnan(x_K)
        group = batch.group_K[votes_K]
        sum_G = np.bincount(group, (w_K * x_K)[votes_K], batch.n_groups)
        weight_G = np.bincount(group, w_K[votes_K], batch.n_groups)
        p_G = sum_G / np.where(weight_G > 0, weight_G, np.nan)
        spread_G = np.nan_to_num(p_G * (1.0 - p_G))
        inside_G = spread_G > 0
        return np.where(inside_G, 1.0 / np.sqrt(np.where(inside_G, spread_G, 1.0)), 0.0)[
            batch.group_K
        ]

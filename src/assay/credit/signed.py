"""Passes and fails apart, compared with nobody: REINFORCE, its two halves and their mix.

All of them have the same expected gradient up to a factor, for they are REINFORCE with the
baselines 0, 1/2 and 1; they differ in variance and in what clipping and stale batches do to each
sign.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, outcome_term, require
from assay.credit.groups import passes
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class Reinforce(Method):
    """A = scale * (R - baseline): nobody is compared, so a lone trajectory has a signal too.

    Williams 1992. Defaults turn outcomes 0 and 1 into -1 and +1, the rewards of Zhu et al. 2025
    (arXiv:2506.01347); baseline 0 and scale 1 give the raw outcome. Outcomes need not be binary.
    """

    name: ClassVar[str] = "reinforce"
    source: ClassVar[str] = "Williams 1992, doi:10.1007/BF00992696"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    peers: ClassVar[str] = "nobody"
    scaling: ClassVar[str] = "constant"

    baseline: float = 0.5
    """Taken off every outcome, in its units."""
    scale: float = 2.0
    """Factor on what is left, above 0."""

    def __post_init__(self) -> None:
        require(self.scale > 0, f"scale must be above 0; got {self.scale:g}")

    def terms(self, batch: Batch) -> list[Term]:
        options = {"baseline": "given", "given_U": self.baseline, "weight": self.scale}
        return [outcome_term(batch, peer_U=None, scale="none", **options)]


@final
@dataclass(frozen=True, slots=True)
class Psr(Method):
    """A = 1 for a pass, 0 for a fail: positive sample reinforcement.

    Zhu et al. 2025, The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning,
    https://arxiv.org/abs/2506.01347. The released code also cuts the fails out of the batch, which
    changes the loss's denominator and the number of optimiser steps; we leave both alone.
    """

    name: ClassVar[str] = "psr"
    source: ClassVar[str] = "Zhu et al. 2025, arXiv:2506.01347"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    value: ClassVar[str] = "pass"
    peers: ClassVar[str] = "nobody"
    scaling: ClassVar[str] = "none"

    pass_at: float | None = None
    """An outcome at or above it is a pass. None: outcomes must be 0 or 1, or MethodError."""

    def terms(self, batch: Batch) -> list[Term]:
        value_K = passes(batch, self.name, self.pass_at)
        return [_flat(batch, "pass", value_U=value_K)]


@final
@dataclass(frozen=True, slots=True)
class Nsr(Method):
    """A = 0 for a pass, -1 for a fail: negative sample reinforcement.

    Zhu et al. 2025, https://arxiv.org/abs/2506.01347. Every trajectory of an all-fail group gets
    the full -1, as in the paper; ngrpo, ebpo and rl_zvp bound it.
    """

    name: ClassVar[str] = "nsr"
    source: ClassVar[str] = "Zhu et al. 2025, arXiv:2506.01347"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    value: ClassVar[str] = "pass - 1"
    peers: ClassVar[str] = "nobody"
    scaling: ClassVar[str] = "none"

    pass_at: float | None = None
    """An outcome at or above it is a pass. None: outcomes must be 0 or 1, or MethodError."""

    def terms(self, batch: Batch) -> list[Term]:
        value_K = passes(batch, self.name, self.pass_at)
        return [_flat(batch, "fail", value_U=value_K, baseline="given", given_U=1.0)]


@final
@dataclass(frozen=True, slots=True)
class WReinforce(Method):
    """A = lam for a pass, -1 for a fail; lam 1 is REINFORCE, lam 0 NSR.

    Zhu et al. 2025, https://arxiv.org/abs/2506.01347, eq. 9. The paper takes lam 0.1 for a strong
    prior (base pass@1 about 40 % and above); weaker ones need 0.3 to 1.
    """

    name: ClassVar[str] = "w_reinforce"
    source: ClassVar[str] = "Zhu et al. 2025, arXiv:2506.01347"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    value: ClassVar[str] = "pass; pass - 1"
    peers: ClassVar[str] = "nobody"
    scaling: ClassVar[str] = "none"

    lam: float = 0.1
    """Weight of a pass, at least 0."""
    pass_at: float | None = None
    """An outcome at or above it is a pass. None: outcomes must be 0 or 1, or MethodError."""

    def __post_init__(self) -> None:
        at_least_0(self, "lam")

    def terms(self, batch: Batch) -> list[Term]:
        value_K = passes(batch, self.name, self.pass_at)
        return [
            _flat(batch, "pass", value_U=value_K, weight=self.lam),
            _flat(batch, "fail", value_U=value_K, baseline="given", given_U=1.0),
        ]


def _flat(batch: Batch, name: str, **options: object) -> Term:
    choices: dict[str, object] = {"baseline": "none", **options}
    return outcome_term(batch, None, name, peer_U=None, scale="none", **choices)

"""Outcomes that nobody reached take part in the statistics: a signal for groups of one outcome."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.credit.base import Method, Reads, check_scaling, outcome_term, require
from assay.credit.groups import counts, passes, sums
from assay.errors import MethodError
from assay.kernels.constancy import CONSTANT
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class Ngrpo(Method):
    """A = (R - mean') / (std' + eps), where mean' and std' count one more member: a success.

    NGRPO 2025, Negative-enhanced GRPO, https://arxiv.org/abs/2509.18851. An all-fail group gets
    -1/sqrt(G+1) (ddof 1) or -1/sqrt(G) (ddof 0), an all-pass group 0. In mixed groups advantages
    sum to less than 0. The released code forgets the virtual success for a lone trajectory and
    hands it its raw outcome (`variant="repo"`); ours gets -0.707 for a lone fail. The paper's
    asymmetric clip (0.16 / 0.24) belongs to the loss.
    """

    name: ClassVar[str] = "ngrpo"
    source: ClassVar[str] = "NGRPO 2025, arXiv:2509.18851"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    peers: ClassVar[str] = "task group + a success"
    scaling: ClassVar[str] = "virtual mean, std"

    best: float = 1.0
    """Outcome of the virtual success; no outcome may exceed it."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation: 1 sample (released code), 0 population."""
    eps: float = 1e-6
    """Added to the deviation, in units of the outcome."""
    cap: float = float("inf")
    """Bound on |A|, above 0."""
    variant: Literal["paper", "repo"] = "paper"
    """What a lone trajectory is compared with: the virtual success, or nothing (raw outcome)."""

    def terms(self, batch: Batch) -> list[Term]:
        value_K = batch.value_K
        above = np.flatnonzero(value_K > self.best + CONSTANT * abs(self.best))
        if above.size:
            k = int(above[0])
            raise MethodError(
                f"{self.name} needs outcomes of at most {self.best:g}, its best, and group "
                f"{batch.groups[batch.group_K[k]]!r} has {value_K[k]:g}; raise best"
            )
        least = 1 if self.variant == "paper" else 2
        peer_V = np.flatnonzero(counts(batch, value_K) >= least)
        return [
            outcome_term(
                batch,
                self,
                baseline="virtual",
                virtual_value_V=np.full(peer_V.size, self.best),
                virtual_peer_V=peer_V,
                singleton="zero" if self.variant == "paper" else "raw",
            )
        ]


@final
@dataclass(frozen=True, slots=True)
class Avspo(Method):
    """A = (R - mean') / (std' + eps) in groups of one outcome, which get K virtual members.

        ACR = share of groups with one outcome;  K = max(1, min(G, ceil(G * ACR^power)))

    AVSPO 2026, Advantage Collapse Rate, https://arxiv.org/abs/2605.21125. Virtual members of an
    all-fail group sit at `anchor`, which cancels: A = -sqrt(K/G) whatever it is. Those of an
    all-pass group are spread evenly below 1, at j/(K+1), j = 1..K: the paper says "stratified" and
    no more. Mixed groups are GRPO's (ddof 0). |A| <= sqrt(G+K) always, by ddof 0. The paper adapts
    its trigger over training (0.5, rate 0.01); we take it as an option. A lone trajectory gets 0
    and is not in the ACR.
    """

    name: ClassVar[str] = "avspo"
    source: ClassVar[str] = "AVSPO 2026, arXiv:2605.21125"
    reads: ClassVar[Reads] = "outcomes"
    lengths: ClassVar[bool] = False
    value: ClassVar[str] = "pass"
    peers: ClassVar[str] = "task group + K virtual"
    scaling: ClassVar[str] = "virtual mean, std"

    acr: float | None = None
    """Share of groups with one outcome, in [0, 1]. None: measured on the batch."""
    trigger: float = 0.5
    """Nothing is added unless the ACR is above it, in [0, 1)."""
    anchor: float = 0.1
    """Outcome of the virtual members of an all-fail group, above 0."""
    power: float = 0.5
    """Exponent of the ACR in K, above 0."""
    eps: float = 1e-9
    """Added to the deviation, in units of the outcome; small, for the anchor to cancel."""
    pass_at: float | None = None
    """An outcome at or above it is a pass. None: outcomes must be 0 or 1, or MethodError."""

    def __post_init__(self) -> None:
        require(self.acr is None or 0 <= self.acr <= 1, f"acr must lie in [0, 1]; got {self.acr}")
        require(0 <= self.trigger < 1, f"trigger must lie in [0, 1); got {self.trigger:g}")
        require(self.anchor > 0, f"anchor must be above 0; got {self.anchor:g}")
        require(self.power > 0, f"power must be above 0; got {self.power:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        value_K = passes(batch, self.name, self.pass_at)
        values, peers = self._virtual(counts(batch, value_K), sums(batch, value_K))
        return [
            outcome_term(
                batch,
                self,
                value_U=value_K,
                baseline="virtual",
                virtual_value_V=values,
                virtual_peer_V=peers,
                ddof=0,
            )
        ]

    def _virtual(
        self, n_G: Int64[np.ndarray, " G"], passed_G: Float64[np.ndarray, " G"]
    ) -> tuple[Float64[np.ndarray, " V"], Int64[np.ndarray, " V"]]:
        """Returns the virtual members' outcomes and groups."""
        compared_G = n_G > 1
        collapsed_G = compared_G & ((passed_G == 0) | (passed_G == n_G))
        acr = self.acr
        if acr is None:
            acr = float(collapsed_G.sum()) / max(int(compared_G.sum()), 1)
        if acr <= self.trigger:
            return np.zeros(0), np.zeros(0, np.int64)
        at = np.flatnonzero(collapsed_G)
        # less a little: 8 * 0.25 ** 0.5 must not become 5 by round-off
        added = np.clip(np.ceil(n_G[at] * acr**self.power - 1e-9), 1, n_G[at]).astype(np.int64)
        peer_V = np.repeat(at, added)
        first = np.repeat(np.cumsum(added) - added, added)
        stratum_V = (np.arange(peer_V.size) - first + 1) / (np.repeat(added, added) + 1)
        return np.where(passed_G[peer_V] == 0, self.anchor, stratum_V), peer_V

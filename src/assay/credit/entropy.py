"""Groups of one outcome, shaped by how sure the policy was of each token."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.credit.base import Method, Reads, check_scaling, outcome_term, require
from assay.credit.facts import need
from assay.credit.groups import carried_N, counts, passes, sums
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class RlZvp(Method):
    """GRPO in mixed groups; +alpha * H_t where all pass, -alpha * (H_max - H_t) where all fail.

    RL-ZVP 2025, https://arxiv.org/abs/2509.21880. H_t is the entropy of the policy at token t, over
    the whole vocabulary, in nats, and H_max the largest of the same trajectory: of a failure the
    surest tokens are punished most, of a success the least sure rewarded most. Only sampled,
    trainable tokens enter H_max. Ours: H_max per step (`h_max="step"`), for one noisy turn sets the
    scale of a whole agent trajectory; a lone trajectory counts as all-pass or all-fail; a token
    without an entropy gets 0.
    """

    name: ClassVar[str] = "rl_zvp"
    source: ClassVar[str] = "RL-ZVP 2025, arXiv:2509.21880"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "pass; entropy"
    unit: ClassVar[str] = "trajectory; token"
    peers: ClassVar[str] = "task group; nobody"
    scaling: ClassVar[str] = "mean, std; H or H - H_max"
    needs: ClassVar[tuple[str, ...]] = ("entropies",)

    alpha: float = 0.1
    """Weight of the entropy term, above 0; 0.05 was weak and 0.3 unstable in the paper."""
    h_max: Literal["trajectory", "step"] = "trajectory"
    """Over which tokens H_max is taken."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation in mixed groups."""
    eps: float = 1e-6
    """Added to that deviation, in units of the outcome."""
    pass_at: float | None = None
    """An outcome at or above it is a pass. None: outcomes must be 0 or 1, or MethodError."""

    def __post_init__(self) -> None:
        require(self.alpha > 0, f"alpha must be above 0; got {self.alpha:g}")
        check_scaling(self)

    def terms(self, batch: Batch) -> list[Term]:
        value_K = passes(batch, self.name, self.pass_at)
        n_G, passed_G = counts(batch, value_K), sums(batch, value_K)
        one_outcome_G = (n_G > 0) & ((passed_G == 0) | (passed_G == n_G))
        shaped_K = one_outcome_G[batch.group_K] & ~np.isnan(value_K)
        traj_N = np.repeat(batch.traj_R, batch.length_R)
        entropy_N = entropies(batch, self.name)
        owner_R = batch.traj_R if self.h_max == "trajectory" else batch.step_R
        gap_N = entropy_N - highest(entropy_N, np.repeat(owner_R, batch.length_R))
        shaped_N = shaped_K[traj_N] & ~np.isnan(entropy_N)
        passed_N = (value_K == 1.0)[traj_N]
        value_N = np.where(shaped_N, np.where(passed_N, entropy_N, gap_N), 0.0)
        return [
            outcome_term(batch, self, value_U=value_K),
            Term(
                name="entropy",
                value_U=value_N,
                unit_N=np.where(shaped_N, np.arange(traj_N.size), -1),
                weight=self.alpha,
                weight_U=batch.weight_K[traj_N],
            ),
        ]


def highest(
    value_N: Float64[np.ndarray, " N"], owner_N: Int64[np.ndarray, " N"]
) -> Float64[np.ndarray, " N"]:
    """Returns the largest value of each token's owner; NaN where the token has none."""
    known_N = ~np.isnan(value_N)
    high = np.full(int(owner_N.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(high, owner_N[known_N], value_N[known_N])
    return np.where(known_N, np.append(high, np.nan)[owner_N], np.nan)


def entropies(batch: Batch, method: str) -> Float64[np.ndarray, " N"]:
    """Returns entropies of the tokens that are trained, NaN elsewhere; raises if one is below 0."""
    need(batch, "entropies", method)
    entropy_N = np.where(carried_N(batch), batch.entropy_N, np.nan)  # pyright: ignore[reportArgumentType, reportCallIssue]
    least = float(np.nanmin(entropy_N, initial=np.inf))
    require(least >= 0, f"{method}: an entropy is {least:g} nats; it cannot be below 0")
    return entropy_N

"""Advantages that a whole batch scales: centred and divided over all of its tokens at once.

Axes: K trajectories, J named rewards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, outcome_term
from assay.credit.groups import rollout_lengths_K
from assay.credit.outcome import Singleton
from assay.errors import MethodError, hint
from assay.kernels.term import Term
from assay.kernels.units import credited

Over = Literal["tokens", "trajectories"]


@final
@dataclass(frozen=True, slots=True)
class ReinforcePlusPlus(Method):
    """A = (R - mean) / sqrt(var + eps), over all tokens that the policy wrote in the batch.

    Hu et al. 2025, REINFORCE++, https://arxiv.org/abs/2501.03262. Its global normalisation counts
    tokens, and so does verl's: a long trajectory counts more in mean and variance. The paper takes
    a KL off the reward; here it belongs to the loss. It leaves eps and ddof open: we add eps under
    the root and take one token off, as verl does, whose discount `gamma` is 1 unless it is set; of
    ours it is. Nobody is compared within a task, so one attempt a task is enough.
    """

    name: ClassVar[str] = "reinforce_plus_plus"
    source: ClassVar[str] = "Hu et al. 2025, arXiv:2501.03262"
    reads: ClassVar[Reads] = "outcomes"
    peers: ClassVar[str] = "batch, by tokens"

    eps: float = 1e-8
    """Added to the variance, in units of the outcome squared."""

    def terms(self, batch: Batch) -> list[Term]:
        return [_whitened(batch, batch.value_K, self.eps)]


@final
@dataclass(frozen=True, slots=True)
class ReinforcePlusPlusBaseline(Method):
    """A = (D - mean) / sqrt(var + eps) over all tokens of the batch, D = R - mean of the group.

    Hu et al. 2025, REINFORCE++ with baseline, https://arxiv.org/abs/2501.03262. Dividing by one
    deviation for all keeps what dr_grpo says of groups, and its step does not depend on the range
    of the outcome; the mean over tokens is 0 only where outcomes do not go with length, and what is
    left of it shifts every token, of dead groups too. A lone trajectory's D is 0, in verl its raw
    reward (`singleton="raw"`).
    """

    name: ClassVar[str] = "reinforce_plus_plus_baseline"
    source: ClassVar[str] = "Hu et al. 2025, arXiv:2501.03262"
    reads: ClassVar[Reads] = "outcomes"
    value: ClassVar[str] = "outcome less its group's mean"
    peers: ClassVar[str] = "batch, by tokens"

    singleton: Singleton = "zero"
    """What a lone trajectory enters with: 0, or its raw outcome (verl)."""
    eps: float = 1e-8
    """Added to the variance, in units of the outcome squared."""

    def terms(self, batch: Batch) -> list[Term]:
        first = outcome_term(batch, scale="none", singleton=self.singleton)
        return [_whitened(batch, credited(first).scaled_U, self.eps)]


@final
@dataclass(frozen=True, slots=True)
class Gdpo(Method):
    """A = (D - mean) / sqrt(var + 1e-8) over the batch, D = sum_j w_j z_j: GRPO of each reward.

        z_j = (r_j - mean) / (std + eps)        within the group

    Liu et al. 2026, Group reward-Decoupled Normalization, https://arxiv.org/abs/2601.05242. A sum
    of rewards that is normalised at once makes different mixes look alike, and lets the reward that
    varies most speak for all. The paper means over trajectories, verl over tokens (`over`). A
    reward that a trajectory lacks says nothing of it. What nobody scored, or a gate dropped, has no
    part in any.
    """

    name: ClassVar[str] = "gdpo"
    source: ClassVar[str] = "Liu et al. 2026, arXiv:2601.05242"
    reads: ClassVar[Reads] = "outcomes"
    value: ClassVar[str] = "named rewards, each scaled in its group"
    peers: ClassVar[str] = "batch"
    needs: ClassVar[tuple[str, ...]] = ("named rewards",)

    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """Weight of each reward by its name. Empty: every name of the set, each by 1."""
    over: Over = "trajectories"
    """What the last mean and variance count: each rollout once, or (verl) each of its tokens."""
    scale: Literal["std", "none"] = "std"
    """Divide each reward by its deviation in the group, or not."""
    ddof: int = 1
    """Degrees of freedom taken off that deviation: 1 sample, 0 population."""
    eps: float = 1e-6
    """Added to that deviation, in units of the reward."""
    singleton: Singleton = "zero"
    """What a lone trajectory enters with: 0, or its raw rewards (verl)."""

    def terms(self, batch: Batch) -> list[Term]:
        weights = self.weights or dict.fromkeys(batch.reward_names, 1.0)
        part_KJ = np.stack(
            [weight * self._scaled_K(batch, name) for name, weight in weights.items()], 1
        )
        sum_K = np.where(np.isnan(part_KJ), 0.0, part_KJ).sum(1)
        value_K = np.where(np.isnan(part_KJ).all(1), np.nan, sum_K)
        return [_whitened(batch, value_K, 1e-8, self.over)]

    def _scaled_K(self, batch: Batch, name: str) -> Float64[np.ndarray, " K"]:
        """Returns what a reward says of each trajectory; NaN: nothing."""
        if name not in batch.reward_names:
            raise MethodError(
                f"{self.name}: no outcome has a part {name!r}.{hint(name, batch.reward_names)} "
                f"Known: {', '.join(batch.reward_names)}"
            )
        reward_K = batch.reward_KJ[batch.vote_K, batch.reward_names.index(name)]
        value_K = np.where(np.isnan(batch.value_K), np.nan, reward_K)
        return credited(outcome_term(batch, self, value_U=value_K)).scaled_U


def _whitened(
    batch: Batch, value_K: Float64[np.ndarray, " K"], eps: float, over: Over = "tokens"
) -> Term:
    """Returns the term of values that are centred and scaled over the whole batch."""
    mass_K = rollout_lengths_K(batch) if over == "tokens" else None
    whole = {"peer_U": None, "scale": "root", "eps": eps, "mass_U": mass_K}
    return outcome_term(batch, value_U=value_K, **whole)

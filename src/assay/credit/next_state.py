"""What came after a step as a label of it: facts where there are some, else votes of judges."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.credit.base import Method, Reads, check_scaling, outcome_term
from assay.credit.groups import passes, same, turns
from assay.credit.labels import SOURCES, baseline_of, labels, paid_S
from assay.kernels.term import Term


@final
@dataclass(frozen=True, slots=True)
class NextState(Method):
    """A = label - b: each step by what came after it, +1 progress, -1 none; b the source's mean.

    OpenClaw-RL 2026, https://arxiv.org/abs/2603.10165. A label is a fact of the state where the
    record has one (`evidence.state` of its calls: did one of them leave the path to success?), else
    what most votes say, which are its scores `next_state` and `next_state:JUDGE`, each 1, -1 or 0.
    A step without a label, with a tie, or that most call neither, is not carried: the paper writes
    0 for all three and masks them too. b is ours: a moving mean of labels of the same source
    ("state" or "votes") and kind of step (with calls or without), of the batches before this one
    (`Batch.statistics`), 0 at first. Outcomes are not read, so that turns without one are trained.
    """

    name: ClassVar[str] = "next_state"
    source: ClassVar[str] = "OpenClaw-RL 2026, arXiv:2603.10165"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "label by the next state"
    unit: ClassVar[str] = "step"
    peers: ClassVar[str] = "nobody"
    carried: ClassVar[str] = "step"
    scaling: ClassVar[str] = "moving mean"
    needs: ClassVar[tuple[str, ...]] = ("labels by the next state",)

    variant: Literal["label", "step"] = "label"
    """"label": above. "step", the paper's for agents with outcomes: the outcome as +-1 plus the
    mean of the votes, standardised over the same turn of the group (population deviation)."""
    facts: bool = True
    """Facts of the state before votes. False: votes alone."""
    baseline: bool = True
    """Take b off, under "label". False: the label as it is, as the paper has it."""
    singleton: Literal["zero", "raw"] = "zero"
    """What a turn that one trajectory alone reached gets under "step": 0, or (the paper) its
    reward, never centred, which pushes the late steps of long trajectories one way."""
    eps: float = 1e-6
    """Added to the deviation under "step", in units of the reward."""
    pass_at: float | None = None
    """Under "step", an outcome at or above it is +1. None: outcomes must be 0 or 1."""

    def __post_init__(self) -> None:
        check_scaling(self)

    @property
    def scored(self) -> bool:
        return self.variant == "step"

    def terms(self, batch: Batch) -> list[Term]:
        if self.variant == "step":
            passed_K = passes(batch, self.name, self.pass_at)
            value_S = 2.0 * passed_K[batch.traj_S] - 1.0 + paid_S(batch, facts=self.facts)
            peer_S = same(batch.group_K[batch.traj_S], turns(batch))
            options = {"peer_U": peer_S, "ddof": 0, "singleton": self.singleton, "eps": self.eps}
            return [self._term(batch, value_S, **options)]
        label_S, source_S = labels(batch, facts=self.facts)
        base_Q = [batch.statistics.get(baseline_of(source), 0.0) for source in SOURCES]
        given_S = np.array([*base_Q, 0.0])[source_S] if self.baseline else 0.0
        options = {"baseline": "given", "scale": "none", "given_U": given_S}
        return [self._term(batch, label_S, peer_U=None, **options)]

    def _term(self, batch: Batch, value_S: Float64[np.ndarray, " S"], **options: object) -> Term:
        """Returns the term of some value of steps; those without one are not carried."""
        unit_R, silent_S = batch.steps_R, np.isnan(value_S)
        return outcome_term(
            batch,
            None,
            "next state",
            value_U=np.where(batch.kept_K[batch.traj_S], value_S, np.nan),
            vote_U=None,
            unit_R=np.where(np.append(silent_S, False)[unit_R], -1, unit_R),
            weight_U=batch.weight_K[batch.traj_S],
            **options,
        )

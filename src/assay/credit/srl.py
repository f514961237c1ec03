"""Steps compared by how like an expert's they are, with others that stand for the same one."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.credit.base import Method, Reads, at_least_0, check_scaling, outcome_term
from assay.credit.groups import paid_S, same, totals
from assay.kernels.term import Term
from assay.records import Trajectory
from assay.verify.similarity import PLACE, SCORE, with_similarity


@final
@dataclass(frozen=True, slots=True)
class Srl(Method):
    """A = z(r) over the steps of the group that stand for the same step of an expert.

        r = 2 M / T in [0, 1], or -1 in a wrong format,   z(x) = (x - mean) / (std + eps)

    Deng et al. 2025, Supervised Reinforcement Learning, https://arxiv.org/abs/2510.25992; r is
    `verify.similarity`. The paper compares G continuations, by one step, of the same first steps of
    an expert: that is [start] kind = "srl" of a training run. Steps of whole trajectories, which
    this method compares too, stood in different states; they are peers where the alignment has
    them stand for the same step. Peers whose population deviation is at most `filter` get 0: the
    paper drops such an instance and draws another. A step that stands for no step of the expert's
    gets 0, a step that calls nothing is not carried. Outcomes are not read.
    """

    name: ClassVar[str] = "srl"
    source: ClassVar[str] = "Deng et al. 2025, arXiv:2510.25992"
    reads: ClassVar[Reads] = "groups"
    value: ClassVar[str] = "similarity to the expert's step"
    unit: ClassVar[str] = "step"
    peers: ClassVar[str] = "same step of the expert"
    carried: ClassVar[str] = "step"
    needs: ClassVar[tuple[str, ...]] = ("similarity to an expert",)

    filter: float = 0.01
    """Peers whose similarities deviate (population) by no more get 0; at least 0."""
    skip: float = 0.1
    """What a step without a counterpart costs where own steps are aligned to the expert's, in units
    of similarity, at least 0; see `verify.similarity.aligned`."""
    ddof: int = 1
    """Degrees of freedom taken off the deviation."""
    eps: float = 1e-6
    """Added to the deviation, in units of similarity."""

    def __post_init__(self) -> None:
        at_least_0(self, "filter", "skip")
        check_scaling(self)

    def prepared(self, record: Trajectory) -> Trajectory:
        return with_similarity(record, skip=self.skip)

    def terms(self, batch: Batch) -> list[Term]:
        r_S, place_S = paid_S(batch, SCORE, self.name), np.full(batch.traj_S.size, np.nan)
        if PLACE in batch.score_names:
            place_S = paid_S(batch, PLACE, self.name)
        value_S = np.where(batch.own_S & batch.kept_K[batch.traj_S], r_S, np.nan)
        known_S = ~np.isnan(place_S) & ~np.isnan(value_S)
        code_S = np.where(known_S, np.nan_to_num(place_S), -1).astype(np.int64)
        peer_S = same(batch.group_K[batch.traj_S], code_S)
        judged_K = np.bincount(batch.traj_S, ~np.isnan(value_S), len(batch.ids)) > 0
        silent_S = np.isnan(value_S) & judged_K[batch.traj_S]
        unit_R = batch.steps_R
        return [
            outcome_term(
                batch,
                self,
                "similarity",
                value_U=value_S,
                peer_U=_telling(value_S, peer_S, self.filter),
                vote_U=None,
                unit_R=np.where(np.append(silent_S, False)[unit_R], -1, unit_R),
                weight_U=batch.weight_K[batch.traj_S],
            )
        ]


def _telling(
    value_S: Float64[np.ndarray, " S"], peer_S: Int64[np.ndarray, " S"], least: float
) -> Int64[np.ndarray, " S"]:
    """Returns the peers, -1 where their population deviation is no more than `least`."""
    at = np.flatnonzero(peer_S >= 0)
    n, peer, value = int(peer_S.max(initial=-1)) + 1, peer_S[at], value_S[at]
    count_P = np.maximum(np.bincount(peer, minlength=n), 1)
    mean_P = totals(value, peer, n) / count_P
    deviation_P = np.sqrt(totals((value - mean_P[peer]) ** 2, peer, n) / count_P)
    return np.where(np.append(deviation_P <= least, False)[peer_S], -1, peer_S)

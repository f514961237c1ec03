"""Other tasks in the place of groups that cannot be compared, with what the thrown ones cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from assay.kernels.groups import fates
from assay.records import Trajectory

Again = Callable[[Sequence[int], int], Sequence[list[Trajectory]]]
"""(places, round from 1) -> a group of another task for each place"""


@final
@dataclass(frozen=True, slots=True)
class Resampled:
    """The groups of a batch, place by place, and what was sampled for them and thrown away."""

    groups: tuple[list[Trajectory], ...]
    thrown: tuple[Trajectory, ...]


def resampled(groups: Sequence[list[Trajectory]], rounds: int, again: Again) -> Resampled:
    """Returns the groups, each dead one replaced by a group of another task, up to `rounds` times.

    That is DAPO's dynamic sampling (Yu et al. 2025, https://arxiv.org/abs/2503.14476, section 3.2).
    Unlike there it ends after so many rounds, and a place whose groups all died keeps its last. A
    group is dead where no outcome differs from another (`assay.kernels.groups.fates`), before any
    gate. What is thrown away was sampled and counts towards every budget of tokens.

    Args:
        groups: of a batch, place by place.
        rounds: 0: nothing is replaced.
        again: samples groups of other tasks for some places.
    """
    kept, thrown = [*groups], list[Trajectory]()
    for number in range(1, rounds + 1):
        places = dead(kept)
        if not places:
            break
        for at, fresh in zip(places, again(places, number), strict=True):
            thrown += kept[at]
            kept[at] = fresh
    return Resampled(tuple(kept), tuple(thrown))


def dead(groups: Sequence[Sequence[Trajectory]]) -> list[int]:
    """Returns the places of groups in which no outcome differs from another."""
    found = [np.nan if each.outcome is None else each.outcome for one in groups for each in one]
    group_K = np.repeat(np.arange(len(groups)), [len(one) for one in groups])
    _, dead_G = fates(np.array(found, float), group_K, n_groups=len(groups))
    return np.flatnonzero(dead_G).tolist()

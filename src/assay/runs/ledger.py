"""Which prompt comes when, and what was spent on it: every prompt counted exactly once.

The order is a function of the seed, so a run that was killed needs no cursor: batch b holds the
prompts b P to (b + 1) P - 1 of one endless order, epoch after epoch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np

from assay.errors import DataError
from assay.records import Trajectory

_SPENT: Final = ("tokens", "calls", "env_steps", "scoring_forwards")
COUNTED: Final[tuple[str, ...]] = ("prompts", "trajectories", *_SPENT)


@final
@dataclass(frozen=True, slots=True)
class Order:
    """The order of a run's prompts."""

    seed: int
    pool: int
    """Tasks of an epoch."""
    first: int = 0
    """Seed of the first task."""
    _epochs: dict[int, list[int]] = field(default_factory=dict[int, list[int]], repr=False)

    def task(self, ordinal: int) -> int:
        """Returns the task's seed at a place in the order, from 0."""
        epoch, at = divmod(ordinal, self.pool)
        if epoch not in self._epochs:
            self._epochs.clear()
            rng = np.random.default_rng([self.seed, epoch])
            self._epochs[epoch] = rng.permutation(self.pool).tolist()
        return self.first + self._epochs[epoch][at]


def row(
    step: int,
    first: int,
    records: Iterable[Trajectory],
    before: Mapping[str, int],
    thrown: Sequence[Trajectory] = (),
) -> dict[str, Any]:
    """Returns the ledger's row of a generated batch: its prompts, what it cost, what all cost.

    Args:
        step: optimiser step that trains on it first.
        first: place of its first prompt in the order.
        records: its trajectories; their groups are numbered by place.
        before: totals so far, from the row before.
        thrown: trajectories that were sampled for it and are not trained on. They cost what the
            others cost; what is theirs is said again under "thrown".
    """
    places: dict[int, str] = {}
    kept = [*records]
    for record in kept:
        places[int(record.group.partition("/")[0])] = record.task
    expected = list(range(first, first + len(places)))
    if sorted(places) != expected:
        raise DataError(f"ledger: step {step} holds prompts {sorted(places)}; expected {expected}")
    more = {"thrown": _spent(thrown)} if thrown else {}
    tasks = [places[place] for place in expected]
    return {**entry(step, first, tasks, _spent([*kept, *thrown]), before), **more}


def entry(
    step: int, first: int, tasks: Sequence[str], cost: Mapping[str, int], before: Mapping[str, int]
) -> dict[str, Any]:
    """Returns the ledger's row of tasks that cost this; what is not named cost nothing.

    Args:
        step: optimiser step that trains on them first.
        first: place of the first of them in the order.
        tasks: their names.
        cost: by the names of `COUNTED`.
        before: totals so far, from the row before.
    """
    spent = {**dict.fromkeys(COUNTED, 0), **cost, "prompts": len(tasks)}
    total = {name: before.get(name, 0) + spent[name] for name in COUNTED}
    return {"step": step, "first": first, "tasks": [*tasks], **spent, "total": total}


def _spent(records: Sequence[Trajectory]) -> dict[str, int]:
    """Returns what trajectories cost, and how many there are."""
    spent = {name: sum(getattr(each.ledger, name) or 0 for each in records) for name in _SPENT}
    return {"trajectories": len(records), **spent}


def used_up(last: Mapping[str, Any], budget: int) -> bool:
    """Returns whether the last batch of a ledger ends a budget of tokens: the total is nearer to it
    than it would be after one more batch like this.

    Args:
        last: the batch's row; empty: nothing was sampled yet.
        budget: tokens. 0: there is none.
    """
    return bool(budget and last) and last["total"]["tokens"] + last["tokens"] / 2 >= budget


def check(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Returns the totals of a ledger, after checking that no prompt is lost or counted twice.

    Raises:
        DataError: a batch does not begin where the one before ended, or a total does not add up.
    """
    place = 0
    total: dict[str, int] = dict.fromkeys(COUNTED, 0)
    for each in rows:
        if each["first"] != place:
            raise DataError(
                f"ledger: step {each['step']} begins at prompt {each['first']}; expected {place}: "
                "a prompt was lost or repeated"
            )
        place += each["prompts"]
        # rows of an earlier version count no scoring forwards: there were none
        total = {name: total[name] + int(each.get(name, 0)) for name in COUNTED}
        if {**dict.fromkeys(COUNTED, 0), **each["total"]} != total:
            raise DataError(f"ledger: step {each['step']}: totals do not add up")
    return total

"""Advantages per model step: what logs without token ids get, and what people read."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.batch.blocks import Block
from assay.batch.mapped import let_go, room
from assay.kernels.advantages import Advantages
from assay.records import Decision

SCHEMA = "assay.credit/1"
_AT_ONCE = 1_000
"""Trajectories whose numbers become lists together."""


@final
class StepCredit:
    """Means over the tokens (or characters) of each model step that a method carries.

        A_s = sum_{n in s, carried} A_n / |{n in s, carried}|

    Each is computed when it is asked for.
    """

    def __init__(self, batch: Batch, advantages: Advantages) -> None:
        """Finds what each step carries."""
        self._advantages, self._n = advantages, batch.traj_S.size
        self._per_token = advantages.total.size != batch.length_R.size
        step, size = batch.step_R, batch.length_R
        if self._per_token:
            step, size = np.repeat(step, size), np.ones(int(size.sum()), np.int64)
        self._counted = advantages.carried & (step >= 0)
        self._at, self._weight = step[self._counted], size[self._counted].astype(float)
        # `at` ascends: where each step starts
        self._first = np.flatnonzero(np.diff(self._at, prepend=-1))
        self._weight_S = np.bincount(self._at, self._weight, self._n)

    def _mean(self, part: Float64[np.ndarray, " _"]) -> Float64[np.ndarray, " S"]:
        values = (self._advantages.on_tokens(part) if self._per_token else part)[self._counted]
        start_S = np.zeros(self._n)
        start_S[self._at[self._first]] = values[self._first]
        # equal values have exactly that value as their mean
        off_S = np.bincount(self._at, (values - start_S[self._at]) * self._weight, self._n)
        return start_S + off_S / np.where(self._weight_S > 0, self._weight_S, np.nan)

    @property
    def carried_S(self) -> Int64[np.ndarray, " S"]:
        """Tokens (or characters) of each step that are carried."""
        return self._weight_S.astype(np.int64)

    @cached_property
    def advantage_S(self) -> Float64[np.ndarray, " S"]:
        """NaN: unscored, or nothing of the step is carried."""
        return self._mean(self._advantages.total)

    @cached_property
    def magnitude_S(self) -> Float64[np.ndarray, " S"]:
        """Mean of the absolute advantage: not 0 where parts of a step cancel."""
        return self._mean(np.abs(self._advantages.total))

    @property
    def terms(self) -> Mapping[str, Float64[np.ndarray, " S"]]:
        """Parts of `advantage_S` by term; where scored, they add up to it."""
        return {name: self._mean(part) for name, part in self._advantages.parts.items()}

    def columns(self) -> dict[str, np.ndarray]:
        """Returns what annotations hold, by name."""
        terms = {f"terms.{name}": values for name, values in self.terms.items()}
        return {"step_advantage": self.advantage_S, "carried": self.carried_S, **terms}


@final
class KeptSteps:
    """The columns of a method's `StepCredit` of every block, together and in files."""

    def __init__(self, batch: Batch) -> None:
        """Begins without any."""
        self._n = batch.traj_S.size
        self._columns: dict[str, np.ndarray] = {}

    def add(self, block: Block, steps: StepCredit) -> None:
        """Takes the steps of a block."""
        for name, values in steps.columns().items():
            if name not in self._columns:
                self._columns[name] = room(self._n, values.dtype)
            self._columns[name][block.S] = values

    def columns(self) -> dict[str, np.ndarray]:
        """Returns what annotations hold, by name."""
        return self._columns


def step_credit(batch: Batch, advantages: Advantages) -> StepCredit:
    """Returns the advantage of each model step, averaged over what it carries."""
    return StepCredit(batch, advantages)


def annotations(
    batch: Batch, decisions: Sequence[Decision], method: str, credited: StepCredit | KeptSteps
) -> Iterator[dict[str, Any]]:
    """Yields the credit annotation of each trajectory, schema "assay.credit/1"."""
    start_K = np.searchsorted(batch.traj_S, np.arange(len(batch.ids) + 1))
    columns = credited.columns()
    for low in range(0, len(decisions), _AT_ONCE):  # a list takes four times what its array does
        start = start_K[low : low + _AT_ONCE + 1]
        at = (start - start[0]).tolist()
        lists = {name: _listed(values[start[0] : start[-1]]) for name, values in columns.items()}
        for n, decision in enumerate(decisions[low : low + _AT_ONCE]):
            k = low + n
            mine = {name: values[at[n] : at[n + 1]] for name, values in lists.items()}
            yield {
                "schema": SCHEMA,
                "id": batch.ids[k],
                "group": batch.groups[batch.group_K[k]],
                "method": method,
                "keep": decision.verdict != "drop",
                "reason": decision.reason,
                "step_advantage": mine.pop("step_advantage"),
                "carried": mine.pop("carried"),
                "terms": {name.removeprefix("terms."): part for name, part in mine.items()},
            }
        let_go()


def _listed(values: np.ndarray) -> list[Any]:
    """Returns a list, with None for NaN."""
    return values.tolist() if values.dtype.kind == "i" else nullable(values)


def nullable(values: Float64[np.ndarray, " _"]) -> list[float | None]:
    """Returns a list with None for NaN: what JSON can hold."""
    return [None if value != value else value for value in values.tolist()]

"""Advantages per model step: what logs without token ids get, and what people read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.batch import Batch
from assay.kernels.advantages import Advantages
from assay.records import Decision

SCHEMA = "assay.credit/1"


@final
@dataclass(frozen=True, slots=True)
class StepCredit:
    """Means over the tokens (or characters) of each model step that the method carries."""

    advantage_S: Float64[np.ndarray, " S"]
    """NaN: unscored, or nothing of the step is carried."""
    magnitude_S: Float64[np.ndarray, " S"]
    """Mean of the absolute advantage: not 0 where parts of a step cancel."""
    carried_S: Int64[np.ndarray, " S"]
    terms: Mapping[str, Float64[np.ndarray, " S"]]
    """Parts of `advantage_S` by term; where scored, they add up to it."""


def step_credit(batch: Batch, advantages: Advantages) -> StepCredit:
    """Returns the advantage of each model step, averaged over what it carries.

    A_s = sum_{n in s, carried} A_n / |{n in s, carried}|
    """
    n_steps = batch.traj_S.size
    per_token = advantages.total.size != batch.length_R.size
    step = np.repeat(batch.step_R, batch.length_R) if per_token else batch.step_R
    size = np.ones(step.size, np.int64) if per_token else batch.length_R
    counted = advantages.carried & (step >= 0)
    at, weight = step[counted], size[counted].astype(float)
    carried_S = np.bincount(at, weight, n_steps).astype(np.int64)
    divisor_S = np.where(carried_S > 0, carried_S, np.nan)

    first = np.flatnonzero(np.diff(at, prepend=-1))  # `at` ascends: where each step starts

    def mean(part: Float64[np.ndarray, " _"]) -> Float64[np.ndarray, " S"]:
        values = (advantages.on_tokens(part) if per_token else part)[counted]
        start_S = np.zeros(n_steps)
        start_S[at[first]] = values[first]  # equal values have exactly that value as their mean
        return start_S + np.bincount(at, (values - start_S[at]) * weight, n_steps) / divisor_S

    terms = {name: mean(part) for name, part in advantages.parts.items()}
    return StepCredit(mean(advantages.total), mean(np.abs(advantages.total)), carried_S, terms)


def annotations(
    batch: Batch, decisions: Sequence[Decision], method: str, credited: StepCredit
) -> Iterator[dict[str, Any]]:
    """Yields the credit annotation of each trajectory, schema "assay.credit/1"."""
    start_K = np.searchsorted(batch.traj_S, np.arange(len(batch.ids) + 1))
    advantage, carried = nullable(credited.advantage_S), credited.carried_S.tolist()
    terms = {name: nullable(values) for name, values in credited.terms.items()}
    for k, decision in enumerate(decisions):
        of = slice(int(start_K[k]), int(start_K[k + 1]))
        yield {
            "schema": SCHEMA,
            "id": batch.ids[k],
            "group": batch.groups[batch.group_K[k]],
            "method": method,
            "keep": decision.verdict != "drop",
            "reason": decision.reason,
            "step_advantage": advantage[of],
            "carried": carried[of],
            "terms": {name: values[of] for name, values in terms.items()},
        }


def nullable(values: Float64[np.ndarray, " _"]) -> list[float | None]:
    """Returns a list with None for NaN: what JSON can hold."""
    return [None if value != value else value for value in values.tolist()]

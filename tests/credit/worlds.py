"""Small batches for the tests of methods: said in outcomes and calls, not in arrays."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from assay.batch import Batch
from assay.records import Call, CallEvidence, ModelStep, Step, ToolStep, Trajectory

NAN = float("nan")


def one(
    outcome: float | None,
    *,
    group: str = "g",
    steps: Sequence[Step] | None = None,
    **fields: Any,
) -> Trajectory:
    """One trajectory; without steps, one step of two sampled tokens."""
    steps = (ModelStep(text="ab", token_ids=(1, 2)),) if steps is None else tuple(steps)
    fields = {"id": "", "task": group, **fields}
    return Trajectory(group=group, outcome=outcome, steps=steps, **fields)


def batch_of(trajectories: Iterable[Trajectory], **options: Any) -> Batch:
    """A batch of them, with ids k0, k1 ... where they have none."""
    import msgspec

    named = [
        msgspec.structs.replace(t, id=f"k{k}") if t.id == "" else t
        for k, t in enumerate(trajectories)
    ]
    return Batch.of(named, **options)


def group(outcomes: Iterable[float | None], **fields: Any) -> Batch:
    """One group of one-step trajectories with these outcomes."""
    return batch_of(one(outcome, **fields) for outcome in outcomes)


def groups(**outcomes: Iterable[float | None]) -> Batch:
    """Several groups of one-step trajectories."""
    return batch_of(one(o, group=name) for name, values in outcomes.items() for o in values)


def turn(
    *ran: bool | None,
    text: str = "t",
    tokens: int = 1,
    call_tokens: int = 1,
    expert: Sequence[bool | None] | None = None,
    **fields: Any,
) -> ModelStep:
    """A model step of `tokens` text tokens, then one call per `ran`, each of `call_tokens`."""
    calls = []
    for i, each in enumerate(ran):
        start = tokens + i * call_tokens
        judged = None if expert is None else expert[i]
        calls.append(
            Call(
                name="f",
                arguments=f'{{"i": {i}}}',
                start=start,
                end=start + call_tokens,
                evidence=CallEvidence(ran=each, expert=judged),
            )
        )
    ids = tuple(range(tokens + len(ran) * call_tokens))
    return ModelStep(text=text, token_ids=ids, calls=tuple(calls), **fields)


def answer(text: str = "ok", **fields: Any) -> ToolStep:
    """A tool's answer of one token, which the policy did not sample."""
    return ToolStep(text=text, token_ids=(0,), **fields)


def per_trajectory(batch: Batch, advantages: Any) -> list[float]:
    """The advantage of each trajectory, which all its sampled tokens must share."""
    token_N = advantages.advantage_N
    traj_N = np.repeat(batch.traj_R, batch.length_R)
    sampled_N = np.repeat(batch.step_R >= 0, batch.length_R)
    found = []
    for k in range(len(batch.ids)):
        values = token_N[sampled_N & (traj_N == k)]
        assert values.size
        np.testing.assert_array_equal(values, values[0])
        found.append(float(values[0]))
    return found

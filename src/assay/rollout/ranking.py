"""What policy and teacher say of the likeliest tokens at each place, and not of the sampled one
alone: what a distillation over top K is held to.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.policy.scoring import Table
from assay.records import ModelStep, Trajectory
from assay.rollout.teaching import Blocks, hinted, looked, question

Told = tuple[Float64[np.ndarray, "N _"], Int64[np.ndarray, "N _"]]


@final
@dataclass(frozen=True, slots=True)
class Ranked:
    """V tokens at each of the N tokens of a step, those that the policy finds likeliest there."""

    record: int
    """Index of its trajectory."""
    step: int
    """Index of the step in it."""
    token_NV: Int64[np.ndarray, "N V"]
    own_NV: Float64[np.ndarray, "N V"]
    """log p of the policy, nats."""
    told_NV: Float64[np.ndarray, "N V"]
    """log p of the teacher, told the hints of the step, nats."""


def ranked(
    records: Sequence[Trajectory],
    model: Any,
    blocks: Blocks,
    teaching: Callable[[], AbstractContextManager[None]],
    *,
    k: int,
    temperature: float = 1.0,
) -> list[Ranked]:
    """Returns, for each step with hints, what both say of the policy's top k tokens, in order.

    Args:
        records: with token ids of every step.
        model: the policy.
        blocks: how hints are told.
        teaching: within it the model is the teacher.
        k: tokens at each place; all, where the vocabulary has fewer.
        temperature: logits are divided by it.
    """
    places = [
        (at, index)
        for at, record in enumerate(records)
        for index, step in enumerate(record.steps)
        if hinted(step)
    ]

    def asked(*, tell: bool) -> list[Any]:
        made: list[Any] = []
        for at, index in places:
            step = records[at].steps[index]
            hints = step.hints if type(step) is ModelStep and tell else ()
            block = blocks.told([hint.text for hint in hints])
            made.append(question(records[at], at, index, block, blocks))
        return made

    def likeliest(_: int, logp: Table) -> Told:
        found = logp.topk(min(k, logp.shape[1]), dim=1)
        return found.values.double().cpu().numpy(), found.indices.cpu().numpy()

    own = looked(model, asked(tell=False), likeliest, temperature=temperature)

    def named(at: int, logp: Table) -> Float64[np.ndarray, "N _"]:
        tokens = logp.new_tensor(own[at][1]).long()
        return logp.gather(1, tokens).double().cpu().numpy()

    with teaching():
        told = looked(model, asked(tell=True), named, temperature=temperature)
    return [
        Ranked(at, index, mine[1], mine[0], theirs)
        for (at, index), mine, theirs in zip(places, own, told, strict=True)
    ]

"""Rows of a trainer's batch that no rollout of this step made: which they are, where from, and how
far they may be trusted to be the policy's own.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.errors import AlignmentError, UsageError
from assay.records import ModelStep, Trajectory
from assay.signal.losses import LossTerm

Origin = Literal["generated", "replayed", "relabelled", "rescued", "refined"]
RatioMode = Literal["clipped", "truncated", "one"]


@final
@dataclass(frozen=True, slots=True)
class OriginRow:
    """One row: its prompt, its completion, which tokens the policy sampled, and what it teaches."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    sampled: tuple[int, ...]
    """1 per token of the completion that counts as the policy's."""
    logprobs: tuple[float, ...] | None = None
    """Nats per token of the completion when it was sampled; read where `sampled` is 1."""
    record: str = ""
    """Id of the trajectory that it was made of."""
    origin: Origin = "generated"
    ratio: RatioMode = "truncated"
    """How new / old is handled. "clipped": PPO's clip (`rl` alone); "truncated": a factor of at
    most `cap`; "one": not at all. A log-probability that is not known counts as ratio 1."""
    cap: float = 2.0
    losses: tuple[LossTerm, ...] = ()
    """What it is trained on, token by token of the completion."""

    def __post_init__(self) -> None:
        """Refuses arrays of other lengths than the completion's."""
        size = len(self.completion_ids)
        lengths = {
            "sampled": len(self.sampled),
            "logprobs": size if self.logprobs is None else len(self.logprobs),
            **{f"loss {each.name!r}": each.weight_N.size for each in self.losses},
        }
        for name, length in lengths.items():
            if length != size:
                raise AlignmentError(
                    f"row of {self.record!r}: {length} entries of {name}; expected one per token, "
                    f"{size}"
                )
        if not self.prompt_ids or not self.cap > 0:
            raise UsageError(f"row of {self.record!r}: expected a prompt, and cap above 0")

    @property
    def sampled_N(self) -> Float64[np.ndarray, " N"]:
        """1.0 on the tokens that the policy sampled: the weight of a plain loss."""
        return np.asarray(self.sampled, np.float64)

    def trained_on(
        self, *losses: LossTerm, origin: Origin, ratio: RatioMode, cap: float
    ) -> "OriginRow":
        """Returns the row with these losses and this origin."""
        return dataclasses.replace(self, losses=losses, origin=origin, ratio=ratio, cap=cap)


def row_of(record: Trajectory, origin: Origin = "generated") -> OriginRow:
    """Returns the tokens of a record; what comes before its first model step is the prompt.

    Raises:
        AlignmentError: the record has no prompt tokens, or a model step has no token ids.
    """
    prompt, ids, sampled = list[int](), list[int](), list[int]()
    for index, step in enumerate(record.steps):
        tokens = step.token_ids
        if type(step) is not ModelStep:
            (ids if ids else prompt).extend(tokens or ())
            sampled += [0] * len(tokens or ()) if ids else []
            continue
        if tokens is None:
            raise AlignmentError(f"trajectory {record.id!r} steps[{index}]: no token ids")
        flags = [0] * len(tokens)
        for start, end in ((0, len(tokens)),) if step.sampled is None else step.sampled:
            flags[start:end] = [1] * (end - start)
        ids += tokens
        sampled += flags
    if not prompt:
        raise AlignmentError(
            f"trajectory {record.id!r}: no prompt tokens; expected a user or system step with "
            "token_ids before the first model step"
        )
    return OriginRow(tuple(prompt), tuple(ids), tuple(sampled), record=record.id, origin=origin)


def columns(records: Sequence[Trajectory]) -> dict[str, list[Any]]:
    """Returns what TRL's `rollout_func` returns for records, one row each, and the records beside
    it as `trajectory`. A token without a log-probability has 0."""
    rows = [row_of(record) for record in records]
    logprobs: list[list[float]] = []
    for record, made in zip(records, rows, strict=True):
        known = iter(
            value
            for step in record.steps
            if type(step) is ModelStep
            for value in step.logprobs or ()
        )
        logprobs.append([float(next(known) or 0.0) if one else 0.0 for one in made.sampled])
    return {
        "prompt_ids": [list(row.prompt_ids) for row in rows],
        "completion_ids": [list(row.completion_ids) for row in rows],
        "env_mask": [list(row.sampled) for row in rows],
        "logprobs": logprobs,
        "trajectory": list(records),
    }

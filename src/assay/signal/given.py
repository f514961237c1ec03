"""Records that came with the rows of a trainer's batch: held to the rows, and filled up."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from assay.errors import AlignmentError, DataError
from assay.records import ModelStep, Step, ToolStep, Trajectory, decode

FIELD: Final = "trajectory"
"""Name under which a rollout hands over the record of a row."""


def _picked(
    values: Sequence[float] | None, ranges: tuple[tuple[int, int], ...] | None
) -> tuple[float | None, ...] | None:
    if values is None:
        return None
    taken = values if ranges is None else [v for a, b in ranges for v in values[a:b]]
    return tuple(None if v != v else float(v) for v in taken)


def steps_of_mask(
    ids: Sequence[int],
    mask: Sequence[int],
    decode: Callable[[Sequence[int]], str],
    logprobs: Sequence[float] | None = None,
) -> Iterator[Step]:
    """Yields the steps of a response that came without a record: each run of its mask is one;
    an empty one has none.

    Args:
        ids: of the response.
        mask: 1 per token that the policy sampled.
        decode: token ids to text.
        logprobs: nats, one a token, where they are known.
    """
    edges = np.flatnonzero(np.diff(np.array(mask), prepend=-1)).tolist()
    for start, end in zip(edges, [*edges, len(mask)][1:], strict=True):
        own = tuple(ids[start:end])
        if not mask[start]:
            yield ToolStep(text=decode(own), token_ids=own)
            continue
        known = None if logprobs is None else tuple(map(float, logprobs[start:end]))
        yield ModelStep(text=decode(own), token_ids=own, logprobs=known)


def given_record(
    value: Any,
    ids: Sequence[int],
    *,
    row: int,
    outcome: float | None,
    rewards: dict[str, float | None],
) -> tuple[Trajectory, int]:
    """Returns the record that a rollout function gave for a completion, and how many of its leading
    tokens are the prompt.

    The reward scores what the record leaves unscored; a record's own outcome, grades and parts
    stand, and an infrastructure failure stays unscored.

    Raises:
        DataError: no assay.trajectory/1 record.
        AlignmentError: its steps' tokens are not the completion's.
    """
    where = f"rollout row {row}, field {FIELD!r}"
    if isinstance(value, Trajectory):
        record = value
    elif isinstance(value, str | bytes):
        record = decode(value.encode() if isinstance(value, str) else value, where=where)
    else:
        raise DataError(
            f"{where}: got {type(value).__name__}; expected the JSON text of a trajectory record"
        )
    skip = _aligned(record, list(ids), where)
    graded = any(grade.level != "E0" for grade in record.grades)
    if record.outcome is None and not graded and record.end != "infra" and outcome is not None:
        record = msgspec.structs.replace(record, outcome=outcome, rewards=record.rewards or rewards)
    return record, skip


def _aligned(record: Trajectory, ids: list[int], where: str) -> int:
    """Returns the leading tokens of the record that belong to the prompt."""
    tokens, prompt, seen_model = list[int](), 0, False
    for number, step in enumerate(record.steps):
        if type(step) is ModelStep and step.token_ids is None:
            raise AlignmentError(
                f"{where}: steps[{number}] has no token ids; expected those of the completion"
            )
        seen_model |= type(step) is ModelStep
        tokens += step.token_ids or ()
        if not seen_model:
            prompt = len(tokens)
    if tokens == ids:
        return 0
    if tokens[prompt:] == ids:
        return prompt
    own = tokens[prompt:]
    at = next((i for i, (a, b) in enumerate(zip(own, ids, strict=False)) if a != b), None)
    at = min(len(own), len(ids)) if at is None else at
    raise AlignmentError(
        f"{where}: its steps hold {len(own)} tokens and the completion {len(ids)}; they part at "
        f"token {at}: return the ids that were sampled, never re-tokenised text"
    )


def lacking(record: Trajectory, name: str) -> bool:
    """Returns whether some model step has no "logprobs", or no "entropies"."""
    return any(getattr(step, name) is None for step in record.steps if type(step) is ModelStep)


def filled(record: Trajectory, skip: int, values: Mapping[str, Sequence[float]]) -> Trajectory:
    """Returns the record with the likelihoods that its model steps lack.

    Args:
        record: a record whose tokens are those of a completion.
        skip: its leading tokens that are the prompt.
        values: "logprobs", "entropies" or both, in nats per token of the completion.
    """
    end, steps = -skip, list[Step]()
    for step in record.steps:
        start, end = end, end + len(step.token_ids or ())
        if type(step) is ModelStep:
            made = {
                name: _picked(value[start:end], step.sampled)
                for name, value in values.items()
                if getattr(step, name) is None
            }
            step = msgspec.structs.replace(step, **made)
        steps.append(step)
    return msgspec.structs.replace(record, steps=tuple(steps))

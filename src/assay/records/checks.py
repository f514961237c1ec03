"""What types cannot say of a record: lists line up, indices point somewhere, numbers are finite."""

from collections.abc import Iterator
from itertools import chain
from math import isfinite

from assay.errors import AlignmentError, DataError
from assay.records.trajectory import ModelStep, Step, ToolStep, Trajectory

MAX_TOKEN = 2**31
"""Token ids lie below it."""
PER_TOKEN = ("logprobs", "entropies", "told", "neutral", "helped")
"""Fields of a model step that hold one value per sampled token."""


def check(trajectory: Trajectory, where: str) -> None:
    """Raises unless everything inside the record fits together.

    Raises:
        AlignmentError: per-token lists, spans or sampled ranges do not fit a step's tokens.
        DataError: an index points at nothing, a confidence is no probability.
    """
    steps = trajectory.steps
    for index, step in enumerate(steps):
        try:
            if type(step) is ModelStep:
                _check_model(step)
            elif type(step) is ToolStep and step.call is not None:
                _check_answered(steps, index, step.call)
            if step.token_ids:
                _check_ids(step.token_ids)
        except DataError as error:
            place = f"{where}: trajectory {trajectory.id!r} steps[{index}]"
            raise type(error)(f"{place}.{error}") from None
    for number, mark in enumerate(trajectory.marks):
        if mark.step is not None and not 0 <= mark.step < len(steps):
            raise DataError(
                f"{where}: trajectory {trajectory.id!r} marks[{number}].step: got {mark.step}; "
                f"expected an index below {len(steps)}, or null"
            )


def _check_model(step: ModelStep) -> None:
    if step.confidence is not None and not 0 <= step.confidence <= 1:
        raise DataError(f"confidence: got {step.confidence}; expected a probability in [0, 1]")
    if step.token_ids is None:
        if any(getattr(step, name) is not None for name in ("sampled", *PER_TOKEN)):
            raise AlignmentError(
                f"token_ids: null; expected the ids that sampled, {', '.join(PER_TOKEN)} line up "
                "with"
            )
        n, unit = len(step.text), "characters of text"
    else:
        n, unit = len(step.token_ids), "tokens"
        _check_sampled(step, n)
    for number, span in enumerate(step.spans):
        if not 0 <= span.start <= span.end <= n:
            raise AlignmentError(
                f"spans[{number}]: got [{span.start}, {span.end}); expected it in its {n} {unit}"
            )
    for number, call in enumerate(step.calls):
        start, end = call.start, call.end
        if start is end is None:
            continue
        if step.token_ids is None or start is None or end is None or not 0 <= start <= end <= n:
            raise AlignmentError(
                f"calls[{number}]: got [{start}, {end}); expected it in token_ids, or both null"
            )


def _check_sampled(step: ModelStep, n: int) -> None:
    n_sampled, last = (n if step.sampled is None else 0), 0
    for start, end in step.sampled or ():
        if not last <= start <= end <= n:
            raise AlignmentError(
                f"sampled: got [{start}, {end}); expected ascending disjoint ranges in [0, {n}]"
            )
        n_sampled, last = n_sampled + end - start, end
    for name in PER_TOKEN:
        values = getattr(step, name)
        if values is not None and len(values) != n_sampled:
            raise AlignmentError(
                f"{name}: got {len(values)} values; expected one per sampled token, {n_sampled}"
            )


def _check_ids(ids: tuple[int, ...]) -> None:
    if min(ids) < 0 or max(ids) >= MAX_TOKEN:
        wrong = next(i for i in ids if not 0 <= i < MAX_TOKEN)
        raise DataError(f"token_ids: got {wrong}; expected ids in [0, {MAX_TOKEN})")


def _check_answered(steps: tuple[Step, ...], index: int, call: tuple[int, int]) -> None:
    at, number = call
    asked = steps[at] if 0 <= at < index else None
    if type(asked) is not ModelStep or not 0 <= number < len(asked.calls):
        raise DataError(
            f"call: got [{at}, {number}]; expected [index of an earlier model step, of its call]"
        )


def check_finite(trajectory: Trajectory, where: str) -> None:
    """Raises DataError for a NaN or an infinity: on disk a missing number is null."""
    for name, value in _numbers(trajectory):
        if value is not None and not isfinite(value):
            raise DataError(f"{where}.{name}: got {value}; expected a finite number, or None")


def _numbers(trajectory: Trajectory) -> Iterator[tuple[str, float | None]]:
    yield "outcome", trajectory.outcome
    yield "prior", trajectory.prior
    yield "ledger.wall_seconds", trajectory.ledger.wall_seconds
    for name, value in trajectory.rewards.items():
        yield f"rewards[{name!r}]", value
    for number, grade in enumerate(trajectory.grades):
        yield f"grades[{number}].value", grade.value
    for index, step in enumerate(trajectory.steps):
        if type(step) is not ModelStep:
            continue
        yield f"steps[{index}].reward", step.reward
        yield f"steps[{index}].belief", step.belief
        yield f"steps[{index}].confidence", step.confidence
        for name, value in step.scores.items():
            yield f"steps[{index}].scores[{name!r}]", value
        for value in chain.from_iterable(getattr(step, name) or () for name in PER_TOKEN):
            if value is not None and not isfinite(value):
                yield f"steps[{index}], {', '.join(PER_TOKEN)}", value

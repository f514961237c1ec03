"""Token columns of foreign logs: checked, cut into sampled runs, joined across model calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from assay.errors import DataError
from assay.importers.base import Losses
from assay.importers.messages import typed
from assay.records import Mark, ModelStep, Step, SystemStep, ToolStep, UserStep

_MOST_ID = 2**31 - 1
_WHOLE = 2**53


def ids_of(value: Any, where: str) -> tuple[int, ...]:
    """Returns token ids: whole numbers in [0, 2^31)."""
    values = typed(value, list, where, "an array of token ids")
    for index, one in enumerate(values):
        if type(one) is not int or not 0 <= one <= _MOST_ID:
            typed(one, int, f"{where}[{index}]", "a token id")
            raise DataError(
                f"{where}[{index}]: got {str(one)[:40]}; expected a token id, 0 to 2^31-1"
            )
    return tuple(values)


def floats_of(value: Any, where: str) -> tuple[float | None, ...]:
    """Returns numbers; null is missing."""
    values = typed(value, list, where, "an array of numbers")
    for index, one in enumerate(values):
        if one is not None and type(one) is not float:
            typed(one, (int, float), f"{where}[{index}]", "a number or null")
    return tuple(None if one is None else to_float(one, where) for one in values)


def to_float(value: int | float, where: str) -> float:
    """Returns a double; a whole number beyond its range is an error."""
    try:
        return float(value)
    except OverflowError:
        raise DataError(f"{where}: a number too large for a double") from None


def mask_of(value: Any, where: str) -> tuple[bool, ...]:
    """Returns a mask written as booleans or as 0 and 1."""
    values = typed(value, list, where, "an array of 0 and 1")
    for index, one in enumerate(values):
        if not isinstance(one, (bool, int, float)) or one not in (0, 1):
            raise DataError(f"{where}[{index}]: got {str(one)[:40]}; expected 0 or 1")
    return tuple(bool(one) for one in values)


def whole(record: dict[str, Any], key: str, where: str) -> int | None:
    """Returns `record[key]` as a whole number of at most 53 bits; None where missing or null."""
    value = record.get(key)
    if value is None:
        return None
    value = typed(value, int, f"{where}.{key}", "a whole number")
    if abs(value) > _WHOLE:
        raise DataError(f"{where}.{key}: a {len(hex(value))}-digit number; expected at most 2^53")
    return value


def runs_of(mask: Sequence[bool]) -> tuple[tuple[int, int], ...]:
    """Returns the half-open ranges in which `mask` is true, ascending."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for index, on in enumerate(mask):
        if on and start is None:
            start = index
        elif not on and start is not None:
            runs.append((start, index))
            start = None
    if start is not None:
        runs.append((start, len(mask)))
    return tuple(runs)


def with_tokens(
    step: ModelStep,
    ids: tuple[int, ...],
    sampled: tuple[tuple[int, int], ...] | None,
    logprobs: tuple[float | None, ...] | None,
    where: str,
    losses: Losses,
) -> ModelStep:
    """Returns `step` with its token columns.

    Spans counted in characters are dropped and counted, because a step with ids counts in tokens.
    Log-probabilities that are not one per sampled token are dropped and counted, and the step is
    marked untrainable.
    """
    if step.spans:
        losses.add("span_in_characters", where, len(step.spans))
    n = len(ids) if sampled is None else sum(end - start for start, end in sampled)
    untrainable = step.untrainable
    if logprobs is not None and len(logprobs) != n:
        losses.add("logprobs_misaligned", where)
        logprobs, untrainable = None, untrainable or "logprobs"
    return msgspec.structs.replace(
        step, token_ids=ids, sampled=sampled, logprobs=logprobs, spans=(), untrainable=untrainable
    )


@dataclass(slots=True)
class Turn:
    """One model call: which step it wrote, the prompt it read, the tokens it sampled."""

    step: int
    prompt: tuple[int, ...] | None
    response: tuple[int, ...]
    logprobs: tuple[float | None, ...] | None
    where: str


@dataclass(slots=True)
class _Sequence:
    """The tokens of the conversation so far, and where they went."""

    ids: list[int] = field(default_factory=list)
    last_step: int = -1


def join(
    steps: Sequence[Step], turns: Sequence[Turn], losses: Losses
) -> tuple[tuple[Step, ...], tuple[Mark, ...]]:
    """Returns the steps with their tokens, and a mark where a prompt broke off.

    Every call re-sends its prompt. Where the prompt of a call begins with everything before it,
    exactly, the tokens between belong to what was said between: to that one step, or, where
    several steps share them and the log has no borders, to the model step as tokens that it did
    not sample. Where it does not, the step keeps its own tokens, is `drifted`, and is skipped.
    """
    out = list(steps)
    marks: list[Mark] = []
    so_far = _Sequence()
    for turn in turns:
        step = out[turn.step]
        if type(step) is not ModelStep:
            raise DataError(f"{turn.where}: tokens of a step that no model wrote")
        n = len(so_far.ids)
        prompt = turn.prompt
        if prompt is None:
            gap: list[int] = []
        elif list(prompt[:n]) == so_far.ids:
            gap = list(prompt[n:])
        else:
            marks.append(Mark(kind="prefix_break", step=turn.step, source="importer"))
            losses.add("prefix_break", turn.where)
            drifted = msgspec.structs.replace(step, untrainable=step.untrainable or "drifted")
            out[turn.step] = with_tokens(
                drifted, turn.response, None, turn.logprobs, turn.where, losses
            )
            continue
        so_far.ids += gap + list(turn.response)
        own = _give(out, so_far.last_step, turn.step, tuple(gap), turn.where, losses)
        ids = own + turn.response
        sampled = ((len(own), len(ids)),) if own else None
        out[turn.step] = with_tokens(step, ids, sampled, turn.logprobs, turn.where, losses)
        so_far.last_step = turn.step
    return tuple(out), tuple(marks)


def _give(
    out: list[Step], after: int, before: int, gap: tuple[int, ...], where: str, losses: Losses
) -> tuple[int, ...]:
    """Gives `gap` to the one step between two model steps; else returns it for the model step."""
    if gap and before - after == 2 and type(out[after + 1]) is not ModelStep:
        out[after + 1] = observed(out[after + 1], gap)
        return ()
    if gap and before - after > 1:
        losses.add("observation_tokens_not_split", where)
    return gap


def observed(step: Step, ids: tuple[int, ...]) -> Step:
    """Returns a tool, user or system step with the tokens that it adds to the context."""
    if isinstance(step, (ToolStep, UserStep, SystemStep)):
        return msgspec.structs.replace(step, token_ids=ids)
    raise DataError("tokens of a model step given as an observation")


@dataclass(slots=True)
class Groups:
    """Names groups and numbers their members in the order in which they come."""

    seen: dict[str, int] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)

    def name(self, group: str, variant: str) -> str:
        """Returns `group` for the first variant (agent, model) seen in it, else one of its own."""
        return group if self.owner.setdefault(group, variant) == variant else f"{group}@{variant}"

    def trial(self, group: str) -> int:
        """Returns 0 for the first member of `group`, then 1, 2 ..."""
        self.seen[group] = self.seen.get(group, -1) + 1
        return self.seen[group]

"""Token columns of foreign logs: cut into sampled runs, joined across model calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from assay.errors import DataError
from assay.importers.fields import Fields
from assay.records import Mark, ModelStep, Step


def runs_of(mask: Sequence[bool]) -> tuple[tuple[int, int], ...]:
    """Returns the half-open ranges in which `mask` is true, ascending."""
    runs: list[tuple[int, int]] = []
    at = 0
    for on, run in groupby(mask):
        start, at = at, at + sum(1 for _ in run)
        if on:
            runs.append((start, at))
    return tuple(runs)


def with_tokens(
    step: ModelStep,
    ids: tuple[int, ...],
    sampled: tuple[tuple[int, int], ...] | None,
    logprobs: tuple[float | None, ...] | None,
    at: Fields,
) -> ModelStep:
    """Returns `step` with its token columns.

    Spans counted in characters are dropped and counted, because a step with ids counts in tokens.
    Log-probabilities that are not one per sampled token are dropped and counted, and the step is
    marked untrainable.
    """
    if step.spans:
        at.lose("span_in_characters", len(step.spans))
    n = len(ids) if sampled is None else sum(end - start for start, end in sampled)
    untrainable = step.untrainable
    if logprobs is not None and len(logprobs) != n:
        at.lose("logprobs_misaligned")
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
    at: Fields


def join(steps: Sequence[Step], turns: Sequence[Turn]) -> tuple[tuple[Step, ...], tuple[Mark, ...]]:
    """Returns the steps with their tokens, and a mark where a prompt broke off.

    Every call re-sends its prompt. Where the prompt of a call begins with everything before it,
    exactly, the tokens between belong to what was said between: to that one step, or, where
    several steps share them and the log has no borders, to the model step as tokens that it did
    not sample. Where it does not, the step keeps its own tokens, is `drifted`, and is skipped.
    """
    out = list(steps)
    marks: list[Mark] = []
    ids: list[int] = []
    last = -1
    for turn in turns:
        step = out[turn.step]
        if type(step) is not ModelStep:
            raise DataError(f"{turn.at.where}: tokens of a step that no model wrote")
        prompt = tuple(ids) if turn.prompt is None else turn.prompt
        if list(prompt[: len(ids)]) != ids:
            marks.append(Mark(kind="prefix_break", step=turn.step, source="importer"))
            turn.at.lose("prefix_break")
            drifted = msgspec.structs.replace(step, untrainable=step.untrainable or "drifted")
            out[turn.step] = with_tokens(drifted, turn.response, None, turn.logprobs, turn.at)
            continue
        gap = prompt[len(ids) :]
        ids += gap + turn.response
        own = give(out, last, turn.step, gap, turn.at)
        sampled = ((len(own), len(own) + len(turn.response)),) if own else None
        out[turn.step] = with_tokens(step, own + turn.response, sampled, turn.logprobs, turn.at)
        last = turn.step
    return tuple(out), tuple(marks)


def give(
    out: list[Step], after: int, before: int, gap: tuple[int, ...], at: Fields
) -> tuple[int, ...]:
    """Gives `gap` to the one step between two model steps; else returns it for the model step."""
    if gap and before - after == 2 and type(out[after + 1]) is not ModelStep:
        out[after + 1] = msgspec.structs.replace(out[after + 1], token_ids=gap)
        return ()
    if gap and before - after > 1:
        at.lose("observation_tokens_not_split")
    return gap

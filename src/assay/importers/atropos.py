"""Atropos groups (`data_path_to_save_groups`): one group a line, its rollouts in parallel lists.

A mask has the id of each token that is trained and -100 elsewhere. Groups whose scores are all
equal are left out of the file unless the environment is told otherwise, and so are groups of the
wrong size or with a sequence that is too long: what is seen are the groups that taught.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.importers.base import Importer, Log, Record, keys, prompt_name
from assay.importers.fields import Fields, typed
from assay.importers.messages import chat
from assay.importers.tokens import give, runs_of, with_tokens
from assay.records import Ledger, ModelStep, Step, ToolStep, Trajectory, UserStep

_KEYS = keys(
    "tokens masks scores advantages ref_logprobs messages generation_params inference_logprobs"
    " group_overrides overrides images distill_token_ids distill_logprobs env_id"
)
_UNREAD = {
    "advantages": "engine_advantages",
    "ref_logprobs": "reference_logprobs",
    "distill_token_ids": "distillation",
    "images": "images",
    "overrides": "overrides",
    "group_overrides": "overrides",
}
_MASKED = -100
_Spans = tuple[tuple[int, int], ...]
_Logprobs = tuple[float | None, ...] | None


@final
class Atropos(Importer):
    """One file of groups, or a folder of them."""

    name = "atropos"
    title = "Atropos groups"
    record = "a group object"
    needs = "tokens:array masks:array scores:array"

    def parts(self, file: Path) -> tuple[Path, ...]:
        return (file,)

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, file in enumerate(log.files):
            equal = False
            for index, (where, value) in enumerate(self.records(log, file)):
                record = Record(value, where, log, self, place, index)
                scores = _scores(record)
                equal = equal or (len(scores) > 1 and len(set(scores)) == 1)
                yield from self.trajectories(record)
            if not equal:
                log.losses.add("equal_scores_not_written", str(file))

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_KEYS)
        for key, kind in _UNREAD.items():
            if record.raw.get(key):
                record.lose(kind)
        scores = _scores(record)
        columns = {key: _each(record, key, len(scores)) for key in ("tokens", "masks")}
        optional = {
            key: _each(record, key, len(scores)) if record.raw.get(key) else None
            for key in ("messages", "inference_logprobs")
        }
        at, task = record.origin(), _task(columns)
        group = f"{at.path}/{at.index}{record.run(1)}"
        for trial, score in enumerate(scores):
            raw = {key: values[trial] for key, values in columns.items()}
            raw |= {key: values[trial] for key, values in optional.items() if values is not None}
            row = Fields(raw, f"{record.where}[{trial}]", record.losses)
            steps, count = _steps(row)
            yield record.trajectory(
                task,
                steps,
                trial=trial,
                id=f"{group}/{trial}",
                group=group,
                outcome=record.scored(score),
                ledger=Ledger(tokens=count),
            )


def _scores(record: Record) -> list[float | None]:
    return [record.as_score(score, "scores") for score in record.items("scores")]


def _each(record: Record, key: str, count: int) -> list[Any]:
    """Returns a list of one value for each rollout."""
    values = record.need(key, list)
    if len(values) != count:
        raise record.wrong(key, f"{len(values)} values", f"one for each of {count} scores")
    return values


def _task(columns: dict[str, list[Any]]) -> str:
    """Returns the name of a group's prompt: what stands before the first token that is trained."""
    shortest: list[Any] | None = None
    for ids, mask in zip(columns["tokens"], columns["masks"], strict=True):
        if isinstance(ids, list) and isinstance(mask, list):
            start = next((i for i, one in enumerate(mask) if one != _MASKED), len(ids))
            if shortest is None or start < len(shortest):
                shortest = ids[:start]
    return prompt_name(repr(shortest))


def _steps(row: Fields) -> tuple[tuple[Step, ...], int]:
    """Returns the steps of one rollout, and how many tokens are trained."""
    ids = row.ids("tokens")
    masks = typed(row.raw.get("masks"), list, f"{row.where}.masks", "an array of token ids")
    if len(masks) != len(ids):
        raise row.wrong("masks", f"{len(masks)} values", f"one per token, {len(ids)}")
    if any(type(one) is not int for one in masks):
        raise row.wrong("masks", "values that are no whole numbers", "token ids, or -100")
    mask = [one != _MASKED for one in masks]
    runs, logprobs = runs_of(mask), row.floats("inference_logprobs")
    if logprobs is not None and len(logprobs) != len(ids):
        row.lose("logprobs_misaligned")
        logprobs = None
    texts = row.items("messages")
    said = chat(texts, f"{row.where}.messages", row.losses) if texts else ()
    spoken = [index for index, step in enumerate(said) if type(step) is ModelStep]
    if spoken and len(spoken) == len(runs):
        return tuple(_joined(list(said), spoken, ids, runs, logprobs, row)), sum(mask)
    if spoken:
        # which of the messages were trained is not said
        row.lose("tokens_not_aligned")
        return tuple(said), sum(mask)
    row.lose("no_text")
    return tuple(_runs(ids, runs, logprobs, row)), sum(mask)


def _joined(
    steps: list[Step],
    spoken: list[int],
    ids: tuple[int, ...],
    runs: _Spans,
    logprobs: _Logprobs,
    row: Fields,
) -> list[Step]:
    """Gives each run of the mask to the message that the policy spoke, and what stands between to
    what was said between, where that is one message."""
    last, at = -1, 0
    for index, (start, end) in zip(spoken, runs, strict=True):
        own = give(steps, last, index, ids[at:start], row)
        values = None if logprobs is None else logprobs[start:end]
        step, sampled = steps[index], ((len(own), len(own) + end - start),) if own else None
        if type(step) is ModelStep:
            steps[index] = with_tokens(step, own + ids[start:end], sampled, values, row)
        last, at = index, end
    return steps


def _runs(ids: tuple[int, ...], runs: _Spans, logprobs: _Logprobs, row: Fields) -> Iterator[Step]:
    """Yields a step for each run of the mask and for what stands between, without texts."""
    at = 0
    for start, end in runs:
        if start > at:
            told = ids[at:start]
            yield ToolStep(text="", token_ids=told) if at else UserStep(text="", token_ids=told)
        values = None if logprobs is None else logprobs[start:end]
        yield with_tokens(ModelStep(), ids[start:end], None, values, row)
        at = end
    if at < len(ids):
        rest = ids[at:]
        yield ToolStep(text="", token_ids=rest) if at else UserStep(text="", token_ids=rest)

"""NeMo-RL `train_data_step{N}.jsonl`: one line a sample, each value a batch of one.

Rows are padded to the longest of the batch, `input_lengths` says where a row ends, and the loss
mask says which tokens the policy wrote. The log has no group, so samples of one step with one
prompt form one. The engine's own advantages are not carried over: Assay computes its own credit.
"""

import re
from collections.abc import Iterator
from typing import Any, final

from assay.importers.base import Importer, Record, keys, prompt_name
from assay.importers.fields import Fields, typed
from assay.importers.tokens import runs_of, with_tokens
from assay.records import Ledger, ModelStep, Step, ToolStep, Trajectory, UserStep

_KEYS = keys(
    "content rewards filtered_rewards input_lengths token_ids token_loss_mask sample_loss_mask"
    " advantages generation_logprobs prev_logprobs agent_ref idx"
)
_Columns = tuple[tuple[int, ...], tuple[bool, ...], tuple[float | None, ...] | None]


@final
class Nemo(Importer):
    """One file or the log folder that holds several."""

    name = "nemo"
    title = "NeMo-RL train data"
    record = "an object with token_ids and token_loss_mask"
    needs = "token_ids token_loss_mask rewards"
    names = r"train_data_step([0-9]+)\.jsonl"
    called = "train_data_step*.jsonl"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        values = {key: _one(record, key) for key in record.raw if key in _KEYS}
        record.lose_unknown(_KEYS)
        row = Fields(values, record.where, record.losses)
        if values.get("advantages") is not None:
            row.lose("engine_advantages")
        if values.get("prev_logprobs") is not None:
            row.lose("trainer_logprobs")
        ids, mask, _ = columns = _columns(row)
        at, named = record.origin(), re.fullmatch(self.names, record.file.name)
        step = None if named is None else named[1]
        steps = _steps(columns, row)
        task = prompt_name(repr(ids[: mask.index(True)] if True in mask else ids))
        run = record.run(1)
        group = f"{task}{run}" if step is None else f"step{step}-{task}{run}"
        yield record.trajectory(
            task,
            steps,
            trial=record.groups.trial(group),
            id=f"{at.path}/{at.index}{run}",
            group=group,
            outcome=_outcome(row),
            policy_version=step,
            ledger=Ledger(tokens=sum(mask)),
        )


def _one(line: Fields, key: str) -> Any:
    """Returns the value of a batch of one."""
    value = line.raw[key]
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        raise line.wrong(key, f"{len(value)} values", "a batch of one")
    return value[0]


def _outcome(row: Fields) -> float | None:
    """Returns the reward of the row.

    With dynamic sampling `rewards` are those of the batch before it was filtered, and line up with
    nothing: `filtered_rewards` are those of the rows.
    """
    if row.raw.get("filtered_rewards") is None:
        return row.scored(row.score("rewards"))
    row.lose("rewards_before_filter")
    return row.score("filtered_rewards")


def _columns(row: Fields) -> _Columns:
    """Returns ids, mask and sampling log-probabilities, without the padding."""
    ids = row.ids("token_ids")
    mask = row.mask("token_loss_mask", len(ids))
    n = row.whole("input_lengths")
    n = len(ids) if n is None else n
    if not 0 <= n <= len(ids) or any(mask[n:]):
        raise row.wrong("input_lengths", n, f"the end of {len(ids)} tokens")
    logprobs = row.floats("generation_logprobs")
    return ids[:n], mask[:n], logprobs if logprobs is None else logprobs[:n]


def _texts(row: Fields, runs: int) -> list[str]:
    """Returns the texts of the sample's messages, one a run; old logs have one text in all.

    Texts are given to the runs only where there is one for each: two messages of the world that
    follow each other are one run, and which texts they are cannot be seen.
    """
    content = row.raw.get("content")
    where = f"{row.where}.content"
    if content is None or isinstance(content, str):
        content = [content] if content else []
    texts = [
        typed(text, str, where, "text")
        for text in typed(content, list, where, "text or a list of texts")
    ]
    if len(texts) == runs:
        return texts
    row.lose("text_not_aligned")
    return [""] * runs


def _steps(columns: _Columns, row: Fields) -> tuple[Step, ...]:
    """Returns a step per run of the mask: what the policy wrote, and what it was told between."""
    ids, mask, logprobs = columns
    runs = sorted((*runs_of(mask), *runs_of([not one for one in mask])))
    masked = "masked" if row.number("sample_loss_mask") == 0 else None
    steps: list[Step] = []
    for (start, end), text in zip(runs, _texts(row, len(runs)), strict=True):
        own = ids[start:end]
        if mask[start]:
            step = ModelStep(text=text, untrainable=masked)
            values = None if logprobs is None else logprobs[start:end]
            steps.append(with_tokens(step, own, None, values, row))
        elif start == 0:
            steps.append(UserStep(text=text, token_ids=own))
        else:
            steps.append(ToolStep(text=text, token_ids=own))
    return tuple(steps)

"""TRL completions, `completions_{step}.parquet` of `log_completions=True` (needs pyarrow).

Columns are step, prompt, completion, one per reward function, extras of `log_extra`, advantage. The
file does not say which of the middle columns are rewards: those of doubles are. Nor has it reward
weights, so the outcome is the plain sum; a row without any reward is unscored. A group is a run of
rows with one prompt.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.files.probe import Probe
from assay.files.tables import check_plain, rows
from assay.importers.base import Groups, Importer, Log, Rank, Record, keys, prompt_name
from assay.importers.fields import typed
from assay.importers.messages import chat, copied
from assay.records import ModelStep, Step, Trajectory, UserStep

_FIXED = keys("step prompt completion advantage __index_level_0__")


@final
class Trl(Importer):
    """One parquet file, its `completions` folder, or the trainer's output folder."""

    name = "trl"
    title = "TRL completions"
    names = r"completions_[0-9]+\.parquet"
    called = "completions_*.parquet"

    def rank(self, seen: Probe) -> Rank:
        if not seen.head.startswith(b"PAR1"):
            return Rank.NO
        # Column names stand as plain bytes in the footer, so pyarrow is not needed to see them.
        tail = _tail(seen.path)
        own = all(name in tail for name in (b"prompt", b"completion", b"advantage", b"step"))
        return Rank.SHAPE if own else Rank.NO

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, file in enumerate(log.files):
            groups, runs, before = Groups(), Groups(), ""
            for index, (where, row, doubles) in enumerate(rows(file, to="reading TRL completions")):
                for name in ("step", "prompt", "completion"):
                    check_plain(row.get(name), f"{where}.{name}")
                key = _key(row)
                run = runs.trial(key) if key != before else runs.seen[key]
                before, group = key, key if run == 0 else f"{key}-{run}"
                record = Record(row, where, log, self, place, index)
                yield _trajectory(record, doubles - _FIXED, group, groups.trial(group))


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - (1 << 20)))
            return stream.read()
    except OSError:
        return b""


def _key(row: dict[str, Any]) -> str:
    """Returns the name of a row's prompt within its training step."""
    prompt = row.get("prompt")
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=str)
    return f"step{row.get('step')}-{prompt_name(text)}"


def _trajectory(record: Record, columns: frozenset[str], group: str, trial: int) -> Trajectory:
    advantage = record.raw.get("advantage")
    # the trainer's own, for comparison only
    at = record.origin(advantage=None if advantage is None else str(advantage)[:40])
    rewards = _rewards(record, columns)
    step = record.whole("step")
    given = [value for value in rewards.values() if value is not None]
    if given and len(rewards) > 1:
        record.lose("reward_weights_unknown")
    outcome = record.scored(sum(given) if given else None)
    record.lose("no_tokens")
    return record.trajectory(
        "-".join(group.split("-")[1:3]),
        _steps(record),
        trial=trial,
        id=f"{at.path}/{at.index}",
        group=group,
        outcome=outcome,
        rewards=rewards,
        policy_version=None if step is None else str(step),
        origin=at,
    )


def _rewards(record: Record, columns: frozenset[str]) -> dict[str, float | None]:
    """Returns the columns of doubles; NaN and null are "this function did not score the row"."""
    rewards: dict[str, float | None] = {}
    for name, value in record.raw.items():
        if name in _FIXED:
            continue
        if name in columns:
            if value is not None and math.isinf(value):
                raise record.wrong(name, value, "a finite reward")
            rewards[name] = None if value is None or math.isnan(value) else value
        elif value is not None:
            record.lose(f"column:{name}"[:80])
    return rewards


def _steps(record: Record) -> tuple[Step, ...]:
    """Returns prompt and completion as steps; what a model says in the prompt is copied."""
    prompt, completion = record.raw.get("prompt"), record.raw.get("completion")
    where, either = f"{record.where}.completion", "text or a list of messages"
    if isinstance(prompt, str):
        text = typed(completion, str, where, "text, as the prompt is")
        return (UserStep(text=prompt), ModelStep(text=text))
    told = _plain(typed(prompt, list, f"{record.where}.prompt", either))
    said = _plain(typed(completion, list, where, either))
    steps = chat([*told, *said], f"{record.where}.messages", record.losses)
    return (*map(copied, steps[: len(told)]), *steps[len(told) :])


def _plain(message: Any) -> Any:
    """Returns a message without the nulls that parquet fills in where another row had the key."""
    if isinstance(message, dict):
        return {key: _plain(value) for key, value in message.items() if value is not None}
    return [_plain(one) for one in message] if isinstance(message, list) else message

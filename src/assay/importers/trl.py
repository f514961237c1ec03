"""TRL completions, `completions_{step}.parquet` of `log_completions=True` (needs pyarrow).

Columns are step, prompt, completion, one per reward function, extras of `log_extra`, advantage. The
file does not say which of the middle columns are rewards, nor their weights: see `trl_columns`. The
outcome is the plain sum; a row without any reward is unscored. A group is a run of rows with one
prompt. TRL keeps the rows of one generated batch and writes them at every logging step, so a file
that equals the one before it is no new batch; steps may have none; and an evaluation writes over
the file of its step, of which the trainer's state tells (`trl_state`).
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from assay.errors import DataError, TornError
from assay.files.parquet import names
from assay.files.probe import Probe
from assay.files.tables import check_plain, rows
from assay.importers.base import Groups, Importer, Log, Rank, Record, keys, prompt_name
from assay.importers.fields import typed
from assay.importers.marks import turns
from assay.importers.messages import partly_copied
from assay.importers.trl_columns import Evidence, Table, Told, Values
from assay.importers.trl_state import Evaluated, evaluated, states
from assay.records import End, ModelStep, Step, ToolStep, Trajectory, UserStep

_FIXED = keys("step prompt completion advantage __index_level_0__")
_COLUMNS = keys("step prompt completion advantage")
_TO = "reading TRL completions"


@final
@dataclass(slots=True)
class Survey:
    """What the numbers of a log say before its texts are read."""

    files: list[tuple[int, Path]] = field(default_factory=list[tuple[int, Path]])
    """Files to read, each with its place in the log: those that repeat none."""
    evidence: Evidence = field(default_factory=Evidence)


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
        try:
            found = frozenset(names(seen.path))
        except DataError:  # a broken footer, in which names stand as plain bytes all the same
            tail = _tail(seen.path)
            found = {name for name in _COLUMNS if name.encode() in tail}
        return Rank.SHAPE if found >= _COLUMNS else Rank.NO

    def beside(self, file: Path) -> tuple[Path, ...]:
        return tuple(states(file.parent))

    def parts(self, file: Path) -> None:
        """What the advantages are is told by the numbers of all files together."""

    def read(self, log: Log) -> Iterator[Trajectory]:
        survey = _survey(log)
        told = survey.evidence.told()
        _say(told, log)
        for place, file in survey.files:
            groups, runs, before = Groups(), Groups(), ""
            try:
                for index, (where, row, _) in enumerate(rows(file, to=_TO)):
                    for name in ("step", "prompt", "completion"):
                        check_plain(row.get(name), f"{where}.{name}")
                    key = _key(row)
                    run = runs.trial(key) if key != before else runs.seen[key]
                    before, group = key, key if run == 0 else f"{key}-{run}"
                    record = Record(row, where, log, self, place, index)
                    yield _trajectory(record, told, group, groups.trial(group))
            except TornError as error:
                log.torn(error)


def _survey(log: Log) -> Survey:
    """Returns which files to read, and what their numbers say; counts repeats and gaps."""
    found, before, last, last_step = Survey(), b"", Path(), None
    runs: dict[Path, Evaluated] = {}
    for place, file in enumerate(log.files):
        try:
            table, step, digest = _numbers(file)
        except TornError as error:
            log.torn(error)
            continue
        if file.parent not in runs:
            runs[file.parent] = evaluated(file.parent) if _is_below(file, log) else Evaluated()
        _count_evaluation(runs[file.parent].at(step), file, log)
        again = file.parent == last.parent
        if again and step is not None and last_step is not None and step - last_step > 1:
            log.losses.add("step_without_file", str(file), step - last_step - 1)
        if again and digest == before and _said(file) == _said(last):
            log.losses.add("repeated_batch", str(file), len(table.advantage))
        else:
            found.files.append((place, file))
            found.evidence.add(table)
        before, last, last_step = digest, file, step
    return found


def _is_below(file: Path, log: Log) -> bool:
    """Is the output folder, which holds the folder of the file, within what is read?"""
    return log.path.is_dir() and file.parent.parent.is_relative_to(log.path)


def _count_evaluation(ran: bool | None, file: Path, log: Log) -> None:
    if ran is None:
        log.losses.add("evaluation_not_told", str(file))
    elif ran:
        log.losses.add("evaluation_in_file", str(file))


def _numbers(file: Path) -> tuple[Table, int | None, bytes]:
    """Returns the numbers of a file, its step, and a digest of all but step and completions."""
    columns: dict[str, Values] = {}
    advantage: Values = []
    starts: list[int] = []
    step, before, digest = None, None, hashlib.blake2b()
    for index, (_, row, doubles) in enumerate(rows(file, to=_TO, leave=("completion",))):
        prompt, at = row.get("prompt"), row.get("step")
        if index == 0 or prompt != before:
            starts.append(index)
            digest.update(repr(prompt).encode("utf-8", "surrogatepass"))
        before = prompt
        step = at if isinstance(at, int) else step
        numbers = {name: _finite(row[name]) for name in row if name in doubles}
        advantage.append(numbers.get("advantage"))
        for name in row:
            if name in doubles and name not in _FIXED:
                columns.setdefault(name, []).append(numbers[name])
        digest.update(repr((index, numbers)).encode("utf-8", "surrogatepass"))
    groups = list(itertools.pairwise([*starts, len(advantage)]))
    return Table(columns, advantage, groups), step, digest.digest()


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _said(file: Path) -> bytes:
    """Returns a digest of the completions of a file."""
    digest = hashlib.blake2b()
    for _, row, _ in rows(file, to=_TO, leave=_FIXED - {"completion"}):
        digest.update(repr(row.get("completion")).encode("utf-8", "surrogatepass"))
    return digest.digest()


def _say(told: Told, log: Log) -> None:
    """Counts what the reader should know of how rewards were told apart."""
    if log.choices.outcome is not None:
        return
    where = str(log.path)
    for name in sorted(told.unsure):
        log.losses.add(f"reward_or_extra:{name}", where)
    for name in sorted(told.idle - told.rewards):
        log.losses.add(f"idle_column:{name}", where)
    if told.contradicted:
        log.losses.add("advantages_not_explained", where, told.contradicted)


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - (1 << 20)))
            return stream.read()
    except OSError:
        return b""


def _prompt(row: dict[str, Any]) -> str:
    prompt = row.get("prompt")
    return prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=str)


def _key(row: dict[str, Any]) -> str:
    """Returns the name of a row's prompt within its training step."""
    return f"step{row.get('step')}-{prompt_name(_prompt(row))}"


def _trajectory(record: Record, told: Told, group: str, trial: int) -> Trajectory:
    advantage = record.raw.get("advantage")
    # the trainer's own, for comparison only
    at = record.origin(advantage=None if advantage is None else str(advantage)[:40])
    rewards = _rewards(record, told)
    step = record.whole("step")
    given = [value for value in rewards.values() if value is not None]
    if given and len(rewards) > 1 and not told.by_sum and record.choices.outcome is None:
        record.lose("reward_weights_unknown")
    outcome = record.scored(sum(given) if given else None)
    record.lose("no_tokens")
    steps, run = _steps(record), record.run(1)
    return record.trajectory(
        "-".join(group.split("-")[1:3]),
        steps,
        trial=trial,
        id=f"{at.path}/{at.index}{run}",
        group=f"{group}{run}",
        outcome=outcome,
        rewards=rewards,
        end=_end(steps) if steps else "unknown",
        policy_version=None if step is None else str(step),
        origin=at,
    )


def _rewards(record: Record, told: Told) -> dict[str, float | None]:
    """Returns the rewards; NaN and null are "this function did not score the row"."""
    rewards: dict[str, float | None] = {}
    for name, value in record.raw.items():
        if name in _FIXED or name in told.idle - told.rewards:
            continue
        if name in told.rewards and (value is None or isinstance(value, float)):
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
        return (UserStep(text=prompt), *turns(text, record, 1))
    told = _plain(typed(prompt, list, f"{record.where}.prompt", either))
    messages = typed(completion, list, where, either)
    found = partly_copied([*told, *_plain(messages)], range(len(told)), record)
    if blank := sum(_has_null(call) for call in _calls(messages)):
        record.lose("null_argument", blank)
    return found


def _calls(messages: Iterable[Any]) -> Iterator[Any]:
    """Yields what looks like the arguments of calls."""
    for message in messages:
        calls = message.get("tool_calls") if isinstance(message, dict) else None
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            yield function.get("arguments") if isinstance(function, dict) else None


def _has_null(arguments: Any) -> bool:
    return isinstance(arguments, dict) and None in arguments.values()


def _end(steps: tuple[Step, ...]) -> End:
    """Returns "budget" where a tool run stopped between a call and its result, or between a result
    and its reply. Else the log does not say: a lone call may be all that was asked for."""
    last, tools = steps[-1], any(type(step) is ToolStep for step in steps)
    cut = type(last) is ToolStep or (type(last) is ModelStep and bool(last.calls) and tools)
    return "budget" if cut else "unknown"


def _plain(message: Any) -> Any:
    """Returns a message without the nulls that parquet fills in where another row had the key."""
    if isinstance(message, dict):
        return {key: _plain(value) for key, value in message.items() if value is not None}
    return [_plain(one) for one in message] if isinstance(message, list) else message

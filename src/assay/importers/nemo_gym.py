"""NeMo Gym rollouts: `NAME.jsonl`, with `NAME_failures.jsonl` and the plan beside it.

Rollouts that failed are in the second file, those that were killed in none: the plan,
`NAME_materialized_inputs.jsonl`, has all. A rollout that was tried again counts once, by its
success or else by its last failure. `mask_sample` says whether the reward is no measurement: a
failure (`failure_kind`) beside a false one did not touch it. Where only the failure is named,
nobody says that it was measured.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from assay.files.packed import plain_name
from assay.files.probe import Probe
from assay.importers.base import Importer, Log, Rank, Record, prompt_name
from assay.importers.fields import Fields, Losses, objects
from assay.importers.messages import as_text
from assay.importers.responses import Items, flat
from assay.importers.tokens import join
from assay.records import End, Ledger, SystemStep, Trajectory, UserStep

_TASK, _TRIAL, _FAILED = "_ng_task_index", "_ng_rollout_index", "_ng_failure_class"
_KIND, _MASKED = "failure_kind", "mask_sample"
_FAILURES, _PLAN = "_failures", "_materialized_inputs"
_ITEM = "a response item"
_Key = tuple[Any, Any]


@final
class NemoGym(Importer):
    """One file of rollouts, or a folder of them; their failures and plans are read with them."""

    name = "nemo_gym"
    title = "NeMo Gym rollouts"
    record = "a rollout object"
    needs = "responses_create_params:object response:object reward"

    def rank(self, seen: Probe) -> Rank:
        name = plain_name(seen.path)
        if name.endswith(f"{_PLAN}.jsonl"):
            return Rank.NO
        if name.endswith(f"{_FAILURES}.jsonl"):
            main = seen.path.with_name(seen.path.name.replace(f"{_FAILURES}.", ".", 1))
            alone = seen.has(_FAILED) and not main.is_file()
            return Rank.SHAPE if alone else Rank.NO
        return super().rank(seen)

    def beside(self, file: Path) -> tuple[Path, ...]:
        totals = file.with_name(f"{plain_name(file).removesuffix('.jsonl')}_aggregate_metrics.json")
        found = (_next(file, _FAILURES), _next(file, _PLAN), totals)
        return tuple(one for one in found if one is not None)

    def parts(self, file: Path) -> tuple[Path, ...]:
        return file, *self.beside(file)

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, file in enumerate(log.files):
            seen: set[_Key] = set()
            for index, (where, value) in enumerate(log.documents(file)):
                record = Record(value, where, log, self, place, index)
                seen.add(_key(record))
                yield _trajectory(record, file)
            numbered = any(task is not None for task, _ in seen)
            yield from self._failures(log, place, file, seen, numbered=numbered)
            yield from self._killed(log, place, file, seen, numbered=numbered)

    def _failures(
        self, log: Log, place: int, file: Path, seen: set[_Key], *, numbered: bool
    ) -> Iterator[Trajectory]:
        """Yields the rollouts that failed for good."""
        path = _next(file, _FAILURES)
        if path is None:
            if numbered:
                log.losses.add("failures_file_missing", str(file))
            return
        if not path.stat().st_size:  # as a run leaves it where nothing failed
            return
        last: dict[_Key, int] = {}
        first = replace(log, losses=Losses())  # what is torn is counted in the second reading
        for index, (where, value) in enumerate(first.documents(path)):
            last[_key(Record(value, where, first, self, place, index))] = index
        for index, (where, value) in enumerate(log.documents(path)):
            record = Record(value, where, log, self, place, index)
            record.file = path
            key = _key(record)
            if key in seen or last[key] != index:
                record.lose("failure_tried_again")
            else:
                yield _trajectory(record, file)
        seen.update(last)

    def _killed(
        self, log: Log, place: int, file: Path, seen: set[_Key], *, numbered: bool
    ) -> Iterator[Trajectory]:
        """Yields the planned rollouts that are in no file."""
        path = _next(file, _PLAN)
        if path is None:
            if numbered:
                log.losses.add("plan_file_missing", str(file))
            return
        for index, (where, value) in enumerate(log.documents(path)):
            record = Record(value, where, log, self, place, index)
            record.file = path
            if _key(record) not in seen:
                record.lose("planned_not_run")
                yield _trajectory(record, file)


def _next(file: Path, kind: str) -> Path | None:
    """Returns the file of a kind that stands beside a file of rollouts, if there is one."""
    stem, dot, rest = file.name.partition(".jsonl")
    path = file.with_name(f"{stem}{kind}{dot}{rest}")
    if not path.is_file():
        path = file.with_name(f"{stem}{kind}.jsonl")
    return path if dot and path != file and path.is_file() else None


def _key(record: Fields) -> _Key:
    """Returns which rollout of which task it is; one of its own where it does not say."""
    task, trial = record.whole(_TASK), record.whole(_TRIAL)
    return (None, record.where) if task is None else (task, trial)


def _trajectory(record: Record, file: Path) -> Trajectory:
    """Returns one rollout of those of `file`; tasks are numbered in each file anew."""
    asked = record.within("responses_create_params")
    items = _asked(asked)
    first = len(items)
    response = record.within("response")
    output = flat(response.items("output"), response)
    items.take(objects(output, f"{response.where}.output", record.losses, _ITEM))
    steps, marks = join(items, items.turns)
    number, trial = record.whole(_TASK), record.whole(_TRIAL)
    if number is None:
        record.lose("group_is_prompt")
        task = prompt_name(json.dumps(asked.raw.get("input"), sort_keys=True))
    else:
        task = f"{plain_name(file).removesuffix('.jsonl')}/{number}"
    task += record.run(1)
    agent = record.within("agent_ref").text("name")
    group = record.groups.name(task, agent) if agent else task
    outcome, end = _outcome(record, response, answered=first < len(items))
    measured, kind = _is_measured(record), record.raw.get(_FAILED) or record.raw.get(_KIND)
    at = record.origin(agent=agent or None, failure=as_text(kind))
    return record.trajectory(
        task,
        steps,
        trial=record.groups.trial(group) if trial is None else trial,
        id=f"{group}/{trial}" if trial is not None else f"{at.path}/{at.index}{record.run(1)}",
        group=group,
        outcome=record.scored(outcome),
        rewards=record.scores("reward_components") if measured else {},
        measured=measured,
        end=end,
        marks=marks,
        ledger=Ledger(tokens=_generated(items)),
        origin=at,
    )


def _asked(asked: Fields) -> Items:
    """Returns the steps of the request."""
    items = Items()
    if instructions := asked.text("instructions"):
        items.append(SystemStep(text=instructions))
    given = asked.raw.get("input")
    if isinstance(given, str):
        items.append(UserStep(text=given))
    else:
        items.take(asked.each("input", _ITEM), copied=True)
    return items


def _outcome(record: Record, response: Fields, *, answered: bool) -> tuple[float | None, End]:
    """Returns the reward, if it is a measurement, and how the rollout ended."""
    if record.raw.get(_FAILED) or record.raw.get("response") is None:
        return None, "infra"
    kind, outcome = record.raw.get(_KIND) or None, record.score("reward")
    if not _is_measured(record):
        record.lose("reward_masked" if record.raw.get(_MASKED) else "reward_of_failure")
        if kind is not None:
            return None, "infra"
        outcome = None
    elif kind is not None:
        record.lose(f"failure_kind:{kind}")
    if response.raw.get("error") is not None:
        return outcome, "infra"
    reason = response.within("incomplete_details").text("reason")
    if reason.startswith("max_") or record.raw.get("truncated") is True:
        return outcome, "budget"
    return outcome, "unknown" if reason or not answered else "answered"


def _is_measured(record: Record) -> bool:
    masked = record.maybe(_MASKED, bool)
    return not record.raw.get(_KIND) if masked is None else not masked


def _generated(items: Items) -> int | None:
    """Returns how many tokens the policy wrote; None where the log has no ids."""
    return sum(len(turn.response) for turn in items.turns) if items.turns else None

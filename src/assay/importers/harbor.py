"""Harbor job folders: `<job>/<task>__<id>/{result.json, agent/trajectory.json, verifier/}`.

A trial's reward counts only where Harbor itself calls it valid: no exception, or one that says that
the agent used up its budget or refused. Otherwise the outcome is None, never 0.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.files.probe import probe
from assay.files.reading import contents
from assay.files.strict import parse
from assay.importers.atif import Atif, parts_of
from assay.importers.base import Importer, Log, Rank, Record, keys
from assay.importers.fields import Fields
from assay.records import End, Ledger, Trajectory

_BUDGET = keys(
    "AgentTimeoutError ContextWindowExceededError OutputTokenExceededError"
    " ContextLengthExceededError OutputLengthExceededError"
)
"""Exceptions that Harbor files under "the agent exhausted its budget": the reward is valid."""
_REFUSED = keys("AgentSafetyRefusalError ContentPolicyViolationError")
"""Exceptions that Harbor files under "the agent refused the task": the reward is valid."""
_RESULT, _PARTS = "result.json", "agent/trajectory.json"


@final
class Harbor(Importer):
    """A job folder, one of its trial folders, or one trial's `result.json`."""

    name = "harbor"
    title = "Harbor job folder"
    record = "a trial result object"
    needs = "task_name trial_name task_checksum"

    def own(self, folder: Path) -> tuple[Path, ...]:
        folders = [folder, *sorted(inner for inner in folder.glob("*") if inner.is_dir())]
        return tuple(folders) if any(self._is_trial(each / _RESULT) for each in folders) else ()

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, each in enumerate(log.files):
            folder = each if each.is_dir() else each.parent
            result = folder / _RESULT
            if not result.is_file():
                if (folder / "config.json").is_file():
                    log.losses.add("trial_without_result", str(folder))
                continue
            if folder == log.path and not self._is_trial(result):
                continue  # the job's own summary
            record = Record(_json(result), str(result), log, self, place, 0)
            record.file = folder
            yield _trajectory(record, folder)

    def _is_trial(self, result: Path) -> bool:
        return result.is_file() and self.rank(probe(result)) is Rank.SHAPE


def _json(path: Path) -> Any:
    return parse(contents(path), str(path))


def _trajectory(record: Record, folder: Path) -> Trajectory:
    task, checksum = record.need("task_name", str), record.text("task_checksum")
    parts, named = _parts(record, folder)
    info = record.within("agent_info")
    agent = info.text("name") or named
    model = info.within("model_info").maybe("name", str) or parts.get("policy_version")
    key = f"{task}@{checksum[:12]}" if checksum else task
    group = record.groups.name(key, f"{agent}:{model or ''}")
    rewards = record.within("verifier_result").numbers("rewards")
    end, valid = _end(record)
    outcome = _outcome(rewards) if valid else None
    if outcome is None:
        record.lose("invalid_reward" if rewards else "no_outcome")
    if record.items("step_results"):
        record.lose("multi_step_trial")
    return record.trajectory(
        task,
        parts.pop("steps"),
        trial=record.groups.trial(group),
        group=group,
        outcome=outcome,
        rewards=rewards,
        end=end,
        origin=record.origin(agent=agent or None),
        **parts | {"id": record.need("trial_name", str), "policy_version": model},
    )


def _parts(record: Record, folder: Path) -> tuple[dict[str, Any], str]:
    """Returns the agent's trajectory, or nothing, counted, where the agent wrote none."""
    path = folder / _PARTS
    if path.is_file():
        return parts_of(Fields(_json(path), str(path), record.losses, Atif.record))
    record.lose("no_trajectory")
    return {"steps": (), "ledger": Ledger()}, ""


def _outcome(rewards: dict[str, float | None]) -> float | None:
    """Returns the part called "reward", else the sum of the parts; None where one is missing."""
    if "reward" in rewards:
        return rewards["reward"]
    parts = [value for value in rewards.values() if value is not None]
    return sum(parts) if parts and len(parts) == len(rewards) else None


def _end(record: Record) -> tuple[End, bool]:
    """Returns how the trial ended, and whether Harbor calls its reward valid."""
    kinds = [
        part.within("exception_info").need("exception_type", str)
        for part in (record, *record.each("step_results", "a step result object"))
        if part.raw.get("exception_info") is not None
    ]
    if any(kind not in _BUDGET | _REFUSED for kind in kinds):
        return "infra", False
    return ("budget" if any(kind in _BUDGET for kind in kinds) else "answered"), True

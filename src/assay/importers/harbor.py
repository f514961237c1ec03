"""Harbor job folders: `<job>/<task>__<id>/{result.json, agent/trajectory.json, verifier/}`; a trial
of several steps has `steps/<step>/agent/trajectory.json`, which are read as one trajectory.

A trial's reward counts only where Harbor itself calls it valid: no exception, or one that says that
the agent used up its budget or refused. Otherwise the outcome is None, never 0.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.files.probe import probe
from assay.importers.atif import Atif, chain, is_name, parts_of
from assay.importers.base import Importer, Log, Rank, Record, acted, keys
from assay.importers.fields import Fields
from assay.records import End, Ledger, Trajectory

_BUDGET = keys(
    "AgentTimeoutError ContextWindowExceededError OutputTokenExceededError"
    " ContextLengthExceededError OutputLengthExceededError"
)
"""Exceptions that Harbor files under "the agent exhausted its budget": the reward is valid."""
_REFUSED = keys("AgentSafetyRefusalError ContentPolicyViolationError")
"""Exceptions that Harbor files under "the agent refused the task": the reward is valid."""
_RESULT, _CONFIG, _PARTS = "result.json", "config.json", "agent/trajectory.json"
_DEEPEST = 3
"""Levels of folders above a trial: its job, a folder of jobs, and one that holds such folders."""


@final
class Harbor(Importer):
    """A folder of jobs, a job folder, one of its trial folders, or one trial's `result.json`."""

    name = "harbor"
    title = "Harbor job folder"
    record = "a trial result object"
    needs = "task_name trial_name task_checksum"

    def own(self, folder: Path) -> tuple[Path, ...]:
        return tuple(self._trials(folder, _DEEPEST))

    def parts(self, file: Path) -> tuple[Path, ...]:
        return (file if file.is_dir() else file.parent,)

    def read(self, log: Log) -> Iterator[Trajectory]:
        for place, each in enumerate(log.files):
            folder = each if each.is_dir() else each.parent
            result = folder / _RESULT
            if not result.is_file():
                log.losses.add("trial_without_result", str(folder))
            elif (value := log.document(result)) is not None:
                record = Record(value, str(result), log, self, place, 0)
                record.file = folder
                yield _trajectory(record, folder, log)

    def _trials(self, folder: Path, deep: int) -> list[Path]:
        """Returns the trial folders at or below a folder, and those beside them that were begun;
        nothing where there is no trial."""
        if self._is_trial(folder / _RESULT):
            return [folder]
        inner = sorted(each for each in folder.glob("*") if each.is_dir()) if deep else []
        found = [(each, self._trials(each, deep - 1)) for each in inner]
        if not any(trials for _, trials in found):
            return []
        begun = {each: [each] if (each / _CONFIG).is_file() else [] for each, _ in found}
        return [trial for each, trials in found for trial in trials or begun[each]]

    def _is_trial(self, result: Path) -> bool:
        return result.is_file() and self.rank(probe(result)) is Rank.SHAPE


def _trajectory(record: Record, folder: Path, log: Log) -> Trajectory:
    task, checksum = record.need("task_name", str), record.text("task_checksum")
    parts, named = _parts(record, folder, log)
    info = record.within("agent_info")
    agent = info.text("name") or named
    model = info.within("model_info").maybe("name", str) or parts.get("policy_version")
    key = f"{task}@{checksum[:12]}" if checksum else task
    group = record.groups.name(key, f"{agent}:{model or ''}")
    parts |= {"id": record.need("trial_name", str), "policy_version": model}
    rewards = record.within("verifier_result").scores("rewards")
    end, valid = _end(record)
    if end == "answered" and not parts["steps"]:  # that nothing was raised is all that is known
        end = "unknown"
    outcome = _outcome(record, rewards) if valid else None
    if outcome is None and (not rewards or not valid):
        record.lose("invalid_reward" if rewards else "no_outcome")
    return record.trajectory(
        task,
        acted(parts.pop("steps"), outcome),
        trial=record.groups.trial(group),
        group=group,
        outcome=outcome,
        rewards=rewards | _of_steps(record),
        end=end,
        origin=record.origin(agent=agent or None),
        **parts,
    )


def _parts(record: Record, folder: Path, log: Log) -> tuple[dict[str, Any], str]:
    """Returns the agent's trajectory, or nothing, counted, where the agent wrote none."""
    documents: list[Fields] = []
    for path in _written(record, folder):
        if (value := log.document(path)) is not None:
            first = Fields(value, str(path), record.losses, Atif.record)
            documents += chain(first, path, log)
    if documents:
        return parts_of(documents)
    record.lose("no_trajectory")
    return {"steps": (), "ledger": Ledger()}, ""


def _written(record: Record, folder: Path) -> list[Path]:
    """Returns the agent's files: one, or one for each step of a trial of several steps."""
    if (folder / _PARTS).is_file():
        return [folder / _PARTS]
    names = [_name_of(step) for step in record.each("step_results", "a step result object")]
    files = [folder / "steps" / name / _PARTS for name in names if is_name(name)]
    found = [file for file in files if file.is_file()]
    if found and len(found) < len(names):
        record.lose("step_without_trajectory", len(names) - len(found))
    return found


def _name_of(step: Fields) -> str:
    return step.text("step_name")


def _of_steps(record: Record) -> dict[str, float | None]:
    """Returns the rewards of the steps of a trial, each by its step and its own name."""
    return {
        f"{_name_of(step)}/{name}": value
        for step in record.each("step_results", "a step result object")
        for name, value in step.within("verifier_result").scores("rewards").items()
    }


def _outcome(record: Record, rewards: dict[str, float | None]) -> float | None:
    """Returns the part called "reward", else the only part; of several parts none is chosen."""
    if "reward" in rewards:
        return rewards["reward"]
    if len(rewards) > 1 and record.choices.outcome is None:
        record.lose("outcome_not_named")
    return next(iter(rewards.values())) if len(rewards) == 1 else None


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

"""Harbor job folders: `<job>/<task>__<id>/{result.json, agent/trajectory.json, verifier/}`.

A trial's reward counts only where Harbor itself calls it valid: no exception, or one that says that
the agent used up its budget or refused. Otherwise the outcome is None, never 0.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.importers.atif import Parts, parts_of
from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import number, origin, take, typed
from assay.importers.reading import contents, parse
from assay.importers.tokens import Groups
from assay.records import End, Ledger, Trajectory

_BUDGET = frozenset(
    [
        "AgentTimeoutError",
        "ContextWindowExceededError",
        "OutputTokenExceededError",
        "ContextLengthExceededError",
        "OutputLengthExceededError",
    ]
)
"""Exceptions that Harbor files under "the agent exhausted its budget": the reward is valid."""
_REFUSED = frozenset(("AgentSafetyRefusalError", "ContentPolicyViolationError"))
"""Exceptions that Harbor files under "the agent refused the task": the reward is valid."""
_PARTS = PurePosixPath("agent/trajectory.json")


@final
class Harbor(Importer):
    """A job folder, one of its trial folders, or one trial's `result.json`."""

    name: ClassVar[str] = "harbor"
    title: ClassVar[str] = "Harbor job folder"

    def recognises(self, probe: Probe) -> bool:
        if not probe.names:
            return _is_trial(probe.first)
        for name in probe.names:
            if PurePosixPath(name).name == "result.json" and PurePosixPath(name).parts[2:] == ():
                try:
                    if _is_trial(_json(probe.path / name)):
                        return True
                except DataError:
                    continue
        return False

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        groups = Groups()
        for folder in _trials(path):
            result = folder / "result.json"
            if not result.is_file():
                if (folder / "config.json").is_file():
                    losses.add("trial_without_result", str(folder))
                continue
            record = typed(_json(result), dict, str(result), "a trial result object")
            if folder == path and not _is_trial(record):
                continue  # the job's own summary
            yield _trajectory(record, folder, groups, losses)


def _is_trial(value: Any) -> bool:
    return isinstance(value, dict) and all(
        key in value for key in ("task_name", "trial_name", "task_checksum")
    )


def _trials(path: Path) -> list[Path]:
    """Returns the folders that may be trials: the one given, then those in it, by name."""
    if path.is_file():
        return [path.parent]
    try:
        return [path, *sorted(inner for inner in path.iterdir() if inner.is_dir())]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def _json(path: Path) -> Any:
    return parse(contents(path), str(path))


def _trajectory(record: dict[str, Any], folder: Path, groups: Groups, losses: Losses) -> Trajectory:
    where = f"{folder}/result.json"
    task = take(record, "task_name", str, where)
    checksum = take(record, "task_checksum", str, where, default="")
    parts = _parts(folder, where, losses)
    agent, model = _agent(record, where, parts)
    group = groups.name(f"{task}@{checksum[:12]}" if checksum else task, f"{agent}:{model or ''}")
    rewards = _rewards(record, where)
    end, valid = _end(record, where)
    outcome = _outcome(rewards) if valid else None
    if outcome is None:
        losses.add("invalid_reward" if rewards else "no_outcome", where)
    if take(record, "step_results", list, where, default=[]):
        losses.add("multi_step_trial", where)
    return Trajectory(
        id=take(record, "trial_name", str, where),
        task=task,
        group=group,
        trial=groups.trial(group),
        steps=() if parts is None else parts.steps,
        outcome=outcome,
        rewards=rewards,
        end=end,
        policy_version=model,
        marks=() if parts is None else parts.marks,
        ledger=Ledger() if parts is None else parts.ledger,
        origin=origin("harbor", folder, 0, agent=agent or None),
    )


def _parts(folder: Path, where: str, losses: Losses) -> Parts | None:
    """Returns the agent's trajectory, or None, counted, where the agent wrote none."""
    path = folder / _PARTS
    if not path.is_file():
        losses.add("no_trajectory", where)
        return None
    return parts_of(_json(path), str(path), losses)


def _agent(record: dict[str, Any], where: str, parts: Parts | None) -> tuple[str, str | None]:
    info = take(record, "agent_info", dict, where, default={})
    model = take(info, "model_info", dict, f"{where}.agent_info", default={})
    name = take(model, "name", str, f"{where}.agent_info.model_info", default=None)
    agent = take(info, "name", str, f"{where}.agent_info", default="")
    if parts is not None:
        return agent or parts.agent, name or parts.policy
    return agent, name


def _rewards(record: dict[str, Any], where: str) -> dict[str, float | None]:
    verifier = take(record, "verifier_result", dict, where, default={})
    here = f"{where}.verifier_result.rewards"
    rewards = take(verifier, "rewards", dict, f"{where}.verifier_result", default={})
    return {name: number(rewards, name, here) for name in rewards}


def _outcome(rewards: dict[str, float | None]) -> float | None:
    """Returns the part called "reward", else the sum of the parts; None where one is missing."""
    if "reward" in rewards:
        return rewards["reward"]
    parts = [value for value in rewards.values() if value is not None]
    return sum(parts) if parts and len(parts) == len(rewards) else None


def _end(record: dict[str, Any], where: str) -> tuple[End, bool]:
    """Returns how the trial ended, and whether Harbor calls its reward valid."""
    kinds: list[str] = []
    steps = take(record, "step_results", list, where, default=[])
    for index, part in enumerate([record, *steps]):
        here = where if index == 0 else f"{where}.step_results[{index - 1}]"
        part = typed(part, dict, here, "a step result object")
        info = take(part, "exception_info", dict, here, default=None)
        if info is not None:
            kinds.append(take(info, "exception_type", str, f"{here}.exception_info"))
    if any(kind not in _BUDGET | _REFUSED for kind in kinds):
        return "infra", False
    return ("budget" if any(kind in _BUDGET for kind in kinds) else "answered"), True

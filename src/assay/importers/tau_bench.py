"""tau-bench results: one JSON array of `{task_id, trial, reward, info, traj}`.

`tool_call_id` is not unique there, so calls are paired with results by position. A row whose
`info.reward_info` is null ran into the step limit; a row whose `info` has an `error` never ran to
its end, so its reward of 0 is no score.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import count_keys, experts_of, number, origin, steps_of, take, typed
from assay.importers.reading import documents
from assay.importers.recognise import log_files
from assay.records import End, Grade, Trajectory

_KEYS = frozenset({"task_id", "trial", "reward", "info", "traj"})
_INFO = frozenset({"task", "reward_info", "error", "traceback"})
_TASK = frozenset({"actions", "instruction", "user_id"})
_CHECKS = frozenset({"r_actions", "r_outputs"})


@final
class TauBench(Importer):
    """Lost: `user_cost`, `source`, the expected outputs and the expected database's hash."""

    name: ClassVar[str] = "tau_bench"
    title: ClassVar[str] = "tau-bench results"

    def recognises(self, probe: Probe) -> bool:
        return probe.log.is_list and probe.log.has("task_id", "reward", "info", "traj")

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        for file in log_files(path, self.recognises, losses):
            for index, (where, row) in enumerate(documents(file)):
                row = typed(row, dict, where, "an object with task_id, trial, reward, info, traj")
                yield _trajectory(row, where, file, index, losses)


def _trajectory(
    row: dict[str, Any], where: str, file: Path, index: int, losses: Losses
) -> Trajectory:
    count_keys(row, _KEYS, where, losses)
    task = str(take(row, "task_id", (int, str), where))
    trial = take(row, "trial", int, where, default=None)
    info = take(row, "info", dict, where)
    count_keys(info, _INFO, f"{where}.info", losses, kind="info")
    about = take(info, "task", dict, f"{where}.info", default={})
    count_keys(about, _TASK, f"{where}.info.task", losses, kind="task")
    actions = take(about, "actions", list, f"{where}.info.task", default=None)
    end, outcome = _end(row, info, where, losses)
    rewards, grades = _grades(info, f"{where}.info", losses)
    return Trajectory(
        id=f"{task}/{index if trial is None else trial}",
        task=task,
        group=task,
        trial=trial,
        steps=steps_of(take(row, "traj", list, where), f"{where}.traj", losses),
        outcome=outcome,
        rewards=rewards,
        grades=grades,
        expert=None if actions is None else experts_of(actions, f"{where}.info.task.actions"),
        end=end,
        origin=origin(
            "tau_bench",
            file,
            index,
            user_id=take(about, "user_id", str, f"{where}.info.task", default=None),
            instruction=take(about, "instruction", str, f"{where}.info.task", default=None),
        ),
    )


def _end(
    row: dict[str, Any], info: dict[str, Any], where: str, losses: Losses
) -> tuple[End, float | None]:
    """Returns how a row ended and its score; what infrastructure ended has none."""
    reward = number(row, "reward", where)
    if info.get("error") is not None:
        losses.add("score_of_infra_failure", f"{where}.info.error")
        return "infra", None
    if "reward_info" not in info:
        return "unknown", reward
    return ("budget" if info["reward_info"] is None else "answered"), reward


def _grades(
    info: dict[str, Any], where: str, losses: Losses
) -> tuple[dict[str, float | None], tuple[Grade, ...]]:
    """Returns the parts of the reward and the environment's own judgement."""
    checked = take(info, "reward_info", dict, where, default=None)
    if checked is None:
        return {}, ()
    where = f"{where}.reward_info"
    count_keys(checked, frozenset({"reward", "info", "actions"}), where, losses, kind="reward_info")
    parts = take(checked, "info", dict, where, default={})
    count_keys(parts, _CHECKS, f"{where}.info", losses, kind="reward_info")
    rewards = {k: _flag(parts, k, f"{where}.info") for k in sorted(_CHECKS & parts.keys())}
    by = " and ".join("database" if k == "r_actions" else "outputs" for k in rewards)
    grade = Grade(level="E3", value=number(checked, "reward", where), source=f"tau-bench {by}")
    return rewards, (grade,)


def _flag(parts: dict[str, Any], key: str, where: str) -> float | None:
    if isinstance(parts[key], bool):
        return float(parts[key])
    return number(parts, key, where)

"""tau-bench results: one JSON array of `{task_id, trial, reward, info, traj}`.

`tool_call_id` is not unique there, so calls are paired with results by position. A row whose
`info.reward_info` is null ran into the step limit; a row whose `info` has an `error` never ran to
its end, so its reward of 0 is no score.
"""

from collections.abc import Iterator
from typing import final

from assay.files.probe import Probe
from assay.importers.base import Importer, Rank, Record, keys, prompt_name
from assay.importers.fields import Fields
from assay.importers.messages import MESSAGE, experts_in, steps_of
from assay.records import End, Grade, Trajectory

_KEYS = keys("task_id trial reward info traj")
_INFO = keys("task reward_info error traceback")
_TASK = keys("actions instruction user_id")
_CHECKS = keys("r_actions r_outputs")


@final
class TauBench(Importer):
    """Lost: `user_cost`, `source`, the expected outputs and the expected database's hash."""

    name = "tau_bench"
    title = "tau-bench results"
    record = "an object with task_id, trial, reward, info, traj"
    needs = "task_id reward info traj"

    def rank(self, seen: Probe) -> Rank:
        return super().rank(seen) if seen.is_list else Rank.NO

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_KEYS)
        task, trial = record.name("task_id"), record.maybe("trial", int)
        info = record.within("info", needed=True)
        info.lose_unknown(_INFO, "info")
        about = info.within("task")
        about.lose_unknown(_TASK, "task")
        end, outcome = _end(record, info)
        rewards, grades = _grades(info)
        user, told = about.maybe("user_id", str), about.maybe("instruction", str)
        if told is not None:  # files of several domains count their tasks each for itself
            task = record.groups.name(f"task {task}", prompt_name(told)).removeprefix("task ")
        group = f"{task}{record.run(0)}"  # a file is of one model
        number = record.index if trial is None else trial
        yield record.trajectory(
            task,
            steps_of(record.each("traj", MESSAGE, needed=True)),
            trial=trial,
            id=f"{group}/{number}",
            group=group,
            outcome=outcome,
            rewards=rewards,
            grades=grades,
            expert=experts_in(about, "actions"),
            end=end,
            origin=record.origin(user_id=user, instruction=told),
        )


def _end(record: Record, info: Fields) -> tuple[End, float | None]:
    """Returns how a row ended and its score; what infrastructure ended has none."""
    reward = record.score("reward")
    if info.raw.get("error") is not None:
        info.losses.add("score_of_infra_failure", f"{info.where}.error")
        return "infra", None
    if "reward_info" not in info.raw:
        return "unknown", reward
    return ("budget" if info.raw["reward_info"] is None else "answered"), reward


def _grades(info: Fields) -> tuple[dict[str, float | None], tuple[Grade, ...]]:
    """Returns the parts of the reward and the environment's own judgement."""
    if info.raw.get("reward_info") is None:
        return {}, ()
    checked = info.within("reward_info")
    checked.lose_unknown(keys("reward info actions"), "reward_info")
    parts = checked.within("info")
    parts.lose_unknown(_CHECKS, "reward_info")
    rewards = {key: parts.score(key) for key in sorted(_CHECKS & parts.raw.keys())}
    by = " and ".join("database" if key == "r_actions" else "outputs" for key in rewards)
    return rewards, (Grade(level="E3", value=checked.score("reward"), source=f"tau-bench {by}"),)

"""InterCode results: one JSON object of episodes per model, with a reward for every turn.

An episode's outcome is its best reward. Models stand in for trials: they are numbered by file, and
they are not samples of one policy.
"""

import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.messages import command_text, count_keys, number, origin, take, typed
from assay.importers.reading import documents
from assay.importers.recognise import log_files
from assay.records import Call, Grade, ModelStep, Step, ToolStep, Trajectory, UserStep

_KEYS = frozenset(
    {"environment", "dataset", "task_id", "query", "turn_history", "summary", "hardness"}
)
_TURNS = frozenset({"actions", "observations", "rewards", "valid_action"})
_SUMMARY = frozenset({"max_reward", "max_reward_idx", "turns_taken", "turns_max"})
_FILE = re.compile(r"^ic_[a-z]+_[a-z]+_(.+?)(?:_\d+_turns?)?$")
_SOLVED = 1.0


@final
class InterCode(Importer):
    """A folder of result files, or one of them. Nothing but a foreign key is lost."""

    name: ClassVar[str] = "intercode"
    title: ClassVar[str] = "InterCode results"

    def recognises(self, probe: Probe) -> bool:
        first = probe.log.first
        if probe.log.is_list or not isinstance(first, dict):
            return False
        episode = next(iter(first.values()), None)
        return isinstance(episode, dict) and {"turn_history", "task_id"} <= episode.keys()

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        first_set: str | None = None
        for trial, file in enumerate(log_files(path, self.recognises, losses)):
            model = _FILE.sub(r"\1", file.stem)
            for where, document in documents(file):
                episodes = typed(document, dict, where, "an object of episodes")
                for index, (key, value) in enumerate(episodes.items()):
                    here = f"{where} episode {key[:40]!r}"
                    episode = typed(value, dict, here, "an episode object")
                    data = take(episode, "dataset", str, here, default="")
                    first_set = data if first_set is None else first_set
                    prefix = "" if data == first_set else f"{data}#"
                    yield _trajectory(episode, here, losses, prefix, trial, model, file, index)


def _trajectory(
    episode: dict[str, Any],
    where: str,
    losses: Losses,
    prefix: str,
    trial: int,
    model: str,
    file: Path,
    index: int,
) -> Trajectory:
    """One episode. `prefix` keeps tasks of different data sets with equal ids apart."""
    count_keys(episode, _KEYS, where, losses)
    task = prefix + str(take(episode, "task_id", (int, str), where))
    environment = take(episode, "environment", str, where, default="")
    query = take(episode, "query", str, where)
    steps, rewards = _turns(episode, environment.removeprefix("ic_") or "act", where, losses)
    outcome = max((r for r in rewards if r is not None), default=None)
    summary = take(episode, "summary", dict, where, default={})
    count_keys(summary, _SUMMARY, f"{where}.summary", losses, kind="summary")
    if number(summary, "max_reward", f"{where}.summary") not in (None, outcome):
        losses.add("max_reward_differs", where)
    taken = take(summary, "turns_taken", int, f"{where}.summary", default=len(rewards))
    most = take(summary, "turns_max", int, f"{where}.summary", default=None)
    cut = most is not None and taken >= most and (outcome is None or outcome < _SOLVED)
    return Trajectory(
        id=f"{task}/{trial}",
        task=task,
        group=task,
        trial=trial,
        steps=(UserStep(text=query), *steps),
        outcome=outcome,
        grades=() if outcome is None else (Grade(level="E3", value=outcome, source="InterCode"),),
        end="budget" if cut else "answered",
        policy_version=model,
        origin=origin(
            "intercode",
            file,
            index,
            environment=environment or None,
            dataset=take(episode, "dataset", str, where, default=None),
            hardness=take(episode, "hardness", (str, int), where, default=None),
        ),
    )


def _turns(
    episode: dict[str, Any], name: str, where: str, losses: Losses
) -> tuple[list[Step], list[float | None]]:
    """Returns a model step per action, each with the observation that follows, and the rewards."""
    where = f"{where}.turn_history"
    turns = take(episode, "turn_history", dict, where.removesuffix(".turn_history"))
    count_keys(turns, _TURNS, where, losses, kind="turn_history")
    actions = take(turns, "actions", list, where)
    given = take(turns, "rewards", list, where)
    seen = take(turns, "observations", list, where, default=[])
    valid = take(turns, "valid_action", list, where, default=[])
    if len(given) != len(actions) or len(seen) > len(actions) or len(valid) > len(actions):
        raise DataError(
            f"{where}: got {len(actions)} actions, {len(given)} rewards, {len(seen)} observations "
            f"and {len(valid)} valid_action; expected one reward per action and no more of the rest"
        )
    steps: list[Step] = []
    rewards: list[float | None] = []
    for index, (action, observation, ok) in enumerate(zip_longest(actions, seen, valid)):
        here = f"{where}.actions[{index}]"
        action = typed(action, str, here, "the text of an action")
        rewards.append(number({"rewards": given[index]}, "rewards", f"{where}[{index}]"))
        call = Call(name=name, arguments=command_text(action))
        steps.append(ModelStep(calls=(call,), reward=rewards[-1]))
        if index >= len(seen):
            losses.add("action_without_observation", here)
            continue
        ok = None if ok is None else typed(ok, bool, f"{where}.valid_action[{index}]", "a bool")
        steps.append(
            ToolStep(
                text=_text(observation, f"{where}.observations[{index}]", losses),
                name=name,
                call=(len(steps), 0),
                error=None if ok is None else not ok,
            )
        )
    return steps, rewards


def _text(observation: Any, where: str, losses: Losses) -> str:
    """Returns an observation as text; the Python environments log other values now and then."""
    if isinstance(observation, str):
        return observation
    losses.add("observation_as_json", where)
    return json.dumps(observation, ensure_ascii=False)

"""InterCode results: one JSON object of episodes per model, with a reward for every turn.

An episode's outcome is its best reward. Models stand in for trials: they are numbered by file, and
they are not samples of one policy.
"""

import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, final

from assay.errors import DataError
from assay.files.probe import Probe
from assay.importers.base import Importer, Log, Rank, Record, graded, keys
from assay.importers.fields import Fields, typed
from assay.importers.messages import command_text
from assay.records import Call, ModelStep, Step, ToolStep, Trajectory, UserStep

_KEYS = keys("environment dataset task_id query turn_history summary hardness")
_TURNS = keys("actions observations rewards valid_action")
_SUMMARY = keys("max_reward max_reward_idx turns_taken turns_max")
_FILE = re.compile(r"^ic_[a-z]+_[a-z]+_(.+?)(?:_\d+_turns?)?$")
_SOLVED = 1.0


@final
class InterCode(Importer):
    """A folder of result files, or one of them. Nothing but a foreign key is lost."""

    name = "intercode"
    title = "InterCode results"
    record = "an episode object"
    _trial: int = 0
    """Number of the file that is read."""

    def rank(self, seen: Probe) -> Rank:
        if seen.is_list or not isinstance(seen.first, dict):
            return Rank.NO
        episode = next(iter(seen.first.values()), None)
        own = isinstance(episode, dict) and {"turn_history", "task_id"} <= episode.keys()
        return Rank.SHAPE if own else Rank.NO

    def records(self, log: Log, file: Path) -> Iterator[tuple[str, Any]]:
        self._trial = log.groups.trial("file")
        for where, document in log.documents(file):
            for key, episode in typed(document, dict, where, "an object of episodes").items():
                yield f"{where} episode {key[:40]!r}", episode

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_KEYS)
        data = record.text("dataset")
        # tasks of different data sets with equal ids are kept apart
        first = record.groups.owner.setdefault("dataset", data) == data
        task = ("" if first else f"{data}#") + record.name("task_id")
        environment, query = record.text("environment"), record.need("query", str)
        steps, rewards = _turns(record, environment.removeprefix("ic_") or "act")
        outcome = max((r for r in rewards if r is not None), default=None)
        yield record.trajectory(
            task,
            (UserStep(text=query), *steps),
            trial=self._trial,
            outcome=outcome,
            grades=graded(outcome, "InterCode"),
            end="budget" if _is_cut(record, outcome, len(rewards)) else "answered",
            policy_version=_FILE.sub(r"\1", record.file.stem),
            origin=record.origin(
                environment=environment or None,
                dataset=record.maybe("dataset", str),
                hardness=record.maybe_name("hardness"),
            ),
        )


def _is_cut(record: Record, outcome: float | None, turns: int) -> bool:
    """Did the episode use up its turns without a solution?"""
    summary = record.within("summary")
    summary.lose_unknown(_SUMMARY, "summary")
    if summary.score("max_reward") not in (None, outcome):
        record.lose("max_reward_differs")
    taken, most = summary.maybe("turns_taken", int), summary.maybe("turns_max", int)
    taken = turns if taken is None else taken
    return most is not None and taken >= most and (outcome is None or outcome < _SOLVED)


def _turns(record: Record, name: str) -> tuple[list[Step], list[float | None]]:
    """Returns a model step per action, each with the observation that follows, and the rewards."""
    turns = record.within("turn_history", needed=True)
    turns.lose_unknown(_TURNS, "turn_history")
    where, actions, given = turns.where, turns.need("actions", list), turns.need("rewards", list)
    seen, valid = turns.items("observations"), turns.items("valid_action")
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
        if type(paid := given[index]) is not float:
            paid = Fields({"rewards": paid}, f"{where}[{index}]", turns.losses).score("rewards")
        rewards.append(paid)
        call = Call(name=name, arguments=command_text(action))
        steps.append(ModelStep(calls=(call,), reward=paid))
        if index >= len(seen):
            turns.losses.add("action_without_observation", here)
            continue
        if ok is not None:
            ok = typed(ok, bool, f"{where}.valid_action[{index}]", "a bool")
        if not isinstance(observation, str):
            # the Python environments log other values now and then
            turns.losses.add("observation_as_json", f"{where}.observations[{index}]")
            observation = json.dumps(observation, ensure_ascii=False)
        error = None if ok is None else not ok
        steps.append(ToolStep(text=observation, name=name, call=(len(steps), 0), error=error))
    return steps, rewards

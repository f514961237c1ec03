"""Public sets that are known by their columns, and what to type for a table that is not.

- nebius/SWE-rebench-openhands-trajectories, nebius/SWE-agent-trajectories
- SWE-bench/SWE-smith-trajectories, SWE-Gym/OpenHands-Sampled-Trajectories
- `harbor traces export`, with or without `--sharegpt`
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from assay.importers.base import keys
from assay.importers.columns import Map


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of table."""

    name: str
    known: frozenset[str]
    """The columns that it is known by."""
    map: Map
    model_ends: str = ""
    """Where the model's name ends in its column, which goes on with other things."""
    void: str = ""
    """A column that is true where the reward was not measured."""
    repeats: tuple[str, ...] = ()
    """Columns that rows of one trajectory share: each row repeats the one before and goes on."""
    excepted: bool = False
    """The reward's column has the name of an exception where there was one."""


def _map(columns: str, parts: str = "", *, fenced: bool = False) -> Map:
    first, second = (dict(pair.split("=", 1) for pair in text.split()) for text in (columns, parts))
    return Map(first, second, fenced)


PRESETS = (
    Preset(
        "swe_rebench_openhands",
        keys("trajectory_id instance_id trajectory exit_status resolved"),
        _map(
            "task=instance_id id=trajectory_id messages=trajectory reward=resolved end=exit_status",
            "gen_tests_correct=gen_tests_correct pred_passes_gen_tests=pred_passes_gen_tests",
        ),
    ),
    Preset(
        "swe_agent_trajectories",
        keys("instance_id model_name target trajectory exit_status generated_patch"),
        _map(
            "task=instance_id model=model_name messages=trajectory reward=target end=exit_status",
            fenced=True,
        ),
    ),
    Preset(
        "swe_smith",
        keys("messages instance_id traj_id resolved model"),
        _map(
            "task=instance_id id=traj_id model=model messages=messages reward=resolved",
            fenced=True,
        ),
    ),
    Preset(
        "swe_gym_openhands",
        keys("messages instance_id run_id resolved test_result"),
        _map("task=instance_id trial=run_id model=run_id messages=messages reward=resolved"),
        model_ends="_maxiter_",
        void="test_result.report.error_eval",
    ),
    Preset(
        "harbor_traces",
        keys("conversations agent model task episode run_id trial_name result"),
        _map("task=task id=trial_name model=model messages=conversations reward=result"),
        repeats=("run_id", "trial_name", "agent"),
        excepted=True,
    ),
)

SHAREGPT = Preset("sharegpt", keys("conversations"), _map("id=id messages=conversations"))
"""Conversations and nothing else that is known."""

_PLAIN = re.compile(r"[\w.-]{1,60}")
_GUESSES: Mapping[str, str] = {
    "task": "task_id instance_id problem_id question_id prompt_id task example_id uid",
    "reward": "reward resolved score target success passed is_correct correct label",
    "messages": "messages trajectory conversations conversation chat history dialog dialogue",
    "prompt": "prompt question input instruction query",
    "completion": "completion response output answer generation",
    "id": "trajectory_id traj_id rollout_id sample_id",
    "trial": "trial sample_idx sample_index rollout_index attempt",
    "end": "exit_status stop_reason finish_reason end_reason",
    "model": "model model_name",
}
"""Names that columns have, the likeliest first."""


def preset_of(columns: Collection[str], first: Any = None) -> Preset | None:
    """Returns the set that a table with these columns is of; None: none that is known.

    Args:
        columns: of the table.
        first: its first row, where that is at hand.
    """
    known = set(columns)
    for preset in PRESETS:
        if preset.known <= known:
            return preset
    said = first.get("conversations") if isinstance(first, dict) else None
    return SHAREGPT if isinstance(said, list) and _is_chat(said) and "from" in said[0] else None


def proposed(columns: Collection[str], first: Any = None) -> str:
    """Returns the `--map` to type for a table with these columns and this first row; "" where
    nothing in it looks like what a policy said."""
    found = {
        key: name
        for key, names in _GUESSES.items()
        if (name := next((name for name in names.split() if name in columns), None))
    }
    if "messages" not in found and isinstance(first, dict):
        chats = [key for key, value in first.items() if _is_chat(value) and _PLAIN.fullmatch(key)]
        if chats:
            found["messages"] = chats[0]
    if "messages" in found:
        found.pop("prompt", None)
        found.pop("completion", None)
    if not found.keys() & {"messages", "completion"}:
        return ""
    return "--map " + ",".join(f"{key}={name}" for key, name in found.items())


def _is_chat(value: Any) -> bool:
    """Does a value begin as a conversation does?"""
    message = value[0] if isinstance(value, list) and value else None
    return isinstance(message, dict) and ("role" in message or {"from", "value"} <= message.keys())

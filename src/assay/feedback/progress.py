"""How far towards a pass a trajectory came, by what the world says of it without being asked."""

from collections.abc import Sequence
from typing import Final

from assay.kernels.constancy import bar
from assay.records import ModelStep, Trajectory
from assay.verify.canonical import call_form

STATE: Final = "state"
"""The environment says how far each turn has brought its task (`Environment.progress`)."""
EXPERT: Final = "expert"
"""A solution of the task is known, and which of its calls were made."""


def progress(
    pairs: Sequence[tuple[Trajectory, Trajectory]],
    of: Sequence[Trajectory],
    pass_at: float = 1.0,
) -> tuple[str, list[tuple[float, float]]] | None:
    """Returns what measures progress and the progress of each pair, in [0, 1]; 1 is a pass alone.

        state    the largest of the environment's `progress` after a turn, its last turn left out
        expert   e / (n + 1): e of the n calls of a known solution were made and ran

    The first that all trajectories have; None: neither. Nobody is asked, and no hint is read.

    Args:
        pairs: replays of one task, scored.
        of: the trajectory that each pair plays again: it holds the solution.
        pass_at: a trajectory passes at this outcome or above.
    """
    for name, measure in ((STATE, _by_state), (EXPERT, _by_expert)):
        found: list[tuple[float, float]] = []
        for pair, record in zip(pairs, of, strict=True):
            told, bare = (_reached(measure(each, record), each, pass_at) for each in pair)
            if told is None or bare is None:
                break
            found.append((told, bare))
        else:
            return (name, found) if found else None
    return None


def _reached(way: float | None, record: Trajectory, pass_at: float) -> float | None:
    if way is None:
        return None
    return 1.0 if (record.outcome or 0.0) >= bar(pass_at) else min(max(way, 0.0), 1.0)


def _by_state(record: Trajectory, _: Trajectory) -> float | None:
    """Returns the best state before the last turn, whose score is the outcome."""
    turns = [step for step in record.steps if type(step) is ModelStep]
    states = [step.scores.get(STATE) for step in turns]
    if not states or any(state is None for state in states):
        return None
    return max((state for state in states[:-1] if state is not None), default=0.0)


def _by_expert(record: Trajectory, of: Trajectory) -> float | None:
    if not of.expert:
        return None
    known = {call_form(call.name, call.arguments) for call in of.expert}
    made = {
        call_form(call.name, call.arguments)
        for step in record.steps
        if type(step) is ModelStep
        for call in step.calls
        if call.evidence.ran is not False
    }
    return len(known & made) / (len(known) + 1)

"""The goal that a failure did reach, set as its task.

HER 2017, https://arxiv.org/abs/1707.01495; AgentHER 2026, https://arxiv.org/abs/2603.21357. The
environment names the goal (`Environment.achieved`) after the turns were played again: nothing is
sampled, and there is no label noise. A state change is required, and a turn that did not run rules
a failure out. It is trained under the new task at an importance of at most 1, as it was sampled
under another one.
"""

from typing import ClassVar, final

from msgspec import structs

from assay.records import Grade, ModelStep, Step, ToolStep, Trajectory
from assay.rescue.base import (
    NO_TOKENS,
    Case,
    Rung,
    Table,
    Try,
    has_tokens,
    opening,
    turns,
)
from assay.rollout.start import seed_of
from assay.verify.observation import is_error
from assay.world.environment import Environment


@final
class Relabel(Rung):
    """A failure under the task that it does solve."""

    name: ClassVar[str] = "relabel"
    gives: ClassVar[str] = "the goal that a failure did reach, as the environment names it"

    def lacks(self, case: Case) -> str | None:
        """Returns what is missing: a failure that answered, behind calls that all ran."""
        found = [each for each in case.group if _of_use(each)]
        if not found:
            return "a failure that changed the state: all its calls ran, and it ended by itself"
        return None if any(map(has_tokens, found)) else NO_TOKENS

    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns the failure that reached a goal most like the one that was set: in as many words
        as possible; of equal ones the first. What is longer, or easier, would train that."""
        found: list[tuple[int, int, Try]] = []
        for at, record in enumerate(case.group):
            environment = table.make()
            if not _of_use(record) or not has_tokens(record):
                continue
            goal = _reached(record, table, environment)
            if goal is not None:
                made = _as_solved(record, goal, table, environment)
                found.append((_apart_in_words(goal, record), at, made))
        return [each for _, _, each in sorted(found, key=lambda one: one[:2])][:1]


def _apart_in_words(goal: str, record: Trajectory) -> int:
    task = " ".join(step.text for step in opening(record))
    return abs(len(goal.split()) - len(task.split()))


def _of_use(record: Trajectory) -> bool:
    """Returns whether it ended by itself, and every turn before its last made calls that ran."""
    own = turns(record)
    answers = [step for step in record.steps if type(step) is ToolStep]
    ran = all(
        step.calls and all(call.evidence.ran is not False for call in step.calls)
        for step in own[:-1]
    )
    failed = any(is_error(s.text) if s.error is None else s.error for s in answers)
    return record.end == "answered" and len(own) > 1 and ran and not failed


def _reached(record: Trajectory, table: Table, environment: Environment) -> str | None:
    environment.reset(seed_of(record))
    for step in turns(record):
        turn = table.protocol.turn(step.text, environment, step.token_ids or ())
        list(table.protocol.played(environment, turn))
    return environment.achieved()


def _as_solved(record: Trajectory, goal: str, table: Table, environment: Environment) -> Try:
    """Returns the failure as a success at its goal."""
    read = table.protocol.opening(environment, goal, ())
    ids = table.protocol.prompt_ids(read, environment)
    new = tuple(
        structs.replace(step, token_ids=tuple(each)) for step, each in zip(read, ids, strict=True)
    )
    last = max(at for at, step in enumerate(record.steps) if type(step) is ModelStep)
    steps: list[Step] = [*new]
    for at, step in enumerate(record.steps[len(opening(record)) :], len(opening(record))):
        steps.append(_apart(step, 1.0 if at == last else None) if type(step) is ModelStep else step)
    made = structs.replace(
        record,
        steps=tuple(steps),
        outcome=1.0,
        rewards={},
        grades=(Grade(level="E3", value=1.0, source=f"world/{environment.title()}/achieved"),),
        expert=None,
        reference=None,
        prior=None,
    )
    return Try(made=made, of=record.id, goal=goal, opening=new)


def _apart(step: ModelStep, reward: float | None) -> ModelStep:
    """Returns a step without what was said of it as a step of another task."""
    calls = tuple(
        structs.replace(
            call, evidence=structs.replace(call.evidence, expert=None, sibling=None, state=None)
        )
        for call in step.calls
    )
    return structs.replace(step, calls=calls, reward=reward, belief=None, state_key=None, scores={})

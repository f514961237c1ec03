"""Records as a judge reads them: the task, and what was said and answered after it."""

from collections.abc import Iterator

from assay.records import ModelStep, ToolStep, Trajectory, UserStep
from assay.records.trajectory import Step


def task_of(record: Trajectory) -> str:
    """Returns what was read before the first turn."""
    return "\n".join(step.text for step in record.steps[: _first(record)])


def answer_of(record: Trajectory) -> str:
    """Returns all that came after, a step a line or more; nothing of outcomes, rewards or ids."""
    return "\n".join(_said(record.steps[_first(record) :]))


def _first(record: Trajectory) -> int:
    """Returns the place of the first model step; where there is none, the end."""
    steps = record.steps
    return next((at for at, step in enumerate(steps) if type(step) is ModelStep), len(steps))


def _said(steps: tuple[Step, ...]) -> Iterator[str]:
    for step in steps:
        if type(step) is ModelStep:
            yield f"AGENT: {step.text}"
            for call in step.calls:
                if not (call.name in step.text and call.arguments in step.text):
                    yield f"CALL: {call.name} {call.arguments}"
        elif type(step) is ToolStep:
            yield f"WORLD: {step.text}"
        elif type(step) is UserStep:
            yield f"USER: {step.text}"

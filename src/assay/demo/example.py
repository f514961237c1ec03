"""A group of a demo in which every trajectory failed: what was tried, and the signal of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from assay.files.lines import rows
from assay.records import ModelStep, Step, Trajectory, read

SHOWN: Final = 3
"""Failures that are shown."""


def example(run: Path) -> dict[str, Any] | None:
    """Returns the first group that was dead until one trajectory was rescued and earned something,
    as plain data for a page. None: no group of the run was.

    `failed` are what the policy wrote in failures of the group, `goal` the task that took the place
    of the one that was `asked` (None: none did), `steps` the rescued trajectory: who
    speaks, the text, whether it was `given` (and is not trained), and what a token of it earns.
    """
    for path in sorted((run / "rollouts").glob("step_*.jsonl*")):
        records = list(read(path))
        credit = {row["id"]: row for row in rows(run / "credit" / path.name)}
        for record in records:
            if record.rescue is not None and any(_earned(credit.get(record.id, {}))):
                beside = [each for each in records if each.group == record.group]
                return _told(record, [each for each in beside if each is not record], credit)
    return None


def _earned(row: Mapping[str, Any]) -> list[float]:
    return [each for each in row.get("step_advantage", ()) if each]


def _told(
    record: Trajectory, others: Sequence[Trajectory], credit: Mapping[str, Any]
) -> dict[str, Any]:
    row = credit[record.id]
    earned = iter(zip(row["step_advantage"], row["carried"], strict=True))
    alone = [each for each in others if each.rescue is None]
    return {
        "task": record.task,
        "id": record.id,
        "asked": _asked(alone[0] if alone else record),
        "goal": _asked(record) if record.rescue and record.rescue.goal else None,
        "members": len(others) + 1,
        "failed": [
            [step.text for step in each.steps if type(step) is ModelStep] for each in alone[:SHOWN]
        ],
        "rung": record.rescue.rung if record.rescue else "",
        "tokens": record.ledger.tokens,
        "steps": [_line(step, *next(earned)) if type(step) is ModelStep else _line(step)
                  for step in record.steps],
    }  # fmt: skip


def _asked(record: Trajectory) -> str:
    return next((step.text for step in record.steps if type(step) is not ModelStep), "")


def _line(step: Step, advantage: float | None = None, carried: int = 0) -> dict[str, Any]:
    wrote = type(step) is ModelStep
    return {
        "who": "policy" if wrote else "task",
        "text": step.text,
        "given": wrote and not carried,
        "advantage": advantage,
        "tokens": carried,
    }

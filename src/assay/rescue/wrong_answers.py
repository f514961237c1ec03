"""The answers that were wrong, listed under the task.

LTE (Learning to reason from Trial and Error) 2025, https://arxiv.org/abs/2510.26109: no teacher is
needed, only answers that can be taken out of the failures. Its tries see the list; they are trained
without it, at an importance of at most 1, where the paper weighs them by r / (r + gamma).
"""

from typing import ClassVar, Final, final

from assay.records import Trajectory
from assay.rescue.base import (
    Case,
    Rung,
    Table,
    Try,
    advice,
    advised,
    turns,
)
from assay.rollout.protocols.base import Protocol
from assay.world.environment import Environment

_MOST: Final = 8
"""Answers that are listed."""


@final
class WrongAnswers(Rung):
    """The task again, told which answers are wrong."""

    name: ClassVar[str] = "wrong_answers"
    gives: ClassVar[str] = "the answers that were wrong"

    def lacks(self, case: Case) -> str | None:
        """Returns what is missing: an answer that can be told from the rest of a turn."""
        said = any(
            span.role == "answer"
            for each in case.group
            for step in turns(each)
            for span in step.spans
        )
        return None if said else "an answer that can be told from the rest of what was written"

    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns tries of the task with its wrong answers under it."""
        environment = table.make()
        said = [answer_of(each, table.protocol, environment) for each in case.group]
        wrong = [*dict.fromkeys(filter(None, said))][:_MOST]
        if not wrong:
            return []
        text = advice(table.protocol, f"not {', '.join(wrong)}")
        return advised(case, table, text, n=count)


def answer_of(record: Trajectory, protocol: Protocol, environment: Environment) -> str:
    """Returns the answer that a trajectory ended with; empty: none."""
    for step in reversed(turns(record)):
        spans = protocol.turn(step.text, environment, step.token_ids or ()).spans
        said = "".join(step.text[s.start : s.end] for s in spans if s.role == "answer")
        if said.strip():
            return said.strip()
    return ""

"""What the world said to a turn that failed, and what the policy does next.

Fission-GRPO 2026, https://arxiv.org/abs/2601.15625: a failed tool call, the error message behind
it, and continuations are sampled anew from there. Here the message is the world's own; where a
failure has several errors one is drawn; what stands before is read and not trained, where the paper
trains the continuations as a group of their own.
"""

from dataclasses import replace
from typing import ClassVar, final

from assay.records import ModelStep, ToolStep, Trajectory
from assay.rescue.base import NO_TOKENS, Case, Rung, Table, Try, has_tokens
from assay.rescue.prefix import going_on
from assay.rollout.start import Start
from assay.verify.observation import is_error


@final
class Feedback(Rung):
    """Goes on behind an error that the world answered a failed turn with."""

    name: ClassVar[str] = "feedback"
    gives: ClassVar[str] = "the world's own error message"

    def lacks(self, case: Case) -> str | None:
        """Returns what is missing: a turn behind an error."""
        if not any(map(_behind_errors, case.group)):
            return "an error that the world answered a turn with, and a turn behind it"
        whole = any(_behind_errors(each) and has_tokens(each) for each in case.group)
        return None if whole else NO_TOKENS

    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns tries from errors that are drawn with equal chance among all of the group."""
        found = [
            (record, at)
            for record in case.group
            if has_tokens(record)
            for at in _behind_errors(record)
        ]
        chosen = [found[int(n)] for n in table.rng.integers(len(found), size=count)]
        return [
            replace(
                going_on(case, table, Start(record, at), of=record.id),
                given=record.steps[at - 1].text,
            )
            for record, at in chosen
        ]


def _behind_errors(record: Trajectory) -> list[int]:
    """Returns the numbers of steps of the turns that follow on an error."""
    return [
        at
        for at, (before, step) in enumerate(zip(record.steps, record.steps[1:], strict=False), 1)
        if type(step) is ModelStep and type(before) is ToolStep and _failed(before)
    ]


def _failed(step: ToolStep) -> bool:
    return is_error(step.text) if step.error is None else step.error

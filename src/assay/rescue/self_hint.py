"""A hint that the policy writes for itself.

NuRL 2025, https://arxiv.org/abs/2509.25666: an abstract hint, self-written, is put under a task
that is never solved. There it is written from the right answer, offline; here from a failure alone,
so that no truth is needed, and one that names the answer is not given.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final, final

from assay.records import Ledger, Trajectory, UserStep
from assay.rescue.base import (
    Case,
    Rung,
    Table,
    Try,
    advice,
    advised,
    opening,
    turns,
)
from assay.verify.leaks import leaks

ASK: Final = (
    "{task}\n{attempt}\nThis attempt failed. Write one line that helps with the task and does not "
    "give the answer."
)
_MOST: Final = 200
"""Characters of a hint."""


@final
class SelfHint(Rung):
    """The task again, under a line that the policy wrote about a failure."""

    name: ClassVar[str] = "self_hint"
    gives: ClassVar[str] = "a hint that the policy writes itself, from a failure"

    def lacks(self, case: Case) -> str | None:
        """Returns what is missing: something that was written."""
        written = any(map(turns, case.group))
        return None if written else "a failure that a hint could be written from"

    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns tries of one group."""
        return self.planned([case], table, count)[0]

    def planned(self, cases: Sequence[Case], table: Table, count: int) -> list[list[Try]]:
        """Returns the tries of each group; all hints are written at once, one a group."""
        about = [case.group[int(table.rng.integers(len(case.group)))] for case in cases]
        prompts = [_prompt(record, table) for record in about]
        made: list[list[Try]] = []
        for case, record, (said, tokens) in zip(cases, about, table.write(prompts), strict=True):
            line = next((each.strip() for each in said.splitlines() if each.strip()), "")[:_MOST]
            good = bool(line) and not leaks(line, record)
            text = advice(table.protocol, line)
            mine = advised(case, table, text, of=record.id, n=count) if good else []
            cost = Ledger(tokens=tokens)
            # a hint that is of no use has cost as much
            first = [replace(mine[0], spent=cost)] if mine else [Try(spent=cost)]
            made.append([*first, *mine[1:]])
        return made


def _prompt(record: Trajectory, table: Table) -> list[int]:
    """Returns the ids of what the policy is asked."""
    task = "\n".join(step.text for step in opening(record))
    attempt = "".join(step.text for step in record.steps[len(opening(record)) :])
    asked = UserStep(text=ASK.format(task=task, attempt=attempt))
    ids = table.protocol.prompt_ids((asked,), table.make())
    return [token for each in ids for token in each]

"""What somebody knows who can solve the task: a right hint, or the first turns of a solution.

Context alone, never trained: POPE 2026, https://arxiv.org/abs/2601.18779; QuestA 2025,
https://arxiv.org/abs/2507.13266; Scaf-GRPO 2025, https://arxiv.org/abs/2510.19807. It is withdrawn
as training goes on (`anneal`), by giving it more rarely, or less of it.
"""

from typing import ClassVar, final

from assay.rescue.base import Case, Rung, Table, Try, advised
from assay.rescue.prefix import behind
from assay.rollout.experts import followed
from assay.rollout.start import points, seed_of
from assay.verify.leaks import leaks


@final
class Oracle(Rung):
    """The task under the environment's right hint, or behind its expert's first turns."""

    name: ClassVar[str] = "oracle"
    gives: ClassVar[str] = "a right hint, or the first turns of a solution"

    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns tries under the hint, each given with the chance that is left; or behind some of
        the expert's turns (`prefix.behind`), of as many as are left."""
        return (_hinted if table.oracle == "hint" else _behind)(case, table, count)


def _hinted(case: Case, table: Table, count: int) -> list[Try]:
    environment = table.make()
    environment.reset(seed_of(case.first))
    text = environment.hint("right")
    given = int((table.rng.random(count) < table.left).sum())
    if text is None or leaks(text, case.first):
        return []
    return advised(case, table, text, n=given)


def _behind(case: Case, table: Table, count: int) -> list[Try]:
    environment = table.make()
    if environment.reset(seed_of(case.first)) and environment.best() is None:
        return []
    record = followed(environment, seed_of(case.first), table.protocol)
    found = points(record)[1:]
    return behind(record, found[: round(table.left * len(found))], case, table, count)

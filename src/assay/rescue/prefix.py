"""Going on from a place of an earlier trajectory of one's own.

Prefix Sampling 2026, https://arxiv.org/abs/2605.05112: a success's first turns are a head start
where most fail, a failure's are a handicap where most pass. Failure-prefix conditioning 2026,
https://arxiv.org/abs/2601.20829. The state is rebuilt by playing the turns again; they are read and
not trained.

Both papers steer to a pass rate of one half. Here a place with so many turns left is drawn with a
weight of c (1 - c), c being how often tries with so many turns left succeeded of late: what nearly
always succeeds teaches as little as what never does. So help gets less as the policy gets better.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, final

import numpy as np

from assay.records import ModelStep, Trajectory
from assay.rescue.base import (
    NO_TOKENS,
    Case,
    Rung,
    Table,
    Try,
    has_tokens,
    plan,
)
from assay.rollout.start import Start, points


class _Behind(Rung):
    """Goes on from a place of what is remembered of the task."""

    what: ClassVar[str]
    """ "success" or "failure": a field of `Case`."""

    def lacks(self, case: Case) -> str | None:
        """Returns what is missing: a record with two turns and tokens."""
        record: Trajectory | None = getattr(case, self.what)
        if record is None:
            return f"an earlier {self.what} at this task"
        if len(points(record)) < 2:
            return f"a {self.what} at this task with more than one turn"
        return None if has_tokens(record) else NO_TOKENS

    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns tries from places of the record."""
        record: Trajectory = getattr(case, self.what)
        return behind(record, points(record)[1:], case, table, count)


@final
class Prefix(_Behind):
    """A head start: the first turns of the policy's own last success at the task."""

    name: ClassVar[str] = "prefix"
    gives: ClassVar[str] = "first turns of an earlier success of its own"
    what: ClassVar[str] = "success"


@final
class Handicap(_Behind):
    """For a group in which all passed: the first turns of its last failure."""

    name: ClassVar[str] = "handicap"
    gives: ClassVar[str] = "first turns of an earlier failure of its own"
    of_failed: ClassVar[bool] = False
    what: ClassVar[str] = "failure"


def behind(
    record: Trajectory, places: Sequence[int], case: Case, table: Table, count: int
) -> list[Try]:
    """Returns tries that go on from places of a record, drawn as above."""
    if not places:
        return []
    left = [sum(each >= place for each in points(record)) for place in places]
    chance = np.array([table.chance(turns) for turns in left])
    weight = chance * (1 - chance)
    drawn = table.rng.choice(len(places), size=count, p=weight / weight.sum())
    return [
        replace(going_on(case, table, Start(record, places[at])), left=left[at])
        for at in drawn.tolist()
    ]


def going_on(case: Case, table: Table, start: Start, *, of: str | None = None) -> Try:
    """Returns a try that goes on from a start; what stands before it is read and not trained."""
    given = "".join(step.text for step in start.shared if type(step) is ModelStep)
    return Try(planned=plan(case, table, start=start), of=of, given=given, copied=len(start.shared))

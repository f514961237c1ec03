"""Going on from a place of an earlier trajectory of one's own.

Prefix Sampling 2026, https://arxiv.org/abs/2605.05112: a success's first turns are a head start
where most fail, a failure's are a handicap where most pass. Failure-prefix conditioning 2026,
https://arxiv.org/abs/2601.20829. The state is rebuilt by playing the turns again; they are read and
not trained. How far to go is drawn evenly here, where the first paper steers it to a pass rate of
one half.
"""

from typing import ClassVar, final

from assay.records import ModelStep, Trajectory
from assay.rescue.base import (
    NO_TOKENS,
    NO_WORLD,
    Case,
    Rung,
    Table,
    Try,
    has_tokens,
    is_played,
    plan,
)
from assay.rollout.start import Start, points


@final
class Prefix(Rung):
    """A head start: the first turns of the policy's own last success at the task."""

    name: ClassVar[str] = "prefix"
    gives: ClassVar[str] = "first turns of an earlier success of its own"

    def missing(self, case: Case) -> str | None:
        """Returns what is missing: a success with two turns and tokens."""
        return _missing(case.success, "success", is_played(case.first))

    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns tries from places of the success that are drawn with equal chance."""
        return _from(case.success, case, table, count)


@final
class Handicap(Rung):
    """For a group in which all passed: the first turns of its last failure."""

    name: ClassVar[str] = "handicap"
    gives: ClassVar[str] = "first turns of an earlier failure of its own"
    of_failed: ClassVar[bool] = False

    def missing(self, case: Case) -> str | None:
        """Returns what is missing: a failure with two turns and tokens."""
        return _missing(case.failure, "failure", is_played(case.first))

    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns tries from places of the failure that are drawn with equal chance."""
        return _from(case.failure, case, table, count)


def _missing(record: Trajectory | None, what: str, played: bool) -> str | None:
    if record is None:
        return f"an earlier {what} at this task"
    if len(points(record)) < 2:
        return f"a {what} at this task with more than one turn"
    if not has_tokens(record):
        return NO_TOKENS
    return None if played else NO_WORLD


def _from(record: Trajectory | None, case: Case, table: Table, count: int) -> list[Try]:
    found = () if record is None else points(record)[1:]
    if record is None or not found:
        return []
    cuts = [int(found[int(at)]) for at in table.rng.integers(len(found), size=count)]
    return [going_on(case, table, Start(record, cut)) for cut in cuts]


def going_on(case: Case, table: Table, start: Start, *, of: str | None = None) -> Try:
    """Returns a try that goes on from a start; what stands before it is read and not trained."""
    given = "".join(step.text for step in start.shared if type(step) is ModelStep)
    return Try(planned=plan(case, table, start=start), of=of, given=given, copied=len(start.shared))

"""What a log says of its dead groups: which rungs could rescue each, and what the others lack."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

from msgspec import structs

from assay.kernels.constancy import bar
from assay.records import Trajectory
from assay.rescue.base import Case
from assay.rescue.ladder import LADDER
from assay.rescue.settings import RUNGS
from assay.verify.claims import claim_of
from assay.verify.outcome import resolve


@final
@dataclass(frozen=True, slots=True)
class Explained:
    """One group in which every trajectory failed."""

    group: str
    task: str
    size: int
    missing: dict[str, str | None]
    """By rung what it lacks, in words. None: it can be tried."""

    @property
    def able(self) -> tuple[str, ...]:
        """The rungs that can be tried."""
        return tuple(name for name, lacks in self.missing.items() if lacks is None)


def explain(records: Iterable[Trajectory], *, pass_at: float = 1.0) -> list[Explained]:
    """Returns the groups in which all failed, two or more, in the order of the log.

    A group counts as it does in the audit: by what was sampled without help and scored
    (`verify.outcome.resolve`), of a session its last; one that is left alone beside a rescued one
    was not single. What is looked for is in the records alone: an environment that they name is
    taken to be at hand.

    Args:
        records: of a log.
        pass_at: a trajectory passes at this outcome or above.
    """
    groups, successes = dict[str, dict[str, Trajectory]](), dict[str, Trajectory]()
    helped = set[str]()
    for record in records:
        if record.rescue is not None:
            helped.add(record.group)
            continue
        outcome = resolve(record, record.claim or claim_of(record.steps), pass_at=pass_at).value
        record = structs.replace(record, outcome=outcome)
        if outcome is None:
            continue
        members = groups.setdefault(record.group, {})
        members["session " + record.session if record.session else f"{len(members)}"] = record
        if outcome >= bar(pass_at):
            successes[record.task] = record
    return [
        _explained([*members.values()], successes.get(next(iter(members.values())).task))
        for group, members in groups.items()
        if len(members) + (group in helped) > 1
        and all((each.outcome or 0.0) < bar(pass_at) for each in members.values())
    ]


def _explained(members: Sequence[Trajectory], success: Trajectory | None) -> Explained:
    case = Case(group=tuple(members), success=success)
    missing = {name: LADDER[name].missing(case) for name in RUNGS}
    return Explained(case.first.group, case.first.task, len(members), missing)


def summary(explained: Sequence[Explained]) -> list[dict[str, Any]]:
    """Returns a row for each rung: what it gives, how many of the dead groups it could be tried
    on, and what the others lack most often."""
    rows: list[dict[str, Any]] = []
    for name in RUNGS:
        lacks = Counter(each.missing[name] for each in explained)
        able = lacks.pop(None, 0)
        most = lacks.most_common(1)
        rows.append(
            {
                "rung": name,
                "gives": LADDER[name].gives,
                "able": able,
                "missing": most[0][0] if most else None,
                "lacking": most[0][1] if most else 0,
            }
        )
    return rows

"""What became of tasks and of claims while the policy learned: by the versions that records name.

A version is ordered by the number in its name, as in "step_40" or "40". What was sampled with help
is told apart from what was not.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from assay.batch import CLAIMS, Batch
from assay.report.rescued import Helped

_NUMBERED: Final = re.compile(r"(?:[a-z_]*(?:step|version|checkpoint|iter)|v)?[-_ ]?([0-9]{1,12})")


class _Visit(NamedTuple):
    """What was scored of a task, without help, at one version."""

    at: int
    scored: int
    passed: int
    group: int
    """The first of its groups."""


def versions(names: Sequence[str | None]) -> tuple[list[int], Int64[np.ndarray, " K"]]:
    """Returns the numbers of all versions, ascending, and of each trajectory the place of its own
    among them; -1: its name has no number, or it has no name."""
    known = {name: _NUMBERED.fullmatch(name.lower()) for name in {*names} if name is not None}
    number = {name: int(found[1]) for name, found in known.items() if found}
    order = sorted({*number.values()})
    place = {name: order.index(each) for name, each in number.items()}
    at = (-1 if name is None else place.get(name, -1) for name in names)
    return order, np.fromiter(at, np.int64, len(names))


def course(
    batch: Batch,
    passed_K: Bool[np.ndarray, " K"],
    helped: Mapping[int, Helped],
    names: Sequence[str | None],
) -> dict[str, Any] | None:
    """Returns what became of tasks and claims, version by version; None: there is one at most.

    `versions`; by version `visited`, `solved` (tasks met, and passed at least once, without help),
    `gained`, `lost` (of those that were met before: solved now and not then, and the other way);
    `claims`, by what was verified a list of [those that claim success, all] for each version.
    `lost_tasks`: solved, and not once in any visit since: `group` of the last success, `last` of
    the last visit, `before` and `since` as [passed, scored]. `after_help`: solved with help before
    they were without: `k`, `group` and version (`at`) of the first such success; version (`then`)
    and group of the first without help, null where there was none yet; `since` as [passed, scored]
    without help after it.

    Args:
        batch: after the gates.
        passed_K: which trajectories passed.
        helped: those that had help, by number.
        names: of the version that sampled each trajectory.
    """
    order, at_K = versions(names)
    if len(order) < 2:
        return None
    scored_K = batch.once_K & ~np.isnan(batch.outcome_K) & (at_K >= 0)
    visits = _visits(batch, passed_K, scored_K, at_K)
    return {
        "versions": order,
        **_counts(visits, len(order)),
        "claims": {
            name: _claims(batch, scored_K & (passed_K == passed), at_K, len(order))
            for name, passed in (("passed", True), ("failed", False))
        },
        "lost_tasks": [*_lost(visits)],
        "after_help": [*_after_help(batch, passed_K, helped, visits, at_K)],
    }


def _visits(
    batch: Batch,
    passed_K: Bool[np.ndarray, " K"],
    alone_K: Bool[np.ndarray, " K"],
    at_K: Int64[np.ndarray, " K"],
) -> dict[int, list[_Visit]]:
    """Returns the visits of each task, in their order."""
    ks = np.flatnonzero(alone_K)
    task, at = batch.task_K[ks].astype(np.int64), at_K[ks]
    key, first, of = np.unique(task * (at_K.max() + 1) + at, return_index=True, return_inverse=True)
    scored = np.bincount(of, minlength=key.size).tolist()
    passed = np.bincount(of[passed_K[ks]], minlength=key.size).tolist()
    found: dict[int, list[_Visit]] = {}
    for n, k in enumerate(ks[first].tolist()):
        visit = _Visit(int(at_K[k]), scored[n], passed[n], int(batch.group_K[k]))
        found.setdefault(int(batch.task_K[k]), []).append(visit)
    return found


def _counts(visits: Mapping[int, Sequence[_Visit]], count: int) -> dict[str, list[int]]:
    found = {name: [0] * count for name in ("visited", "solved", "gained", "lost")}
    for mine in visits.values():
        for visit in mine:
            found["visited"][visit.at] += 1
            found["solved"][visit.at] += visit.passed > 0
        for before, visit in pairwise(mine):
            found["gained"][visit.at] += visit.passed > 0 and before.passed == 0
            found["lost"][visit.at] += visit.passed == 0 and before.passed > 0
    return found


def _claims(
    batch: Batch, of_K: Bool[np.ndarray, " K"], at_K: Int64[np.ndarray, " K"], count: int
) -> list[list[int]]:
    claimed_K = of_K & (batch.claim_K == CLAIMS.index("claimed"))
    both = (np.bincount(at_K[which], minlength=count) for which in (claimed_K, of_K))
    return np.stack([*both], axis=1).tolist()


def _total(visits: Sequence[_Visit]) -> list[int]:
    return [sum(each.passed for each in visits), sum(each.scored for each in visits)]


def _lost(visits: Mapping[int, Sequence[_Visit]]) -> Iterator[dict[str, Any]]:
    """Yields the tasks that were solved, and not in any visit since."""
    for mine in visits.values():
        solved = [n for n, each in enumerate(mine) if each.passed]
        if solved and solved[-1] + 1 < len(mine):
            until = solved[-1] + 1
            yield {
                "group": mine[until - 1].group,
                "last": mine[-1].group,
                "before": _total(mine[:until]),
                "since": _total(mine[until:]),
            }


def _after_help(
    batch: Batch,
    passed_K: Bool[np.ndarray, " K"],
    helped: Mapping[int, Helped],
    visits: Mapping[int, Sequence[_Visit]],
    at_K: Int64[np.ndarray, " K"],
) -> Iterator[dict[str, Any]]:
    """Yields the tasks that were solved with help when they never had been without."""
    first: dict[int, int] = {}
    for k in sorted(helped, key=lambda k: (at_K[k], k)):
        if passed_K[k] and at_K[k] >= 0 and helped[k].rescue.goal is None:
            first.setdefault(int(batch.task_K[k]), k)
    for task, k in first.items():
        mine = visits.get(task, ())
        since = [each for each in mine if each.at > at_K[k]]
        if any(each.passed for each in mine if each.at <= at_K[k]):
            continue
        then = next((each for each in since if each.passed), None)
        yield {
            "k": k,
            "group": int(batch.group_K[k]),
            "at": int(at_K[k]),
            "then": None if then is None else then.at,
            "then_group": None if then is None else then.group,
            "since": _total(since),
        }

"""Which decisions are replayed: a stratified sample of a log's, the same for the same seed.

A stratum is a kind of group (all-fail, mixed, all-pass) and a place in the trajectory (its first
step, its last, or between). A stratum of N decisions gets a share proportional to sqrt(N), so that
rare ones are seen without wasting the budget on them (power allocation, Bankier 1988); each chosen
decision then stands for N / n of the log, and every statistic weighs it so.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import final

from assay.kernels.constancy import bar
from assay.records import ModelStep, Trajectory


@final
@dataclass(frozen=True, slots=True, order=True)
class Chosen:
    """A decision that is replayed."""

    trajectory: str
    step: int
    """Index into the trajectory's `steps`."""
    stratum: str
    weight: float


def decisions(trajectory: Trajectory) -> tuple[int, ...]:
    """Returns the indices of what the policy itself decided: model steps that are no copies."""
    steps = enumerate(trajectory.steps)
    return tuple(i for i, s in steps if type(s) is ModelStep and s.untrainable != "copied")


def strata(
    trajectories: Sequence[Trajectory], *, pass_at: float = 1.0, tasks: Collection[str] = ()
) -> dict[str, list[tuple[int, int]]]:
    """Returns the decisions (trajectory, step) that can be replayed, by stratum.

    Trajectories that nobody scored have none: their end is not known. A node that several branches
    of a tree share is one decision, of the first.

    Args:
        trajectories: the log.
        pass_at: a trajectory passes at this outcome or above.
        tasks: only of these. Empty: of all.
    """
    kinds = _kinds(trajectories, pass_at)
    found: dict[str, list[tuple[int, int]]] = {}
    nodes = set[tuple[str, str]]()
    for number, each in enumerate(trajectories):
        if each.outcome is None or (tasks and each.task not in tasks):
            continue
        own = decisions(each)
        for at in own:
            step = each.steps[at]
            node = step.node if type(step) is ModelStep else None
            if node is not None and (each.tree or each.task, node) in nodes:
                continue
            if node is not None:
                nodes.add((each.tree or each.task, node))
            place = "last" if at == own[-1] else "first" if at == own[0] else "middle"
            found.setdefault(f"{kinds[each.group]}/{place}", []).append((number, at))
    return dict(sorted(found.items()))


def _kinds(trajectories: Sequence[Trajectory], pass_at: float) -> dict[str, str]:
    passes: dict[str, set[bool]] = {}
    for each in trajectories:
        if each.outcome is not None:
            passes.setdefault(each.group, set()).add(each.outcome >= bar(pass_at))
    return {
        group: "mixed" if len(seen) > 1 else "all-pass" if True in seen else "all-fail"
        for group, seen in passes.items()
    }


def allotted(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Returns how many of each stratum are taken: one, then by sqrt(size), at most all of it.

    Each next one goes to the stratum with the largest sqrt(size) / (2 n + 1), as seats do by
    Sainte-Lague.
    """
    taken = dict.fromkeys(sizes, 0)
    for _ in range(min(total, sum(sizes.values()))):
        free = [name for name in sizes if taken[name] < sizes[name]]
        first = [name for name in free if not taken[name]]
        best = max(first or free, key=lambda name: math.sqrt(sizes[name]) / (2 * taken[name] + 1))
        taken[best] += 1
    return taken


def choose(
    trajectories: Sequence[Trajectory],
    total: int,
    *,
    seed: int,
    pass_at: float = 1.0,
    tasks: Collection[str] = (),
) -> list[Chosen]:
    """Returns the decisions that are replayed, in the order of the log."""
    found = strata(trajectories, pass_at=pass_at, tasks=tasks)
    count = allotted({name: len(each) for name, each in found.items()}, total)
    chosen: list[tuple[int, int, str]] = []
    for name, each in found.items():
        drawn = Random(f"{seed}/{name}").sample(each, count[name])
        chosen += [(number, at, name) for number, at in drawn]
    return [
        Chosen(trajectories[number].id, at, name, len(found[name]) / count[name])
        for number, at, name in sorted(chosen)
    ]


def chains(chosen: Sequence[Chosen], records: Mapping[str, Trajectory]) -> Iterator[list[Chosen]]:
    """Yields neighbours together: the value after a decision is the value before the next one."""
    chain: list[Chosen] = []
    for each in chosen:
        if chain and not follows(each, chain[-1], records):
            yield chain
            chain = []
        chain.append(each)
    if chain:
        yield chain


def follows(each: Chosen, last: Chosen, records: Mapping[str, Trajectory]) -> bool:
    """Is a decision the next one of the same trajectory?"""
    same = each.trajectory == last.trajectory
    return same and next_point(records[each.trajectory], last.step) == each.step


def next_point(record: Trajectory, step: int) -> int | None:
    """Returns where the trajectory can be gone on from after a step: before its next model step.
    None: the step is its last."""
    later = range(step + 1, len(record.steps))
    return next((at for at in later if type(record.steps[at]) is ModelStep), None)

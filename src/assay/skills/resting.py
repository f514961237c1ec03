"""What a skill rests on, within a bound: the best pieces of evidence, and counts of the others.

Of the others their tasks stay known, as stretches of numbers: whoever must not be measured on what
a skill learnt from (`runs.held_out`) sees them still.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import structs

from assay.skills.skill import Evidence, Rest, Skill

EVIDENCE: Final = 16
"""Pieces of evidence that a skill keeps, at most."""
PLACES: Final = 8
"""Kinds of tasks that the others are counted by; what is of more kinds is counted together."""
_LEVELS: Final = ("none", "E0", "E1", "E2", "E3", "E4")
_LONGEST: Final = 18
"""Digits of a number of a task."""


def joined(skill: Skill, fresh: Iterable[Evidence], most: int) -> Skill:
    """Returns a skill that rests on more.

    Where the new evidence has all that was kept it is taken for the same log, read again or grown,
    and counted once. Otherwise a trajectory that was counted and not kept is counted again where it
    comes again: counts are exact for logs that are the same, grown or apart. Those of one name are
    told apart by their digests, where these are known.

    Args:
        skill: as it is.
        fresh: evidence, its digests known, the oldest first; of a trajectory the first counts.
        most: pieces to keep.
    """
    old = {(each.trajectory, each.digest): each for each in skill.evidence}
    new = dict[tuple[str, str], Evidence]()
    for each in fresh:
        bare = each.trajectory, ""
        key = bare if bare in old else (each.trajectory, each.digest)
        new.setdefault(key, old.get(key, each))
    again = old.keys() <= new.keys()
    whole = new if again else {**old, **new}
    return _bounded(skill, [*whole.values()], most, again=again)


def bounded(skill: Skill, most: int) -> Skill:
    """Returns a skill that keeps at most so many pieces of evidence: of the strongest level, of
    these with steps that are known, of these the newest."""
    if len(skill.evidence) <= most:
        return skill
    return _bounded(skill, skill.evidence, most, again=False)


def _bounded(skill: Skill, evidence: Sequence[Evidence], most: int, *, again: bool) -> Skill:
    def worth(at: int) -> tuple[int, bool, int]:
        return _LEVELS.index(evidence[at].level), bool(evidence[at].steps), at

    best = sorted(sorted(range(len(evidence)), key=worth)[-most:])
    kept = tuple(evidence[at] for at in best)
    left = [each for at, each in enumerate(evidence) if at not in {*best}]
    before = {each.tasks: each for each in skill.rest}
    found = _counted(left, before)
    for name, one in found.items():
        old = before.get(name)
        before[name] = one if old is None else _both(old, one, again=again)
    rest = tuple(before[name] for name in sorted(before))
    return structs.replace(skill, evidence=kept, rest=rest)


def _counted(left: Iterable[Evidence], before: Mapping[str, Rest]) -> dict[str, Rest]:
    """Returns counts by how the names of tasks begin, in places that there are."""
    made: dict[str, Rest] = {}
    for each in left:
        name, number = split(each.task)
        places = {*before, *made, ""}
        if number is None or (name not in places and len(places) > PLACES):
            name = ""
        one = Rest(tasks=name, count=1)
        if number is not None:
            one = structs.replace(one, first=number, last=number)
        made[name] = _both(made[name], one, again=False) if name in made else one
    return made


def _both(one: Rest, other: Rest, *, again: bool) -> Rest:
    """Returns counts together: their sum, or the larger one of the same read again."""
    count = max(one.count, other.count) if again else one.count + other.count
    known = [each for each in (one, other) if each.first <= each.last]
    if not known:
        return Rest(tasks=one.tasks, count=count)
    first, last = min(each.first for each in known), max(each.last for each in known)
    return Rest(tasks=one.tasks, count=count, first=first, last=last)


def split(task: str) -> tuple[str, int | None]:
    """Returns how a task's name begins, and the number behind its last slash; None: there is no
    number, and all of it is the name."""
    name, _, number = task.rpartition("/")
    if number.isdecimal() and number.isascii() and len(number) <= _LONGEST:
        return name, int(number)
    return task, None

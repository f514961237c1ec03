"""What each skill did: attempts that it was shown to against those that it was held back from.

    help = passes where shown - passes where held back

Both were retrieved for the same tasks, and chance chose between them, so that the difference is
the skill's doing and no property of its tasks (`Shelf.drawn`).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from assay.kernels.constancy import bar
from assay.kernels.wilson import apart, wilson
from assay.records import Trajectory
from assay.skills.bank import Bank
from assay.skills.building import category_of
from assay.skills.shelf import BANK, HELD, SHOWN
from assay.skills.skill import Exposure

Exposures = dict[tuple[str, str], Exposure]
"""By id of the skill and category of the tasks."""


def exposures(records: Iterable[Trajectory], pass_at: float = 1.0) -> Exposures:
    """Returns what skills were shown to and held back from; what nobody scored is left out."""
    found: Exposures = {}
    for record in records:
        if record.outcome is None or record.origin is None:
            continue
        passed, category = int(record.outcome >= bar(pass_at)), category_of(record)
        for name in (SHOWN, HELD):
            one = _one(name == SHOWN, passed)
            for id in record.origin.extra.get(name, "").split():
                found[id, category] = found.get((id, category), Exposure()).plus(one)
    return found


def _one(shown: bool, passed: int) -> Exposure:
    return Exposure(shown=1, passed=passed) if shown else Exposure(held=1, held_passed=passed)


def by_skill(found: Exposures) -> dict[str, Exposure]:
    """Returns exposures by skill, all categories together."""
    made: dict[str, Exposure] = {}
    for (id, _), each in found.items():
        made[id] = made.get(id, Exposure()).plus(each)
    return made


def base(records: Iterable[Trajectory], pass_at: float = 1.0) -> dict[str, tuple[int, int]]:
    """Returns passes and attempts by category, of scored ones that named a bank and were shown
    nothing of it."""
    made: dict[str, tuple[int, int]] = {}
    for record in records:
        extra = record.origin.extra if record.origin else {}
        if BANK not in extra or extra.get(SHOWN) or record.outcome is None:
            continue
        passed, count = made.get(category_of(record), (0, 0))
        more = int(record.outcome >= bar(pass_at))
        made[category_of(record)] = passed + more, count + 1
    return made


def banks(records: Iterable[Trajectory]) -> dict[str, int]:
    """Returns how many attempts name each bank; "" is none."""
    made: dict[str, int] = {}
    for record in records:
        name = record.origin.extra.get(BANK, "") if record.origin else ""
        made[name] = made.get(name, 0) + 1
    return made


def overall(found: Iterable[Exposure]) -> Exposure:
    """Returns exposures together."""
    made = Exposure()
    for each in found:
        made = made.plus(each)
    return made


def used(found: Iterable[Exposure]) -> str:
    """Returns whether a bank is used at all, in a word: "helps", "harms" where the interval of its
    skills' help together leaves 0 out, "unclear" where it does not, "untold" where chance held
    nothing back."""
    seen = overall(found).help
    if seen is None:
        return "untold"
    return "helps" if seen[1] > 0 else "harms" if seen[2] < 0 else "unclear"


def rows(bank: Bank, found: Exposures) -> Iterator[dict[str, Any]]:
    """Yields what a report says of each skill and category: exposure, help and harm with their
    intervals, where it comes from, and what became of it.

    `help`: value, low and high, or None. `harm` is failures where shown, with Wilson's interval.
    """
    seen = {id for id, _ in found}
    places = [*found, *((each.id, each.category) for each in bank.skills if each.id not in seen)]
    known = {each.id: each for each in bank.skills}
    for id, category in sorted(places):
        each, skill = found.get((id, category), Exposure()), known.get(id)
        lost = each.shown - each.passed
        yield {
            "id": id,
            "category": category,
            "kind": skill.kind if skill else None,
            "status": skill.status if skill else "unknown",
            "principle": skill.principle if skill else None,
            "when": skill.when if skill else None,
            "shown": each.shown,
            "passed": each.passed,
            "held": each.held,
            "held_passed": each.held_passed,
            "help": list(each.help) if each.help else None,
            "harm": [lost / each.shown, *wilson(lost, each.shown)] if each.shown else None,
            "from": [
                {"trajectory": e.trajectory, "task": e.task, "steps": [*e.steps], "level": e.level}
                for e in (skill.evidence if skill else ())
            ],
            "why": skill.why if skill else "",
        }


def difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float, float]:
    """Returns second less first of (passes, attempts), with its 95 % interval (Newcombe)."""
    shares = [passed / count for passed, count in (first, second)]
    low, high = apart(shares[0], wilson(*first), shares[1], wilson(*second))
    return shares[1] - shares[0], low, high

"""What each skill did: attempts that it was shown to against those that it was held back from.

    help = passes where shown - passes where held back

Both were retrieved for the same tasks, and chance chose between them, so that the difference is
the skill's doing and no property of its tasks (`Shelf.drawn`).
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, final

import msgspec

from assay.kernels.constancy import bar
from assay.kernels.wilson import apart, wilson
from assay.records import Trajectory
from assay.skills.bank import Bank
from assay.skills.building import category_of
from assay.skills.shelf import BANK, HELD, SHOWN
from assay.skills.skill import Exposure, Skill

Exposures = dict[tuple[str, str], Exposure]
"""By id of the skill and category of the tasks."""


@final
class Tally:
    """Counts what attempts saw of banks, one at a time."""

    def __init__(self, pass_at: float = 1.0) -> None:
        """Begins at nothing."""
        self.pass_at = pass_at
        self.found: Exposures = {}
        """What skills were shown to and held back from; what nobody scored is left out."""
        self.banks: dict[str, int] = {}
        """Attempts by the bank that they name; "" is none."""
        self.read, self.unscored = 0, 0
        """Of those that name one: how many were shown anything, and how many nobody scored."""

    def add(self, record: Trajectory) -> None:
        """Takes note of an attempt."""
        extra = record.origin.extra if record.origin else {}
        name = extra.get(BANK, "")
        self.banks[name] = self.banks.get(name, 0) + 1
        self.read += bool(extra.get(SHOWN))
        if record.outcome is None:
            self.unscored += bool(name)
            return
        passed, category = int(record.outcome >= bar(self.pass_at)), category_of(record)
        for key in (SHOWN, HELD):
            for id in dict.fromkeys(extra.get(key, "").split()):
                self._count((id, category), _one(key == SHOWN, passed))

    def absorb(self, other: "Tally") -> None:
        """Adds what another has counted."""
        for name, count in other.banks.items():
            self.banks[name] = self.banks.get(name, 0) + count
        for key, one in other.found.items():
            self._count(key, one)
        self.read, self.unscored = self.read + other.read, self.unscored + other.unscored

    def _count(self, key: tuple[str, str], one: Exposure) -> None:
        self.found[key] = self.found.get(key, Exposure()).plus(one)


def tallied(records: Iterable[Trajectory], pass_at: float = 1.0) -> Tally:
    """Returns what attempts saw of banks."""
    made = Tally(pass_at)
    for record in records:
        made.add(record)
    return made


def exposures(records: Iterable[Trajectory], pass_at: float = 1.0) -> Exposures:
    """Returns what skills were shown to and held back from; what nobody scored is left out."""
    return tallied(records, pass_at).found


def _one(shown: bool, passed: int) -> Exposure:
    return Exposure(shown=1, passed=passed) if shown else Exposure(held=1, held_passed=passed)


def by_skill(found: Exposures) -> dict[str, Exposure]:
    """Returns exposures by skill, all categories together."""
    made: dict[str, Exposure] = {}
    for (id, _), each in found.items():
        made[id] = made.get(id, Exposure()).plus(each)
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


def audited(bank: Bank, tally: Tally, versions: Collection[str]) -> dict[str, Any]:
    """Returns what a log says of a bank: what `assay skills audit` prints and the report shows.

    Args:
        bank: what its skills say, and what became of them.
        tally: of the log.
        versions: names of the bank's versions; attempts that name another read another bank.
    """
    seen = overall(tally.found.values())
    return {
        "bank": bank.name,
        "banks": tally.banks,
        "strange": sorted(name for name in tally.banks if name and name not in versions),
        "read": tally.read,
        "unscored": tally.unscored,
        "used": used(tally.found.values()),
        "help": list(seen.help) if seen.help else None,
        "skills": [*rows(bank, tally.found)],
    }


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
            **_about(skill),
            "shown": each.shown,
            "passed": each.passed,
            "held": each.held,
            "held_passed": each.held_passed,
            "help": list(each.help) if each.help else None,
            "harm": [lost / each.shown, *wilson(lost, each.shown)] if each.shown else None,
        }


def _about(skill: Skill | None) -> dict[str, Any]:
    """Returns what a bank says of a skill; of one that it does not hold, nothing."""
    trial = None if skill is None else skill.trial
    return {
        **{name: getattr(skill, name, None) for name in ("kind", "principle", "when", "writer")},
        "status": "unknown" if skill is None else skill.status,
        "why": "" if skill is None else skill.why,
        "trial": None if trial is None else msgspec.to_builtins(trial),
        "from": [
            {"trajectory": e.trajectory, "task": e.task, "steps": [*e.steps], "level": e.level}
            for e in (() if skill is None else skill.evidence)
        ],
        "rest": 0 if skill is None else skill.support - len(skill.evidence),
    }


def difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float, float]:
    """Returns second less first of (passes, attempts), with its 95 % interval (Newcombe)."""
    shares = [passed / count for passed, count in (first, second)]
    low, high = apart(shares[0], wilson(*first), shares[1], wilson(*second))
    return shares[1] - shares[0], low, high

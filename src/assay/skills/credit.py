"""What each skill did: rollouts that it was shown to against those that it was held back from.

    help = sum(y / p) / sum(1 / p) of those shown
         - sum(y / (1 - p)) / sum(1 / (1 - p)) of those held back

y is 1 where a rollout passed and 0 where it failed, p the probability with which the skill was
drawn to be shown to it. Both were retrieved for the same tasks, and chance chose between them
(`Shelf.drawn`), so that the difference is the skill's doing and no property of its tasks.

The plain difference, passes where shown less passes where held back, is the same where p is one
constant. Where p falls over a training (`[skills] fade`), those held back are the later rollouts
of a better policy, and it finds harm in a skill that does nothing; weighed by one over its
probability each arm stands for all rollouts. Horvitz and Thompson 1952, A Generalization of
Sampling Without Replacement From a Finite Universe, JASA 47; divided by the sum of weights, not by
the count of rollouts: Hajek 1971, in Foundations of Statistical Inference, p. 236.

The interval is Newcombe's of both arms' Wilson intervals (`kernels.wilson`), each at the count of
rollouts of equal weight that says as much (Kish): approximate, as weights go with passes.

Rollouts with p = 0 or p = 1 were not drawn by chance, and say nothing of help; those with p = 1
count as shown, for exposure and for harm. Where rollouts name no p, as in logs from before it was
named, one constant chance is assumed of them in a log, the share of what was retrieved that was
shown; likewise of what a bank from before then has counted of a skill (`Exposure`).

Outputs of one session of a group are one rollout, with one vote: of those that name the skill the
last scored one says what was shown and what became of it. Of a bank as a whole a rollout that drew
m skills counts m times, and the interval takes these for what one rollout says, as if they were all
alike (a design effect of the mean m, Kish): rather too wide than too narrow.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple, final

import msgspec

from assay.errors import DataError
from assay.kernels.constancy import bar
from assay.kernels.wilson import apart, wilson
from assay.records import Trajectory
from assay.skills.bank import Bank
from assay.skills.building import category_of
from assay.skills.shelf import BANK, CHANCE, HELD, SHOWN
from assay.skills.skill import Exposure, Skill

Exposures = dict[tuple[str, str], Exposure]
"""By id of the skill and category of the tasks."""


@final
class _Place(NamedTuple):
    """Where a rollout counts."""

    id: str
    category: str
    chance: float | None


@final
class Tally:
    """Counts what attempts saw of banks, one at a time."""

    def __init__(self, pass_at: float = 1.0) -> None:
        """Begins at nothing."""
        self.pass_at = pass_at
        self._counts: dict[_Place, Exposure] = {}
        """Whole numbers, so that parts come to the same in any order."""
        self._votes: dict[tuple[str, str, str], tuple[_Place, Exposure]] = {}
        """Of rollouts of several outputs, by group, session and skill."""
        self._alone, self._several = 0, set[tuple[str, str | None]]()
        """Scored rollouts that drew a skill: of one output, and of several by group and session."""
        self.banks: dict[str, int] = {}
        """Attempts by the bank that they name, all outputs of a session; "" is none."""
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
        chance = _chance(record.id, extra.get(CHANCE))
        drew = bool(extra.get(SHOWN) or extra.get(HELD))
        if drew and record.session is None:
            self._alone += 1
        elif drew:
            self._several.add((record.group, record.session))
        for key in (SHOWN, HELD):
            for id in dict.fromkeys(extra.get(key, "").split()):
                place, one = _Place(id, category, chance), _one(key == SHOWN, passed)
                if record.session is None:
                    _count(self._counts, place, one)
                else:
                    self._votes[record.group, record.session, id] = place, one

    def absorb(self, other: "Tally") -> None:
        """Adds what another has counted, of attempts that come later."""
        for name, count in other.banks.items():
            self.banks[name] = self.banks.get(name, 0) + count
        for place, one in other._counts.items():
            _count(self._counts, place, one)
        self._votes |= other._votes
        self._alone, self._several = self._alone + other._alone, self._several | other._several
        self.read, self.unscored = self.read + other.read, self.unscored + other.unscored

    @property
    def found(self) -> Exposures:
        """What skills were shown to and held back from; what nobody scored is left out."""
        counts, made = {**self._counts}, Exposures()
        for place, one in self._votes.values():
            _count(counts, place, one)
        unnamed = overall(one for place, one in counts.items() if place.chance is None)
        constant = unnamed.shown / max(unnamed.shown + unnamed.held, 1)
        for place in sorted(counts, key=lambda each: (each.chance is not None, each)):
            chance = constant if place.chance is None else place.chance
            key, one = (place.id, place.category), counts[place].at(chance)
            made[key] = made[key].plus(one) if key in made else one
        return made

    @property
    def help(self) -> tuple[float, float, float] | None:
        """Of all skills together: value, low and high. None: chance showed nothing, or held nothing
        back."""
        seen = overall(self.found.values())
        rollouts = self._alone + len(self._several)
        return seen.helped(rollouts / max(seen.shown + seen.held, 1))


def tallied(records: Iterable[Trajectory], pass_at: float = 1.0) -> Tally:
    """Returns what attempts saw of banks."""
    made = Tally(pass_at)
    for record in records:
        made.add(record)
    return made


def exposures(records: Iterable[Trajectory], pass_at: float = 1.0) -> Exposures:
    """Returns what skills were shown to and held back from; what nobody scored is left out."""
    return tallied(records, pass_at).found


def _count(counts: dict[_Place, Exposure], place: _Place, one: Exposure) -> None:
    counts[place] = counts.get(place, Exposure()).plus(one)


def _chance(id: str, text: str | None) -> float | None:
    """Returns the probability that a record names."""
    if text is None:
        return None
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0.0 <= found <= 1.0:
        raise DataError(
            f"{id}: origin.extra.{CHANCE} is {text!r}; expected a probability in [0, 1], with "
            "which its skills were drawn to be shown"
        )
    return found


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


def used(seen: tuple[float, float, float] | None) -> str:
    """Returns whether a bank is used at all, in a word: "helps", "harms" where the interval of its
    skills' help together leaves 0 out, "unclear" where it does not, "untold" where chance showed
    nothing or held nothing back."""
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
    found, seen = tally.found, tally.help
    return {
        "bank": bank.name,
        "banks": tally.banks,
        "strange": sorted(name for name in tally.banks if name and name not in versions),
        "read": tally.read,
        "unscored": tally.unscored,
        "used": used(seen),
        "help": list(seen) if seen else None,
        "skills": [*rows(bank, found)],
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

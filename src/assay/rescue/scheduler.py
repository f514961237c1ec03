"""Which groups are helped, and by which rung: a state machine over visits, saved with a run.

A task is helped once its group failed as a whole on `after` visits in a row. Rungs come in the
order of the settings. A rung that all but never succeeds rests: its tries of late, of which a tenth
is forgotten with each batch, must be at least 8 for it, and succeed more rarely than `floor`. So
what is of no use is not paid for in each batch, and is tried again from time to time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, final

from assay.kernels.constancy import bar
from assay.records import Trajectory, decode, encode
from assay.rescue.base import Case
from assay.rescue.settings import HANDICAP, Rescues

FORGET: Final = 0.9
"""What is left of the tries of late after a batch."""
ENOUGH: Final = 8.0
"""Tries of late that it takes to let a rung rest."""


@final
@dataclass(slots=True)
class Visit:
    """What is known of a task."""

    dead: int = 0
    """Visits in a row on which all failed."""
    rung: str = ""
    """Which rescued it last, and was not measured since; empty: none."""
    seed: int = 0
    """Names the task that was rescued."""
    at: int = 0
    """Batches that there had been when it was."""


@final
@dataclass(slots=True)
class Tally:
    """What a rung has cost and brought."""

    tried: int = 0
    """Groups for which it was tried."""
    rescued: int = 0
    tokens: int = 0
    forwards: int = 0
    later: int = 0
    """Trajectories without help, at the visit after it had rescued their task."""
    later_passed: int = 0
    """Of those: passed."""
    recent: float = 0.0
    recent_rescued: float = 0.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What came of a rung for a group."""

    rung: str
    task: str
    group: str
    rescued: bool
    seed: int = 0
    """Names the task."""
    tried: int = 0
    """Trajectories that were sampled."""
    tokens: int = 0
    forwards: int = 0
    came: tuple[tuple[int, bool], ...] = ()
    """Of each try that went on from an earlier trajectory: turns left, and whether it succeeded."""


def all_passed(group: Sequence[Trajectory], pass_at: float) -> bool | None:
    """Returns whether all members of a group passed, or all failed (False). None: some did, one is
    unscored, or it has fewer than two."""
    outcomes = [each.outcome for each in group]
    known = [outcome >= bar(pass_at) for outcome in outcomes if outcome is not None]
    if len(known) < max(2, len(outcomes)) or len({*known}) > 1:
        return None
    return known[0]


@final
@dataclass(slots=True)
class Scheduler:
    """Decides, and remembers. The same visits and events in the same order, the same state."""

    settings: Rescues
    pass_at: float = 1.0
    visits: dict[str, Visit] = field(default_factory=dict[str, Visit])
    tallies: dict[str, Tally] = field(default_factory=dict[str, Tally])
    successes: dict[str, Trajectory] = field(default_factory=dict[str, Trajectory])
    failures: dict[str, Trajectory] = field(default_factory=dict[str, Trajectory])
    places: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """By "RUNG/turns left": tries of late, and those that succeeded."""
    batches: int = 0
    """So far."""

    def __post_init__(self) -> None:
        """Begins a tally for each rung."""
        for name in self.settings.rungs:
            self.tallies.setdefault(name, Tally())

    def visited(self, groups: Iterable[Sequence[Trajectory]]) -> None:
        """Takes what was sampled of each task, without help, before anything is done for it."""
        self.batches += 1
        for tally in self.tallies.values():
            tally.recent *= FORGET
            tally.recent_rescued *= FORGET
        self.places = {name: [FORGET * n for n in each] for name, each in self.places.items()}
        for group in groups:
            task = group[0].task
            visit = self.visits.setdefault(task, Visit())
            outcomes = [each.outcome for each in group if each.outcome is not None]
            passed = sum(outcome >= bar(self.pass_at) for outcome in outcomes)
            self._measured(visit, len(outcomes), passed)
            visit.dead = visit.dead + 1 if outcomes and not passed else 0
            for each in group:
                self._remember(each)

    def _measured(self, visit: Visit, played: int, passed: int) -> None:
        """Notes what a task that was rescued came to later, without help, at its next visit."""
        if visit.rung:
            tally = self.tallies.setdefault(visit.rung, Tally())
            tally.later += played
            tally.later_passed += passed
        visit.rung = ""

    def due(self) -> list[int]:
        """Returns the seeds of tasks that are to be played again now: rescued long enough ago and
        not met since, those that are known longest first."""
        since = self.batches - self.settings.lag
        found = [each.seed for each in self.visits.values() if each.rung and each.at <= since]
        return found[: self.settings.again]

    def again(self, records: Iterable[Trajectory]) -> None:
        """Takes what tasks that were due came to. It is no visit: none is helped for it."""
        for record in records:
            known = record.outcome is not None
            passed = known and (record.outcome or 0.0) >= bar(self.pass_at)
            self._measured(self.visits[record.task], int(known), int(passed))

    def _remember(self, record: Trajectory) -> None:
        if record.outcome is None:
            return
        passed = record.outcome >= bar(self.pass_at)
        if ("prefix" if passed else HANDICAP) not in self.settings.rungs:
            return
        kept = self.successes if passed else self.failures
        kept.pop(record.task, None)
        kept[record.task] = record
        while len(kept) > self.settings.memory:
            del kept[next(iter(kept))]

    def open(
        self, groups: Sequence[Sequence[Trajectory]], *, failed: bool = True, taken: int = 0
    ) -> list[int]:
        """Returns which groups may be helped: those that failed often enough; or those that passed,
        for a handicap. No more than leave the rows that are not rescued their share, of which
        `taken` are rescued already."""
        most = self.settings.most(sum(map(len, groups))) - taken
        found = [
            at
            for at, group in enumerate(groups)
            if all_passed(group, self.pass_at) is not failed
            and all_passed(group, self.pass_at) is not None
            and (not failed or self._long_dead(group[0].task))
        ]
        return found[: max(0, most)]

    def _long_dead(self, task: str) -> bool:
        return self.visits.get(task, Visit()).dead >= self.settings.after

    def case(self, group: Sequence[Trajectory]) -> Case:
        """Returns a group with what is remembered of its task. What is remembered of one in which
        all failed, or all passed, in the other way is from before."""
        task = group[0].task
        return Case(
            group=tuple(group), success=self.successes.get(task), failure=self.failures.get(task)
        )

    def rests(self, rung: str) -> bool:
        """Returns whether a rung is passed over now."""
        tally = self.tallies[rung]
        return tally.recent >= ENOUGH and tally.recent_rescued < self.settings.floor * tally.recent

    def chance(self, rung: str, left: int) -> float:
        """Returns how likely a try of a rung succeeds with so many turns left, by those of late:
        (succeeded + 1) / (tried + 2), the mean of what is likely where all chances were alike."""
        tried, succeeded = self.places.get(f"{rung}/{left}", (0.0, 0.0))
        return (succeeded + 1) / (tried + 2)

    def came(self, events: Iterable[Event]) -> None:
        """Takes what came of the rungs."""
        for event in events:
            tally = self.tallies.setdefault(event.rung, Tally())
            tally.tried += 1
            tally.recent += 1
            tally.tokens += event.tokens
            tally.forwards += event.forwards
            for left, succeeded in event.came:
                place = self.places.setdefault(f"{event.rung}/{left}", [0.0, 0.0])
                place[0] += 1
                place[1] += succeeded
            if event.rescued:
                tally.rescued += 1
                tally.recent_rescued += 1
                visit = self.visits.setdefault(event.task, Visit())
                visit.rung, visit.seed, visit.at = event.rung, event.seed, self.batches

    def state(self) -> dict[str, Any]:
        """Returns plain data for a checkpoint."""
        return {
            "visits": {task: asdict(each) for task, each in self.visits.items()},
            "tallies": {name: asdict(each) for name, each in self.tallies.items()},
            "places": self.places,
            "batches": self.batches,
            "successes": [encode(each).decode() for each in self.successes.values()],
            "failures": [encode(each).decode() for each in self.failures.values()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` returned."""
        self.visits = {task: Visit(**each) for task, each in state["visits"].items()}
        self.tallies |= {name: Tally(**each) for name, each in state["tallies"].items()}
        self.places = {name: [*each] for name, each in state["places"].items()}
        self.batches = int(state["batches"])
        for name in ("successes", "failures"):
            records = [decode(each.encode(), where="rescue state") for each in state[name]]
            setattr(self, name, {each.task: each for each in records})

"""Plays the ladder for a batch: rung by rung, for all groups that are still dead at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any, Final, final

import numpy as np
from msgspec import structs

from assay.kernels.constancy import bar
from assay.records import Ledger, ModelStep, Rescue, Trajectory
from assay.rescue.base import Case, Rung, Table, Try, opening
from assay.rescue.ladder import LADDER
from assay.rescue.scheduler import Event, Scheduler
from assay.rollout.backends.base import Backend, Sampling
from assay.rollout.chain import collect
from assay.rollout.protocols.base import Protocol
from assay.rollout.start import seed_of
from assay.signal.origins import row_of
from assay.world.environment import Environment

Reread = Callable[[Sequence[Trajectory]], Sequence[Trajectory]]
"""Gives records the log-probabilities of their tokens as the policy reads them as they stand, and
keeps what they were sampled with as `helped`: `rollout.unaided.reread`."""
_CHANCE: Final = 0x726573637565
"""Sets the chance of rescue apart from that of the batch."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Who plays, where, and who says how likely the policy finds what it wrote."""

    backend: Backend
    make: Callable[[], Environment]
    protocol: Protocol
    sampling: Sampling
    reread: Reread
    seed: tuple[int, ...]
    left: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of `rollout.collect`."""


@final
@dataclass(frozen=True, slots=True)
class Climbed:
    """What came of it."""

    rows: list[Trajectory]
    """The batch, in its order; a rescued trajectory stands in the place of a failure."""
    beside: list[Trajectory]
    """What else it cost: tries that came to nothing, and failures whose place is taken."""
    events: list[Event]


def climb(rows: Sequence[Trajectory], scheduler: Scheduler, world: World) -> Climbed:
    """Returns a batch in which at most one trajectory of each dead group is rescued.

    The scheduler is asked, and has seen the batch (`visited`); it is not told what came of it: give
    it the events (`came`), of all processes in one order.

    Args:
        rows: trajectories, group after group.
        scheduler: who is helped, by what, and how much of it.
        world: who plays.

    Raises:
        DataError: as `rollout.collect`.
    """
    groups = [list(each) for _, each in groupby(rows, lambda row: row.group)]
    made = _Ladder(scheduler, world, sum(_tokens(row) for row in rows), len(rows))
    for failed in (True, False):
        found = scheduler.open(groups, failed=failed, taken=sum(e.rescued for e in made.events))
        waiting = {at: scheduler.case(groups[at]) for at in found}
        for number, name in enumerate(scheduler.settings.rungs):
            rung = LADDER[name]
            if rung.of_failed is failed and waiting and not scheduler.rests(name):
                for at, record in made.climbed(rung, number, waiting).items():
                    groups[at] = made.placed(groups[at], record)
                    del waiting[at]
    return Climbed([row for group in groups for row in group], made.beside, made.events)


@final
class _Ladder:
    """One batch's climb."""

    def __init__(self, scheduler: Scheduler, world: World, tokens: int, rows: int) -> None:
        self._scheduler, self._world = scheduler, world
        self._left = scheduler.settings.budget * tokens
        self._mean = tokens / max(rows, 1)
        self.beside: list[Trajectory] = []
        self.events: list[Event] = []

    def climbed(
        self, rung: Rung, number: int, waiting: Mapping[int, Case]
    ) -> dict[int, Trajectory]:
        """Returns the rescued trajectory of each group that a rung rescued."""
        world, settings = self._world, self._scheduler.settings
        cost = self._mean * settings.tries * (rung.name != "relabel")
        room = max(0, int(self._left // cost)) if cost else len(waiting)
        able = {at: case for at, case in waiting.items() if rung.missing(case) is None}
        chosen = dict([*able.items()][:room])
        if not chosen:
            return {}
        table = Table(
            make=world.make,
            protocol=world.protocol,
            write=self._written,
            rng=np.random.default_rng([*world.seed, _CHANCE, number]),
            left=world.left,
            oracle=settings.oracle,
            chance=partial(self._scheduler.chance, rung.name),
        )
        tries = rung.planned([*chosen.values()], table, settings.tries)
        flat = [(at, each) for at, mine in zip(chosen, tries, strict=True) for each in mine]
        came = self._played(rung, number, flat)
        return self._judged(rung, chosen, flat, came)

    def _played(
        self, rung: Rung, number: int, flat: Sequence[tuple[int, Try]]
    ) -> list[Trajectory | None]:
        """Returns what came of each try; None: there was nothing to sample."""
        world = self._world
        sampled = iter(
            collect(
                world.backend,
                [
                    replace(each.planned, trial=n, id=f"{each.planned.group}+{rung.name}.{n}")
                    for n, (_, each) in enumerate(flat)
                    if each.planned is not None
                ],
                sampling=world.sampling,
                seed=(*world.seed, _CHANCE, number),
                protocol=world.protocol,
                **world.options,
            )
        )
        return [next(sampled) if each.planned is not None else each.made for _, each in flat]

    def _judged(
        self,
        rung: Rung,
        chosen: Mapping[int, Case],
        flat: Sequence[tuple[int, Try]],
        came: Sequence[Trajectory | None],
    ) -> dict[int, Trajectory]:
        """Returns the try of each group that helps with the least that was given, the first of
        equal ones, as it is trained; and notes what all have cost."""
        came_of: dict[int, list[tuple[int, bool]]] = {at: [] for at in chosen}
        best: dict[int, tuple[Try, Trajectory]] = {}
        tried, spent = dict.fromkeys(chosen, 0), dict.fromkeys(chosen, 0)
        for (at, each), record in zip(flat, came, strict=True):
            tried[at] += each.planned is not None
            spent[at] += each.spent.tokens or 0
            if record is None:
                continue
            spent[at] += _tokens(record) if each.planned is not None else 0
            record = _noted(record, rung, each)
            helps = self._helps(rung, record, each)
            came_of[at] += [(each.left, helps)] if each.left else []
            before = best.get(at)
            if helps and (before is None or each.copied < before[0].copied):
                best[at] = each, record
                record = None if before is None else before[1]
            if record is not None and each.planned is not None:
                self.beside.append(record)
        self._left -= sum(spent.values())
        won = dict(zip(best, self._settled([*best.values()]), strict=True))
        self.events += [
            Event(
                rung=rung.name,
                task=case.first.task,
                group=case.first.group,
                rescued=at in won,
                seed=seed_of(case.first),
                tried=tried[at],
                tokens=spent[at],
                forwards=(won[at].ledger.scoring_forwards or 0) if at in won else 0,
                came=tuple(came_of[at]),
            )
            for at, case in chosen.items()
        ]
        return won

    def _helps(self, rung: Rung, record: Trajectory, each: Try) -> bool:
        """Returns whether a record is what the group lacks. One that is trained otherwise than it
        was sampled needs log-probabilities, or nobody could weigh it."""
        bare = any(s.logprobs is None for s in record.steps if type(s) is ModelStep)
        if record.outcome is None or (bare and each.opening is not None):
            return False
        passed = record.outcome >= bar(self._scheduler.pass_at)
        return passed is rung.of_failed

    def _settled(self, found: Sequence[tuple[Try, Trajectory]]) -> list[Trajectory]:
        """Returns records as they are trained: help that was read before the first turn is taken
        away, with log-probabilities of the policy that does not read it."""
        made = [_trained(record, each) for each, record in found]
        apart = [n for n, (each, _) in enumerate(found) if each.opening is not None]
        if apart:
            read = self._world.reread([made[n] for n in apart])
            for n, record in zip(apart, read, strict=True):
                made[n] = record
        return made

    def placed(self, group: list[Trajectory], record: Trajectory) -> list[Trajectory]:
        """Returns a group in which a rescued trajectory stands in the place of the one that it was
        made from, or of the last."""
        of = record.rescue.of if record.rescue else None
        at = next((n for n, each in enumerate(group) if each.id == of), len(group) - 1)
        self.beside.append(group[at])
        return [*group[:at], structs.replace(record, trial=group[at].trial), *group[at + 1 :]]

    def _written(self, prompts: Sequence[Sequence[int]]) -> list[tuple[str, int]]:
        """Returns a turn of the policy behind each prompt, and its tokens."""
        world, said = self._world, [list[int]() for _ in prompts]

        def read(at: int, ids: Sequence[int], _: Sequence[float]) -> Sequence[int] | None:
            said[at] = [*ids]
            return None if world.protocol.is_over(ids) else ()

        world.backend.run(
            prompts,
            read,
            sampling=replace(world.sampling, max_tokens=world.sampling.turn_tokens),
            seed=(*world.seed, _CHANCE),
        )
        texts = ("".join(world.protocol.sampled(ids, [0.0] * len(ids)).pieces) for ids in said)
        return [(text, len(ids)) for text, ids in zip(texts, said, strict=True)]


def _trained(record: Trajectory, each: Try) -> Trajectory:
    """Returns a record under the task that it is trained under."""
    if each.opening is None:
        return record
    return structs.replace(record, steps=(*each.opening, *record.steps[len(opening(record)) :]))


def _noted(record: Trajectory, rung: Rung, each: Try) -> Trajectory:
    """Returns a record with how it came about, what that cost, and turns of others marked."""
    note = Rescue(rung=rung.name, of=each.of, given=each.given, goal=each.goal)
    steps = [*record.steps]
    for at, step in enumerate(steps[: each.copied]):
        if type(step) is ModelStep:
            steps[at] = structs.replace(
                step, logprobs=None, entropies=None, sampled=(), untrainable="copied"
            )
    ledger = record.ledger
    if each.planned is None:  # what it was made of has paid for itself
        record = structs.replace(record, id=f"{record.id}+{rung.name}")
        ledger = Ledger(prompts=0, tokens=0, calls=0, env_steps=ledger.env_steps)
    elif each.spent.tokens:
        ledger = structs.replace(ledger, tokens=(ledger.tokens or 0) + each.spent.tokens)
    return structs.replace(record, steps=tuple(steps), rescue=note, ledger=ledger)


def _tokens(record: Trajectory) -> int:
    return record.ledger.tokens or 0


def counted_twice(rows: Iterable[Trajectory]) -> int:
    """Returns the tokens of rescued rows that were sampled for another one: a trainer that counts
    what its rows hold counts them twice, where that one is counted as well."""
    return sum(sum(row_of(row).sampled) - _tokens(row) for row in rows if row.rescue is not None)

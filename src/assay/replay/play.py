"""Plays continuations: each point of a trajectory has chance of its own, so that neither order, nor
what was done before, nor the number of processes changes what comes out."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Final, final
from zlib import crc32

from assay.batch.parallel import Fork
from assay.records import Ledger, Replayed, Trajectory, Value
from assay.replay.advantage import difference, known, value_of, verdict
from assay.replay.plan import Chosen, next_point
from assay.rollout import Planned, Sampling, Start, collect, seed_of, stand
from assay.rollout.backends.base import Backend
from assay.rollout.protocols.base import Protocol
from assay.world.environment import Environment

Play = Callable[[Trajectory, int], Sequence[Trajectory]]
"""(record, steps) -> continuations from after its first `steps` steps."""
_COUNTED: Final = ("prompts", "tokens", "calls", "env_steps")
_PAUSE: Final = 0.002
"""Seconds between two looks at forks that are all busy."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """Continues trajectories with one policy in one kind of environment."""

    backend: Backend
    make: Callable[[], Environment]
    protocol: Protocol
    sampling: Sampling
    samples: int
    """Continuations from each point."""
    seed: int

    def __call__(self, record: Trajectory, steps: int) -> list[Trajectory]:
        """Returns the continuations from after the first `steps` steps of a record.

        Raises:
            DataError: the record has no seed or no token ids, or the environment answers its turns
                otherwise than is recorded.
        """
        task = seed_of(record)
        environment = self.make()
        stand(Start(record, steps), environment, task, self.protocol)
        planned: list[Planned] = []
        for trial in range(self.samples):
            fork = environment.fork()
            start = Start(record, steps, environment=fork)
            stands = self.make() if fork is None else fork
            planned.append(Planned(environment=stands, seed=task, trial=trial, start=start))
        chance = (self.seed, crc32(record.id.encode()), steps)
        return list(
            collect(
                self.backend,
                planned,
                sampling=self.sampling,
                seed=chance,
                batch=self.samples,
                clock=None,
                protocol=self.protocol,
            )
        )


def rows(
    chain: Sequence[Chosen],
    records: Mapping[str, Trajectory],
    play: Play,
    before: Value | None = None,
) -> list[Replayed]:
    """Returns the rows of decisions that follow each other.

    Args:
        chain: of one trajectory, see `plan.chains`.
        records: by id.
        play: continues.
        before: the value before the first, where it is known already. None: it is played.
    """
    done: list[Replayed] = []
    for each in chain:
        record, spent = records[each.trajectory], list[Ledger]()
        if before is None:
            before = _played(record, each.step, play, spent)
        later = next_point(record, each.step)
        ended = later is None and record.outcome is not None
        after = known(record.outcome or 0.0) if ended else _played(record, later or 0, play, spent)
        found = difference(before, after)
        done.append(
            Replayed(
                trajectory=each.trajectory,
                step=each.step,
                task=record.task,
                group=record.group,
                stratum=each.stratum,
                weight=each.weight,
                before=before,
                after=after,
                advantage=None if found is None else found.value,
                low=None if found is None else found.low,
                high=None if found is None else found.high,
                verdict=verdict(found),
                cost=_sum(spent),
            )
        )
        before = after
    return done


def _played(record: Trajectory, steps: int, play: Play, spent: list[Ledger]) -> Value:
    made = play(record, steps)
    spent += [each.ledger for each in made]
    return value_of([each.outcome for each in made])


def _sum(spent: Sequence[Ledger]) -> Ledger:
    totals = {name: sum(getattr(each, name) or 0 for each in spent) for name in _COUNTED}
    return Ledger(**totals)


def in_order(
    jobs: Sequence[Callable[[], list[Replayed]]], processes: int
) -> Iterator[list[Replayed]]:
    """Yields what each job returns, in order; with several processes each job is done in a fork,
    and whoever dies leaves forks that end by themselves."""
    if processes < 2:
        yield from (job() for job in jobs)
        return
    waiting = deque(jobs)
    with ExitStack() as stack:
        forks: deque[Fork[list[Replayed]]] = deque()
        while waiting or forks:
            busy = sum(not fork.ready() for fork in forks)
            if waiting and busy < processes:
                forks.append(stack.enter_context(closing(Fork(waiting.popleft()))))
            elif forks[0].ready():
                fork = forks.popleft()
                yield fork.answer()
                fork.close()
            else:
                time.sleep(_PAUSE)


def jobs(
    todo: Sequence[Sequence[Chosen]],
    records: Mapping[str, Trajectory],
    play: Play,
    before: Value | None,
) -> list[Callable[[], list[Replayed]]]:
    """Returns one job a chain; `before` is the value before the first of them, where known."""
    first = [before, *(None for _ in todo[1:])]
    return [
        partial(rows, chain, records, play, value)
        for chain, value in zip(todo, first, strict=False)
    ]

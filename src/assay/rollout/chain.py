"""Plays many tasks at once: environments answer, a backend samples, exact records come out."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, final

from assay.errors import AssayError, DataError
from assay.records import Trajectory
from assay.rollout.backends.base import SILENCE, Backend, Sampling
from assay.rollout.protocols.base import Protocol
from assay.rollout.protocols.line import Line
from assay.rollout.recording import Recorder, solve, task_name
from assay.world.environment import Environment

Watch = Callable[[Trajectory], None]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One trajectory to be made."""

    environment: Environment
    """Belongs to this trajectory while it lasts: two at the same time need two."""
    seed: int
    """Names the task."""
    trial: int = 0
    notes: tuple[str, ...] = ()
    expert: tuple[str, ...] | None = None
    id: str | None = None
    """None: task and trial."""
    group: str | None = None
    """None: the task."""


def tasks(
    make: Callable[[], Environment],
    seeds: Sequence[int],
    trials: int,
    *,
    prefix: str = "",
    experts: dict[int, tuple[str, ...] | None] | None = None,
) -> list[Planned]:
    """Returns `trials` trajectories of each task, each with an environment of its own.

    Args:
        make: makes an environment.
        seeds: of the tasks.
        trials: trajectories of each, numbered from 0.
        prefix: put before ids and groups, to tell batches apart.
        experts: known solutions by seed, filled in as tasks are solved, so that records say which
            calls an expert would have made. None: nothing is solved.
    """
    planned: list[Planned] = []
    for seed in seeds:
        first = make()
        if experts is not None and seed not in experts:
            with attributed(first, seed, "its expert"):
                experts[seed] = solve(first, seed)
        with attributed(first, seed, "its title or dials"):
            name = task_name(first, seed)
        planned += [
            Planned(
                environment=make() if trial else first,
                seed=seed,
                trial=trial,
                expert=None if experts is None else experts[seed],
                id=f"{prefix}{name}/{trial}",
                group=f"{prefix}{name}",
            )
            for trial in range(trials)
        ]
    return planned


def collect(
    backend: Backend,
    planned: Sequence[Planned],
    *,
    sampling: Sampling,
    seed: Sequence[int],
    batch: int = 256,
    policy_version: str | None = None,
    watch: Watch | None = None,
    clock: Callable[[], float] | None = time.monotonic,
    protocol: Protocol | None = None,
) -> Iterator[Trajectory]:
    """Yields the record of every trajectory, in order; ids and log-probs as they were sampled.

    Args:
        backend: samples.
        planned: those of one batch must not share an environment.
        sampling: how, and how far.
        seed: names the source of chance.
        batch: trajectories at the same time.
        policy_version: written into the records.
        watch: sees each record as it is made.
        clock: seconds, for the ledger. None: not counted, so that equal runs give equal bytes.
        protocol: how policy and world talk. None: in lines.

    Raises:
        DataError: an environment raised, or paid what is no number.
    """
    talk = Line(backend.tokenizer) if protocol is None else protocol
    sampling = replace(sampling, stop=talk.stop, ends=talk.ends)
    for first in range(0, len(planned), batch):
        players = [_Player(each, talk, sampling) for each in planned[first : first + batch]]
        began = None if clock is None else clock()
        backend.run(
            [player.prompt for player in players],
            lambda at, ids, logprobs, players=players: players[at].read(ids, logprobs),
            sampling=sampling,
            seed=(*seed, first),
        )
        spent = None if clock is None or began is None else (clock() - began) / len(players)
        for player in players:
            record = player.finished(policy_version, spent)
            if watch is not None:
                watch(record)
            yield record


@final
class _Player:
    """One row: reads tokens, plays a turn when it is complete."""

    def __init__(self, planned: Planned, talk: Protocol, sampling: Sampling) -> None:
        self._planned, self._talk, self._sampling = planned, talk, sampling
        with attributed(planned.environment, planned.seed, "reset"):
            self._recorder = Recorder(
                planned.environment,
                planned.seed,
                notes=planned.notes,
                expert=planned.expert,
                protocol=talk,
            )
        ids = talk.prompt_ids(self._recorder.unread, planned.environment)
        self._recorder.read_as(*ids)
        self.prompt = [token for each in ids for token in each]
        self._fed = list(self.prompt)
        self._open: tuple[Sequence[int], Sequence[float]] = (), ()
        self._played = 0

    def read(self, ids: Sequence[int], logprobs: Sequence[float]) -> Sequence[int] | None:
        """Returns what the world answers once the turn is complete; None at the end."""
        # a world that answered nothing gave the backend nothing to read: its row is still open
        ids, logprobs = ids[self._played :], logprobs[self._played :]
        if len(ids) < self._sampling.turn_tokens and not self._talk.is_over(ids):
            self._open = tuple(ids), tuple(logprobs)
            return ()
        self._open = (), ()
        sampled = self._talk.sampled(ids, logprobs)
        planned = self._planned
        with attributed(planned.environment, planned.seed, "step"):
            reply = self._recorder.act("".join(sampled.pieces), sampled)
            self._check(reply.score, reply.parts)
        if reply.done:
            return None
        unread = self._recorder.unread
        if not unread:
            self._played += len(ids)
            self._fed += ids
            return SILENCE
        self._played = 0
        read = self._talk.read_ids(unread, planned.environment, before=self._fed, turn=ids)
        self._recorder.read_as(*read)
        flat = [token for each in read for token in each]
        self._fed += [*ids, *flat]
        return flat

    def _check(self, score: float | None, parts: Mapping[str, float]) -> None:
        paid = {"score": score, **parts}
        wrong = {name: value for name, value in paid.items() if not _is_number(value)}
        for name, value in wrong.items():
            task = task_name(self._planned.environment, self._planned.seed)
            raise DataError(
                f"environment task {task}: {name} is {value!r}; expected a finite number, or None "
                "where nobody scored it"
            )

    def finished(self, policy_version: str | None, seconds: float | None) -> Trajectory:
        """Returns the record; a trajectory that ran out of tokens has failed by its budget."""
        planned = self._planned
        with attributed(planned.environment, planned.seed, "its record"):
            if not self._recorder.last.done:
                ids, logprobs = self._open
                sampled = self._talk.sampled(ids, logprobs) if ids else None
                self._recorder.cut_off("".join(sampled.pieces) if sampled else "", sampled)
            return self._recorder.trajectory(
                id=planned.id,
                group=planned.group,
                trial=planned.trial,
                policy_version=policy_version,
                wall_seconds=seconds,
            )


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


@contextmanager
def attributed(environment: Environment, seed: int, what: str) -> Generator[None]:
    """Says whose fault it is when an environment raises: one line, task and seed in it."""
    try:
        yield
    except AssayError:
        raise
    except Exception as error:
        name = type(environment).__name__
        raise DataError(
            f"environment {name}, task of seed {seed}: {what} raised {type(error).__name__}: "
            f"{error}; try it with: assay world check"
        ) from error

"""Plays many tasks at once: environments answer, a backend samples, exact records come out."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, final

from assay.errors import AssayError, DataError
from assay.records import ModelStep, Trajectory
from assay.rollout.backends.base import SILENCE, Backend, Sampling
from assay.rollout.protocols.base import Protocol
from assay.rollout.protocols.line import Line
from assay.rollout.recording import Recorder, solve, task_name
from assay.rollout.start import Start, stand
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
    """None: task and trial; of a continuation what it goes on from, and the trial."""
    group: str | None = None
    """None: the task; of a continuation the record's own group."""
    start: Start | None = None
    """Goes on from there: `notes` and `expert` are then the record's. None: from the beginning."""
    turns: int | None = None
    """Turns that it may take here, whatever else it had left. None: as many as it wants."""
    before_turn: Callable[[int, Environment], None] | None = None
    """Sees, before each turn, how many steps the record has and where the environment stands; it
    may copy it (`Environment.fork`), and must not play it."""


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

    A continuation has the budget that the record had left where it starts: what was written and
    read before counts. Its record begins with the shared steps; its ledger leaves them out.

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
        DataError: an environment raised, or paid what is no number, or did not answer the turns
            of a start as it is recorded.
    """
    talk = Line(backend.tokenizer) if protocol is None else protocol
    sampling = replace(sampling, stop=talk.stop, ends=talk.ends)
    for first in range(0, len(planned), batch):
        players = [Player(each, talk, sampling) for each in planned[first : first + batch]]
        began = None if clock is None else clock()
        playing = [player for player in players if player.has_room]
        spent = tuple(player.spent for player in playing)
        if playing:
            backend.run(
                [player.prompt for player in playing],
                lambda at, ids, logprobs, playing=playing: playing[at].read(ids, logprobs),
                sampling=replace(
                    sampling,
                    spent=spent if any(spent) else (),
                    names=tuple(player.name for player in playing) if sampling.apart else (),
                ),
                seed=seed if sampling.apart else (*seed, first),
            )
        seconds = None if clock is None or began is None else (clock() - began) / len(players)
        for player in players:
            record = player.finished(policy_version, seconds)
            if watch is not None:
                watch(record)
            yield record


@final
class Player:
    """One trajectory under way: reads tokens, plays a turn when it is complete."""

    prompt: list[int]
    """Ids that a backend continues."""

    def __init__(self, planned: Planned, talk: Protocol, sampling: Sampling) -> None:
        """Starts the task, or stands at its start."""
        self._planned, self._talk, self._sampling = planned, talk, sampling
        self.spent = 0
        """Tokens that the policy has written, in this trajectory or before it."""
        self._environment = planned.environment
        with attributed(planned.environment, planned.seed, "reset"):
            ids = self._gone_on(planned.start) if planned.start else self._begun()
        self.prompt = [token for each in ids for token in each]
        self._fed = list(self.prompt)
        self._open: tuple[Sequence[int], Sequence[float]] = (), ()
        self._played = 0
        self._turns = 0
        self._tell()

    @property
    def name(self) -> str:
        """What tells it from every other of its batch: its id, or task and trial."""
        planned = self._planned
        return planned.id or f"{planned.group}/{planned.seed}/{planned.trial}"

    def _tell(self) -> None:
        if (told := self._planned.before_turn) is not None:
            with attributed(self._environment, self._planned.seed, "its copy"):
                told(self._recorder.n_steps, self._environment)

    def _begun(self) -> list[list[int]]:
        planned = self._planned
        self._recorder = Recorder(
            planned.environment,
            planned.seed,
            notes=planned.notes,
            expert=planned.expert,
            protocol=self._talk,
        )
        ids = self._talk.prompt_ids(self._recorder.unread, planned.environment)
        self._recorder.read_as(*ids)
        return ids

    def _gone_on(self, start: Start) -> list[list[int]]:
        planned, ids = self._planned, start.ids()
        self._environment = stand(
            start, planned.environment, planned.seed, self._talk, planned.notes
        )
        self._recorder = Recorder(self._environment, planned.seed, protocol=self._talk, start=start)
        self.spent = sum(
            len(each)
            for each, step in zip(ids, start.shared, strict=True)
            if type(step) is ModelStep
        )
        return ids

    @property
    def has_room(self) -> bool:
        """Whether there is anything to sample; one that starts afresh is the backend's to judge."""
        left = self.spent < self._sampling.max_tokens
        return not self._planned.start or (left and len(self.prompt) < self._sampling.max_length)

    def read(self, ids: Sequence[int], logprobs: Sequence[float]) -> Sequence[int] | None:
        """Returns what the world answers once the turn is complete; None at the end."""
        # a world that answered nothing gave the backend nothing to read: its row is still open
        left = self._sampling.max_tokens - self.spent
        fresh = slice(self._played, self._played + left)  # an engine may not know of what was spent
        ids, logprobs = ids[fresh], logprobs[fresh]
        if len(ids) < self._sampling.turn_tokens and not self._talk.is_over(ids):
            self._open = tuple(ids), tuple(logprobs)
            return () if len(ids) < left else None
        self._open = (), ()
        self.spent += len(ids)
        self._turns += 1
        sampled = self._talk.sampled(ids, logprobs)
        with attributed(self._environment, self._planned.seed, "step"):
            reply = self._recorder.act("".join(sampled.pieces), sampled)
            self._check(reply.score, reply.parts)
        if reply.done:
            return None
        heard = self._heard(ids)
        if self.spent >= self._sampling.max_tokens or self._turns == self._planned.turns:
            return None
        self._tell()
        return heard

    def _heard(self, turn: Sequence[int]) -> Sequence[int]:
        """Returns the ids of what the world said to a turn."""
        unread = self._recorder.unread
        if not unread:
            self._played += len(turn)
            self._fed += turn
            return SILENCE
        self._played = 0
        read = self._talk.read_ids(unread, self._environment, before=self._fed, turn=turn)
        self._recorder.read_as(*read)
        flat = [token for each in read for token in each]
        self._fed += [*turn, *flat]
        return flat

    def _check(self, score: float | None, parts: Mapping[str, float]) -> None:
        paid = {"score": score, **parts}
        wrong = {name: value for name, value in paid.items() if not _is_number(value)}
        for name, value in wrong.items():
            task = task_name(self._environment, self._planned.seed)
            raise DataError(
                f"environment task {task}: {name} is {value!r}; expected a finite number, or None "
                "where nobody scored it"
            )

    def finished(self, policy_version: str | None, seconds: float | None) -> Trajectory:
        """Returns the record; a trajectory that ran out of tokens has failed by its budget."""
        planned = self._planned
        with attributed(self._environment, planned.seed, "its record"):
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

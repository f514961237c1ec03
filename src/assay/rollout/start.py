"""Where a trajectory goes on from: the first steps of a record, played again or held by a fork."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from assay.errors import DataError, UsageError
from assay.records import ModelStep, Step, ToolStep, Trajectory
from assay.rollout.protocols.base import Protocol
from assay.world.environment import Environment

_SHOWN: Final = 60
"""Characters of two texts that are shown from where they differ."""


def points(record: Trajectory) -> tuple[int, ...]:
    """Returns the numbers of steps after which a record can be gone on from: before each model
    step, so that the first one is its prompt alone."""
    return tuple(at for at, step in enumerate(record.steps) if type(step) is ModelStep)


@final
@dataclass(frozen=True, slots=True)
class Start:
    """The first `steps` steps of a record, which a new trajectory shares."""

    record: Trajectory
    steps: int
    """One of `points(record)`; 0: the very beginning, its prompt."""
    environment: Environment | None = None
    """A fork that stands there already; it is played on. None: the planned environment is reset and
    the turns are played again."""

    def __post_init__(self) -> None:
        """Refuses a number of steps that does not end before a model step."""
        known = points(self.record)
        if self.steps and self.steps not in known:
            raise UsageError(
                f"start: trajectory {self.record.id!r} cannot be gone on from after {self.steps} "
                f"of its {len(self.record.steps)} steps; expected 0 or one of {known}"
            )

    @property
    def shared(self) -> tuple[Step, ...]:
        """The steps, as they are in the record."""
        first = next(iter(points(self.record)), len(self.record.steps))
        return self.record.steps[: self.steps or first]

    def ids(self) -> list[list[int]]:
        """Returns the tokens of each shared step.

        Raises:
            DataError: a step has none.
        """
        for at, step in enumerate(self.shared):
            if step.token_ids is None:
                raise DataError(
                    f"trajectory {self.record.id!r} steps[{at}]: no token ids; expected those that "
                    "were sampled or read, so that what follows goes on from them"
                )
        return [list(step.token_ids or ()) for step in self.shared]

    def check_state(self, environment: Environment) -> None:
        """Refuses an environment that stands elsewhere, as far as names of states tell.

        Raises:
            DataError: its state has another name than the record's.
        """
        at = len(self.shared)
        step = self.record.steps[at] if at < len(self.record.steps) else None
        if type(step) is ModelStep:
            _same_state(self.record, at, step, environment)


def stand(
    start: Start,
    environment: Environment,
    seed: int,
    protocol: Protocol,
    notes: Sequence[str] = (),
) -> Environment:
    """Returns the environment of a start, standing there: its fork, or `environment`, in which the
    task was reset and the turns were played again.

    Args:
        start: where.
        environment: of the record's task; left alone where the start has a fork.
        seed: of the task.
        protocol: how policy and world talk.
        notes: lines of advice under the task. None given: whatever stands there is taken as it is.

    Raises:
        DataError: the environment answered, or stood, otherwise than is recorded.
    """
    if start.environment is None:
        _play(start, environment, seed, protocol, notes)
    else:
        environment = start.environment
    start.check_state(environment)
    return environment


def _play(
    start: Start, environment: Environment, seed: int, protocol: Protocol, notes: Sequence[str]
) -> None:
    record, shared = start.record, start.shared
    opening = protocol.opening(environment, environment.reset(seed), notes)
    if not notes and opening and shared:
        opening = *opening[:-1], _noted(opening[-1], shared[: len(opening)][-1])
    _same(record, 0, opening, shared)
    at = len(opening)
    while at < len(shared):
        step = shared[at]
        if type(step) is not ModelStep:
            raise _other(record, at, "", step.text)
        _same_state(record, at, step, environment)
        turn = protocol.turn(step.text, environment, step.token_ids or ())
        heard: list[Step] = []
        for number, reply in protocol.played(environment, turn):
            asked = None if number is None else turn.calls[number]
            read = protocol.heard(step.text, asked, reply)
            heard += [] if read is None else [read]
            if reply.done:
                said = f"the task is over (end {reply.end!r})"
                raise _other(record, at + 1, said, "that it goes on", quoted=False)
        _same(record, at + 1, heard, shared)
        at += 1 + len(heard)


def _noted(made: Step, recorded: Step) -> Step:
    """Returns the recorded task where it is the one made with advice under it."""
    whole = made.text if made.text.endswith("\n") else f"{made.text}\n"
    return recorded if recorded.text.startswith(whole) else made


def _same(record: Trajectory, at: int, heard: Sequence[Step], shared: Sequence[Step]) -> None:
    """Refuses observations that are not the recorded ones."""
    for place, got in enumerate(heard, at):
        expected = shared[place] if place < len(shared) else None
        if expected is None or type(expected) is ModelStep:
            raise _other(record, place, got.text, "")
        names = [each.name for each in (got, expected) if type(each) is ToolStep]
        if got.text != expected.text or len({*names}) > 1 or type(got) is not type(expected):
            raise _other(record, place, got.text, expected.text)


def _same_state(record: Trajectory, at: int, step: ModelStep, environment: Environment) -> None:
    known, now = step.state_key, environment.state_key()
    if known is not None and now is not None and known != now:
        raise _other(record, at, f"stands in state {now!r}", f"state {known!r}", quoted=False)


def _other(record: Trajectory, at: int, got: str, want: str, *, quoted: bool = True) -> DataError:
    if quoted:
        pairs = enumerate(zip(got, want, strict=False))
        first = next((n for n, (a, b) in pairs if a != b), min(len(got), len(want)))
        cut = slice(max(0, first - 10), first + _SHOWN)
        got, want = f"says {got[cut]!r}", f"{want[cut]!r}, as recorded"
    return DataError(
        f"trajectory {record.id!r} steps[{at}], played again: the environment {got}; expected "
        f"{want}: give the environment, dials and seed of the record, and see whether it repeats "
        "itself with: assay world check"
    )


def seed_of(record: Trajectory) -> int:
    """Returns the seed of a record's task.

    Raises:
        DataError: the record does not say.
    """
    said = record.origin.extra.get("seed", "") if record.origin else ""
    if not said.lstrip("-").isdecimal():
        raise DataError(
            f"trajectory {record.id!r}: origin.extra['seed'] is {said!r}; expected the number that "
            "names its task, as rollouts write it: pass the seed yourself"
        )
    return int(said)

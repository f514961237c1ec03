"""What a rung is: one way to help where every trajectory of a group failed.

A rung says what it lacks (`missing`, which reads records alone), and plans tries. What comes of a
try is judged by the world, as everywhere; the text that a rung gives is never trained.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np

from assay.records import Ledger, ModelStep, Step, Trajectory
from assay.rollout.chain import Planned
from assay.rollout.protocols.base import Protocol
from assay.rollout.start import seed_of
from assay.world.environment import Environment

Writer = Callable[[Sequence[Sequence[int]]], list[tuple[str, int]]]
"""(prompts) -> what the policy writes to each of them, and in how many tokens."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Where tasks are played: what rungs need beside the records."""

    make: Callable[[], Environment]
    protocol: Protocol
    write: Writer
    rng: np.random.Generator
    left: float = 1.0
    """What is left of the oracle, in [0, 1]: at 0 it is withdrawn."""
    oracle: str = "hint"
    chance: Callable[[int], float] = lambda _: 0.5
    """(turns left to write) -> how often the rung has succeeded of late with so many."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A group, and what is known of its task from before."""

    group: tuple[Trajectory, ...]
    """All scored, and all failed; all passed, where a handicap is looked for."""
    success: Trajectory | None = None
    """The last one of the policy's own at this task."""
    failure: Trajectory | None = None
    """The last failure at this task."""

    @property
    def first(self) -> Trajectory:
        """A trajectory of the group."""
        return self.group[0]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One attempt to help."""

    planned: Planned | None = None
    """To be sampled. None: `made` is there without sampling."""
    made: Trajectory | None = None
    of: str | None = None
    """Id of the failed trajectory that it is made from. None: from the group as a whole."""
    given: str = ""
    """What the policy is given in addition."""
    goal: str | None = None
    opening: tuple[Step, ...] | None = None
    """What stands before the first turn when it is trained, in place of what was read when it was
    sampled. None: it is trained as it was sampled."""
    copied: int = 0
    """Leading steps that are not the try's own."""
    left: int = 0
    """Turns behind those in the trajectory that they are from. 0: there is none."""
    spent: Ledger = field(default_factory=Ledger)
    """What planning it has cost."""


class Rung(ABC):
    """One way to help."""

    name: ClassVar[str]
    gives: ClassVar[str]
    """The information that it brings, for people."""
    of_failed: ClassVar[bool] = True
    """Of groups that failed; else of those that passed."""

    def missing(self, case: Case) -> str | None:
        """Returns what records lack for it, in words, the world last. None: it can be tried."""
        return self.lacks(case) or (None if is_played(case.first) else NO_WORLD)

    def lacks(self, case: Case) -> str | None:
        """Returns what records lack for it beside a world to play in; None: nothing."""
        return None

    @abstractmethod
    def tries(self, case: Case, table: Table, count: int) -> list[Try]:
        """Returns at most `count` tries for a group for which nothing is missing."""

    def planned(self, cases: Sequence[Case], table: Table, count: int) -> list[list[Try]]:
        """Returns the tries for each group."""
        return [self.tries(case, table, count) for case in cases]


def opening(record: Trajectory) -> tuple[Step, ...]:
    """Returns what the policy read before its first turn."""
    first = next((n for n, s in enumerate(record.steps) if type(s) is ModelStep), None)
    return record.steps if first is None else record.steps[:first]


def turns(record: Trajectory) -> list[ModelStep]:
    """Returns what the policy wrote."""
    return [step for step in record.steps if type(step) is ModelStep]


def has_tokens(record: Trajectory) -> bool:
    """Returns whether every step has token ids: without them nothing goes on from it."""
    return bool(record.steps) and all(step.token_ids is not None for step in record.steps)


def is_played(record: Trajectory) -> bool:
    """Returns whether the record says which task of which environment it was."""
    extra: dict[str, Any] = record.origin.extra if record.origin else {}
    return str(extra.get("seed", "")).lstrip("-").isdecimal()


NO_WORLD = "an environment to play the task in: the record names none (origin.extra: family, seed)"
NO_TOKENS = "token ids of every step, to go on from"


def advised(case: Case, table: Table, text: str, *, of: str | None = None, n: int) -> list[Try]:
    """Returns `n` tries of the whole task with a line of advice under it. They are trained without
    the line: what was read before the first turn is that of the failed trajectories."""
    record = next((each for each in case.group if each.id == of), case.first)
    return [
        Try(
            planned=plan(case, table, notes=(text,)),
            of=of,
            given=text,
            opening=opening(record),
        )
        for _ in range(n)
    ]


def advice(protocol: Protocol, text: str) -> str:
    """Returns a line of advice as the protocol marks it."""
    return f"!{text}" if protocol.name == "line" else text


def plan(case: Case, table: Table, **options: Any) -> Planned:
    """Returns a trajectory of the group's task that is to be made."""
    record = case.first
    return Planned(environment=table.make(), seed=seed_of(record), group=record.group, **options)

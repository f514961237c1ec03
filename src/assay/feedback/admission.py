"""Is a source worth listening to? The same tasks, played with its hints and with neutral ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np

from assay.feedback.base import turns
from assay.feedback.progress import progress
from assay.feedback.verdict import plain
from assay.kernels.constancy import bar
from assay.kernels.uplift import Measured, Uplift, paired
from assay.records import Trajectory
from assay.rollout.backends.base import Backend, Sampling
from assay.rollout.chain import Planned, Watch, attributed, collect
from assay.rollout.protocols.base import Protocol
from assay.rollout.start import seed_of
from assay.rollout.teaching import NOTHING
from assay.world.environment import Environment

LONGEST: Final = 300
"""Characters of what is put under a task."""
_CHANCE: Final = 71
"""Apart from all else that is sampled in a batch."""


@final
@dataclass(frozen=True, slots=True)
class Replays:
    """Paired replays: what they came to, and what they cost."""

    found: Measured
    played: tuple[Trajectory, ...]
    """Told and neutral in turn; an outcome that nobody scored is no pair."""


def advice(record: Trajectory) -> str:
    """Returns the hints about a record as one line of advice; empty: there are none."""
    texts = dict.fromkeys(
        " ".join(hint.text.split()) for turn in turns(record) for hint in turn.step.hints
    )
    return "; ".join(texts)[:LONGEST]


def neutral(text: str, environment: Environment, task: int) -> str:
    """Returns a line that says nothing in the place of a hint: the environment's own where it has
    one, for a policy that knows such lines is thrown off by others; else one of the same length."""
    with attributed(environment, task, "its hint"):
        environment.reset(task)
        own = environment.hint("neutral")
    return own or (NOTHING * (len(text) // len(NOTHING) + 1))[: len(text)]


def replayed(
    records: Sequence[Trajectory],
    pairs: int,
    backend: Backend,
    make: Callable[[], Environment],
    *,
    sampling: Sampling,
    seed: Sequence[int],
    protocol: Protocol,
    pass_at: float = 1.0,
    watch: Watch | None = None,
) -> Replays:
    """Returns what tasks come to under the hints about their trajectories, and without.

    Each pair is a trajectory's task from its beginning, once with all hints about it under the
    task, once with a line that says nothing (`neutral`). What a pair shares, its task, is taken off
    the error of what its two differ in.

    Args:
        records: with hints; those without are left out.
        pairs: at most; drawn with equal chance, each record once.
        backend: samples, with the policy as it is now.
        make: makes the environment of the records.
        sampling: as in training.
        seed: names the source of chance.
        protocol: how policy and world talk.
        pass_at: a trajectory passes at this outcome or above.
        watch: sees each replay.

    Raises:
        DataError: a record has no seed, or an environment raised.
    """
    hinted = [(record, said) for record in records if (said := advice(record))]
    rng = np.random.default_rng([*seed, _CHANCE])
    drawn = [hinted[at] for at in rng.permutation(len(hinted))[:pairs].tolist()]
    planned: list[Planned] = []
    for record, said in drawn:
        task = seed_of(record)
        for trial, note in enumerate((said, neutral(said, make(), task))):
            notes = (_noted(protocol, note),)
            planned.append(Planned(environment=make(), seed=task, trial=trial, notes=notes))
    played = tuple(
        collect(
            backend,
            planned,
            sampling=sampling,
            seed=(*seed, _CHANCE),
            watch=watch,
            clock=None,
            protocol=protocol,
        )
    )
    pairs_ = zip(played[::2], played[1::2], drawn, strict=True)
    scored = [each for each in pairs_ if None not in (each[0].outcome, each[1].outcome)]
    both = [(told, bare) for told, bare, _ in scored]
    passes = paired((_passed(told, pass_at), _passed(bare, pass_at)) for told, bare in both)
    way = progress(both, [record for _, _, (record, _) in scored], pass_at)
    if way is None:
        return Replays(Measured(passes), played)
    return Replays(Measured(passes, paired(way[1]), by=way[0]), played)


def _passed(record: Trajectory, pass_at: float) -> float:
    return float((record.outcome or 0.0) >= bar(pass_at))


def _noted(protocol: Protocol, text: str) -> str:
    """Returns a line of advice in the form that the protocol has for it."""
    return f"!{text.removeprefix('!')}" if protocol.name == "line" else text


@final
@dataclass(slots=True)
class Trust:
    """What is known of a source by now, and whether it acts."""

    every: int
    """Batches between two measurements."""
    keep: float
    """Share of what was seen before that still counts."""
    seen: Measured = field(default_factory=lambda: Measured(paired(())))
    batches: int = 0
    """Since the last measurement."""
    measured: int = 0
    """How many there were."""

    @property
    def due(self) -> bool:
        """Whether it is to be measured with this batch: at once, and then every so often."""
        return self.measured == 0 or self.batches >= self.every

    @property
    def acts(self) -> bool:
        """Whether the source is admitted."""
        return self.seen.decides.admits

    def take(self, found: Measured | None) -> bool:
        """Takes a batch, with a measurement if there was one; returns whether the source acts."""
        self.batches += 1
        if found is not None and found.passes.pairs:
            self.seen, self.batches = self.seen.after(found, self.keep), 1
            self.measured += 1
        return self.acts

    def row(self) -> dict[str, Any]:
        """Returns it as plain values; NaN is None."""
        return {**plain(self.seen), "batches": self.batches, "measured": self.measured}

    def restore(self, row: dict[str, Any]) -> None:
        """Puts back what `row` returned."""
        way = row["progress"]
        self.seen = Measured(
            Uplift(row["told"], row["neutral"], row["pairs"], row["squares"]),
            None if way is None else Uplift(**way),
            row["by"],
        )
        self.batches, self.measured = row["batches"], row["measured"]

"""A run that begins with an expert: Supervised RL for some steps, then its recipe."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar, Literal, final

import numpy as np
from msgspec import structs

from assay.credit import method
from assay.credit.controls import Control
from assay.errors import UsageError
from assay.gate import Integrity
from assay.recipes.recipe import Part, Recipe
from assay.recipes.settings import Settings, Whole, require
from assay.records import Trajectory
from assay.rollout.backends.base import Backend
from assay.rollout.chain import Planned, attributed, collect
from assay.rollout.experts import Instance, followed
from assay.rollout.protocols.base import Protocol
from assay.rollout.recording import task_name
from assay.rollout.start import points
from assay.world.environment import Environment


@final
class Imitation(Settings, frozen=True):
    """How training begins."""

    at: ClassVar[str] = "start"

    kind: Literal["none", "srl"] = "none"
    """none: with the recipe. srl: with an expert's first steps, of which the policy writes the
    next one (Deng et al. 2025, arXiv:2510.25992)."""
    steps: Whole = 0
    """Optimiser steps of it; the recipe follows."""
    unused: Literal["none", "first", "last"] = "none"
    """Which of the expert's steps is never to be written. The paper makes N - 1 instances of N
    steps, and does not say which is left out."""

    def __post_init__(self) -> None:
        """Refuses a kind without steps, and steps of no kind."""
        super().__post_init__()
        require(
            (self.kind == "none") == (self.steps == 0),
            f"start: got kind={self.kind} with steps={self.steps}; expected steps above 0 with "
            "kind=srl, and with that alone",
        )

    def check(self, steps: int, minibatches: int) -> None:
        """Refuses a start that is longer than the run, or ends within a batch."""
        require(
            self.steps <= steps and self.steps % minibatches == 0,
            f"start.steps: got {self.steps}; expected a multiple of train.minibatches "
            f"({minibatches}), at most train.steps ({steps})",
        )


def imitating(recipe: Recipe) -> Recipe:
    """Returns what credits a start: srl, all that a group holds, and the recipe's own safety."""
    return replace(
        recipe,
        parts=(Part("srl", method("srl")),),
        gates=(Integrity(),),
        safety=structs.replace(recipe.safety, all_fail="method"),
    )


def imitated(
    backend: Backend,
    rows: Iterable[tuple[int, int, int]],
    environment: Callable[[], Environment],
    settings: Imitation,
    *,
    run_seed: int,
    protocol: Protocol,
    control: Control = "none",
    **options: Any,
) -> list[Trajectory]:
    """Returns continuations of experts by one turn, judged by the expert's next step.

    Those of a place in the order go on from one instance: they are a group. Which of the expert's
    steps comes next is drawn with equal chance, by the seed of the run and the place.

    Args:
        backend: samples.
        rows: (place, task, how many) each.
        environment: gives one that nobody uses.
        settings: of the start.
        run_seed: names the source of chance.
        protocol: how policy and world talk.
        control: "shuffled" judges by the expert's steps in a random order in time, each equally
            likely: what is compared is as much like an expert's, and says nothing of when.
        options: of `collect`.

    Raises:
        UsageError: the environment has no expert, or of one step, which is the one left out.
    """
    planned: list[Planned] = []
    instances: list[Instance] = []
    for place, task, count in rows:
        places = [environment() for _ in range(count)]
        with attributed(places[0], task, "its expert"):
            record = followed(places[0], task, protocol)
            name = f"{place}/{task_name(places[0], task)}"
        instance = _drawn(record, settings, control, [run_seed, place])
        for trial, each in enumerate(places):
            planned.append(
                Planned(
                    environment=each,
                    seed=task,
                    trial=trial,
                    id=f"{name}/{trial}",
                    group=name,
                    start=instance.start,
                    turns=1,
                )
            )
            instances.append(instance)
    made = collect(backend, planned, protocol=protocol, **options)
    return [
        instance.judged(record, protocol, each.environment)
        for record, instance, each in zip(made, instances, planned, strict=True)
    ]


def _drawn(record: Trajectory, settings: Imitation, control: Control, seed: list[int]) -> Instance:
    count = len(points(record))
    low, high = int(settings.unused == "first"), count - (settings.unused == "last")
    if low >= high:
        raise UsageError(
            f"start.unused={settings.unused}: the expert of task {record.task} takes {count} step; "
            "expected another to be written; leave start.unused out"
        )
    rng = np.random.default_rng(seed)
    place = int(rng.integers(low, high))
    return Instance.of(record, place, int(rng.integers(count)) if control == "shuffled" else None)

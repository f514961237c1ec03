"""Rescue in a training run: the ladder for each batch, what it cost and brought, and its memory."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final, final

from assay.files.atomic import publish
from assay.recipes.recipe import Recipe
from assay.records import Trajectory, write
from assay.rescue.climb import Climbed, World, climb
from assay.rescue.scheduler import Event, Scheduler
from assay.rollout.backends.base import Backend
from assay.rollout.protocols.base import Protocol
from assay.runs.config import Config
from assay.runs.folder import RESCUES, Folder
from assay.world.environment import Environment

STATE: Final = "rescue.json"


@final
class Rescuing:
    """Helps dead groups of a run's batches; the same on every process."""

    def __init__(
        self,
        config: Config,
        folder: Folder,
        seed: int,
        make: Callable[[], Environment],
        protocol: Protocol,
    ) -> None:
        self._settings, self._folder, self._seed = config.rescue, folder, seed
        self._make, self._protocol, self._sampling = make, protocol, config.train.sampling
        self._scheduler = Scheduler(config.rescue, pass_at=Recipe.of(config.recipe).pass_at)
        self.events: list[Event] = []
        """Of the last batch, of all processes."""

    def __call__(
        self, records: Sequence[Trajectory], backend: Backend, trainer: Any, step: int, version: str
    ) -> Climbed:
        """Returns a batch with its dead groups rescued, as far as they could be."""
        from assay.rollout.unaided import reread

        settings, accelerator = self._settings, trainer.accelerator
        seen = _together(accelerator, records)
        self._scheduler.visited(list(each) for _, each in groupby(seen, lambda one: one.group))
        made = climb(
            records,
            self._scheduler,
            World(
                backend=backend,
                make=self._make,
                protocol=self._protocol,
                sampling=self._sampling,
                reread=partial(
                    reread,
                    model=accelerator.unwrap_model(trainer.model),
                    temperature=self._sampling.temperature or 1.0,
                ),
                seed=(self._seed, step, accelerator.process_index),
                left=max(0.0, 1 - (step - 1) / settings.anneal) if settings.anneal else 1.0,
                options={"policy_version": version, "clock": None},
            ),
        )
        self.events = _together(accelerator, made.events)
        self._scheduler.came(self.events)
        beside = _together(accelerator, made.beside)
        if beside and accelerator.is_main_process:
            write(self._folder.batch(RESCUES, step), beside)
        return made

    def facts(self) -> dict[str, Any]:
        """Returns what a row of metrics says: of the last batch, and by rung since the beginning.

        `rescue/RUNG/later` is the share of passes, without help, at the visit after the rung had
        rescued a task: what it was worth. None: no such visit yet.
        """
        events = self.events
        facts: dict[str, Any] = {
            "rescue/groups": len({each.group for each in events}),
            "rescue/rescued": sum(each.rescued for each in events),
            "rescue/tokens": sum(each.tokens for each in events),
            "rescue/forwards": sum(each.forwards for each in events),
        }
        for name, tally in self._scheduler.tallies.items():
            facts |= {
                f"rescue/{name}/tried": tally.tried,
                f"rescue/{name}/rescued": tally.rescued,
                f"rescue/{name}/tokens": tally.tokens,
                f"rescue/{name}/later": tally.later_passed / tally.later if tally.later else None,
            }
        return facts

    def save(self, folder: Path) -> None:
        """Leaves what it remembers in a checkpoint."""
        publish(folder / STATE, json.dumps(self._scheduler.state()).encode())

    def load(self, folder: Path) -> None:
        """Puts back what `save` left."""
        state: Mapping[str, Any] = json.loads((folder / STATE).read_bytes())
        self._scheduler.restore(state)


def _together(accelerator: Any, mine: Sequence[Any]) -> list[Any]:
    """Returns what all processes have, in their order."""
    if accelerator.num_processes == 1:
        return [*mine]
    from accelerate.utils import gather_object

    return gather_object([*mine])

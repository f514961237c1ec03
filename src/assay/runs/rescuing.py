"""Rescue in a training run: what is kept of it on disk."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from assay.files.atomic import publish
from assay.recipes.recipe import Recipe
from assay.records import Trajectory, write
from assay.rescue.climb import Climbed
from assay.rescue.playing import together
from assay.rescue.rescuer import Rescuer
from assay.rollout.backends.base import Backend
from assay.runs.folder import RESCUES, Folder
from assay.runs.sampling import Prepared

STATE: Final = "rescue.json"


@final
class Rescuing:
    """Helps dead groups of a run's batches, and keeps what came to nothing."""

    def __init__(self, run: Prepared, folder: Folder) -> None:
        self._folder = folder
        self._rescuer = Rescuer(
            run.config.rescue,
            make=run.make,
            protocol=run.protocol,
            sampling=run.config.train.sampling,
            seed=run.seed,
            pass_at=Recipe.of(run.config.recipe).pass_at,
        )

    def __call__(
        self, records: Sequence[Trajectory], backend: Backend, trainer: Any, step: int, version: str
    ) -> Climbed:
        """Returns a batch with its dead groups rescued, as far as they could be."""
        accelerator = trainer.accelerator
        joined = partial(together, accelerator)
        made = self._rescuer(
            records,
            backend,
            accelerator.unwrap_model(trainer.model),
            step,
            process=accelerator.process_index,
            together=joined,
            version=version,
        )
        beside = joined(made.beside)
        if beside and accelerator.is_main_process:
            write(self._folder.batch(RESCUES, step), beside)
        return made

    def facts(self) -> dict[str, Any]:
        """Returns what a row of metrics says, see `Rescuer.facts`."""
        return self._rescuer.facts()

    def save(self, folder: Path) -> None:
        """Leaves what it remembers in a checkpoint."""
        publish(folder / STATE, json.dumps(self._rescuer.state()).encode())

    def load(self, folder: Path) -> None:
        """Puts back what `save` left."""
        self._rescuer.restore(json.loads((folder / STATE).read_bytes()))

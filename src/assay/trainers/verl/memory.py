"""What a run under verl remembers between steps: controllers and running statistics. No verl."""

import json
import logging
from pathlib import Path
from typing import Any, Final, final

from assay.errors import DataError, told
from assay.files.atomic import publish
from assay.recipes import Safety
from assay.signal import Signal
from assay.signal.controllers import Controllers

STATE: Final = "assay_state.json"
"""File in a checkpoint of verl's, beside its own."""
SCHEMA: Final = "assay.verl.state/1"
_log = logging.getLogger("assay.verl")


@final
class Memory:
    """One per trainer."""

    def __init__(self, safety: Safety) -> None:
        self.controllers = Controllers(safety)
        self.statistics: dict[str, float] = {}
        self.length = 0.0
        """Mean sampled tokens of a trajectory of the batch that is trained on."""
        self._said: set[str] = set()

    def say(self, message: str, *, once: bool = False) -> None:
        """Says what a person should know."""
        if not once or message not in self._said:
            self._said.add(message)
            _log.warning(message)

    def credited(self, made: Signal) -> None:
        """Takes the signal of a new batch."""
        self.statistics = made.statistics
        batch = made.batch
        sampled = float(batch.length_R[batch.step_R >= 0].sum())
        self.length = sampled / max(len(batch.ids), 1)

    def trained(self, *, entropy: float | None, ratio: float) -> None:
        """Takes what a step showed; an entropy that nobody measured moves nothing."""
        regime = self.controllers.regime
        if entropy is None and regime is not None:
            self.say("safety.entropy: verl measured no entropy; nothing is watched", once=True)
            return
        for said in self.controllers.observe(
            entropy=0.0 if entropy is None else entropy, ratio=ratio, length=self.length
        ):
            self.say(said)

    def save(self, folder: Path) -> None:
        """Writes `STATE` into a checkpoint, whole or not at all."""
        state = {
            "schema": SCHEMA,
            "statistics": self.statistics,
            **self.controllers.state(),
        }
        folder.mkdir(parents=True, exist_ok=True)
        publish(folder / STATE, json.dumps(state).encode())

    def load(self, folder: Path) -> None:
        """Puts back what `save` wrote.

        Raises:
            DataError: the checkpoint has no state of ours, or not one of this recipe.
        """
        path = folder / STATE
        expected = "expected what the trainer saved there, with the same recipe"
        try:
            state: dict[str, Any] = json.loads(path.read_bytes())
            if state["schema"] != SCHEMA:
                raise DataError(f"{path}: schema {state['schema']!r}, not {SCHEMA!r}; {expected}")
            own = self.controllers.state()
            for name, machine in own.items():
                if (state[name] is None) != (machine is None):
                    raise DataError(f"{path}: {name} is on in one of checkpoint and recipe only")
            self.statistics = {name: float(value) for name, value in state["statistics"].items()}
            self.controllers.restore(state)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: {told(error)}; {expected}") from None

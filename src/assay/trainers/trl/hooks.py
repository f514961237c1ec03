"""What TRL's loop calls at every optimiser step: left out where nothing is to be learnt."""

from typing import Any, final

from transformers import TrainerCallback


@final
class StepHooks(TrainerCallback):
    """Skips empty steps, and closes every step's window.

    The trainer is an `AssayTrainer`: it `skips()` a step or not, and is told to `finish_step`.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer, self._skipped = trainer, False

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Takes the gradients away from a step that has nothing to learn from."""
        self._skipped = self._trainer.skips()
        if self._skipped:
            kwargs["model"].zero_grad(set_to_none=True)
            # accelerate's flag for a step not made, by which the scheduler waits too
            self._trainer.optimizer._is_overflow = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Closes the window."""
        if self._skipped:
            self._trainer.optimizer._is_overflow = False
        self._trainer.finish_step(skipped=self._skipped)
        self._skipped = False

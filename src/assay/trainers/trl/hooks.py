"""What TRL's loop calls at every optimiser step: left out where nothing is to be learnt."""

from typing import Any, Final, final

from transformers import TrainerCallback

from assay.trainers.trl.dropout import dropout

DROPOUT: Final = (
    "the model has dropout, on in TRL's loss pass and off where it samples: ratios are noise; set "
    "GRPOConfig(disable_dropout=True), and attention_dropout of the model's configuration to 0"
)


@final
class StepHooks(TrainerCallback):
    """Skips empty steps, and closes every step's window.

    The trainer is an `AssayTrainer`: it `skips()` a step or not, and is told to `finish_step`.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer, self._skipped = trainer, False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Says what TRL does not: it samples without dropout, and takes the loss with it."""
        if dropout(kwargs["model"]):
            self._trainer.session.once(DROPOUT)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Takes the gradients away from a step that has nothing to learn from."""
        # the schedule moves on before the step ends
        self._trainer.session.rate = float(self._trainer.optimizer.param_groups[0]["lr"])
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

"""`AssayTrainer` as a run drives it: our rollouts, our checkpoints, our logs. Needs torch."""

import dataclasses
import json
import math
import time
import warnings
from pathlib import Path
from typing import Any, Final, final

import torch
from accelerate import PartialState
from transformers import TrainerCallback

from assay.audit.annotations import annotations, step_credit
from assay.errors import DataError, UsageError
from assay.files.lines import write_rows
from assay.kernels.advantages import Advantages
from assay.recipes.settings import known_only
from assay.rollout.progress import Progress
from assay.runs import checkpoint as disk
from assay.runs.config import Config
from assay.runs.folder import Folder
from assay.runs.imitation import imitating
from assay.runs.ledger import Order, used_up
from assay.runs.lessons import Following, Lessons
from assay.runs.rewarding import Rewarding
from assay.runs.rollouts import Rollouts
from assay.runs.sampling import Prepared
from assay.runs.scheduling import Scheduling
from assay.runs.sections import Train
from assay.signal.signal import Signal
from assay.trainers.trl.completions import verified
from assay.trainers.trl.dropout import without_dropout
from assay.trainers.trl.metrics import finite
from assay.trainers.trl.one_gpu import adapters
from assay.trainers.trl.trainer import AssayTrainer

CLOCKS: Final = ("signal_seconds",)
"""Entries of a step's row that differ from run to run: they go to timing.jsonl."""
STATE: Final = (
    "global_step",
    "epoch",
    "max_steps",
    "num_train_epochs",
    "train_batch_size",
    "logging_steps",
    "eval_steps",
    "save_steps",
    "num_input_tokens_seen",
)
"""What a checkpoint holds of transformers' TrainerState."""


@final
class StepRows:
    """Rows in the run directory: clocks apart, and nothing that is not finite."""

    def __init__(
        self, folder: Folder, rollouts: Rollouts, progress: Progress, *, budget: int
    ) -> None:
        self._folder, self._rollouts, self._progress = folder, rollouts, progress
        self._budget, self._began = budget, time.monotonic()

    def __call__(self, row: dict[str, Any]) -> None:
        """Puts what rescue and hints came to into a step's row, and appends it.

        Raises:
            DataError: the loss is no number: the policy is broken, and is not saved.
        """
        if not math.isfinite(row["loss"]):
            raise DataError(
                f"step {row['step']}: the loss is {row['loss']}; the last checkpoint stands: lower "
                "train.learning_rate, or turn on recipe.safety"
            )
        clocks = {name: row[name] for name in CLOCKS if name in row}
        row |= self._rollouts.lessons.facts | self._rollouts.rewarding.facts
        row |= self._rollouts.scheduling.facts
        row |= self._rollouts.scaffolding.facts | self._rollouts.skilling.facts
        if (rescuing := self._rollouts.rescuing) is not None:
            row |= rescuing.facts()
        if (hinting := self._rollouts.hinting) is not None:
            row |= hinting.facts()
        plain = {name: finite(value) for name, value in row.items() if name not in clocks}
        self._folder.append("metrics.jsonl", plain)
        now = time.monotonic()
        spent = {"step": row["step"], "seconds": now - self._began, **clocks}
        self._folder.append("timing.jsonl", {**spent, "rollout_seconds": self._rollouts.seconds})
        self._began = now
        spent = self._rollouts.last["total"]["tokens"]
        self._progress.reached(spent if self._budget else row["step"])


@final
class Budget(TrainerCallback):
    """Ends training where the budget of tokens does, between batches, with a checkpoint."""

    def __init__(self, config: Config, rollouts: Rollouts) -> None:
        """Takes where the budget and what was spent are to be read."""
        self._config, self._rollouts = config, rollouts

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Looks after each step."""
        whole = state.global_step % self._config.train.minibatches == 0
        if whole and used_up(self._rollouts.last, self._config.rollout.budget_tokens):
            control.should_save = control.should_training_stop = True


@final
class Gradients(TrainerCallback):
    """Shows the gradient of each step to what decides the order of domains."""

    def __init__(self, scheduling: Scheduling) -> None:
        """Takes what decides it."""
        self._scheduling = scheduling

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Shows it, after what takes it away from a step that has nothing to learn from."""
        self._scheduling.stepped(given["model"])


class RunTrainer(AssayTrainer):
    """Checkpoints that are committed, credit that is kept beside the rollouts."""

    def __init__(
        self, *args: Any, folder: Folder, config: Config, rollouts: Rollouts, **kwargs: Any
    ) -> None:
        """Takes what `AssayTrainer` takes, where the run is kept, and who plays."""
        self._folder, self._config, self._rollouts = folder, config, rollouts
        kwargs["rollout_func"] = rollouts
        super().__init__(*args, **kwargs)
        for each in (rollouts.lessons, rollouts.rewarding):
            each.begin(self.accelerator.unwrap_model(self.model))
        self._own, self._at_start = self.recipe, imitating(self.recipe)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        done, steps = self.state.global_step, self._config.start.steps
        self.session.start = done < steps
        self.recipe = self._at_start if self.session.start else self._own
        if 0 < done == steps:
            self.session.event(
                f"the start is over: from step {done + 1} on {self._own.label} trains"
            )
        return super()._generate_and_score_completions(inputs)

    def _place(self, output: dict[str, Any], made: Signal, place: Any) -> None:
        super()._place(output, made, place)
        self._rollouts.scheduling.credited(made)
        if self.accelerator.is_main_process:
            total = Advantages(
                dict(made.parts), made.advantage_N, made.carried_N, made.batch.length_R
            )
            credited = step_credit(made.batch, total)
            lines = annotations(made.batch, made.decisions, self.recipe.label, credited)
            write_rows(self._folder.batch("credit", self.state.global_step + 1), lines)

    @property
    def _remembering(self) -> tuple[Lessons, Rewarding, Scheduling]:
        rollouts = self._rollouts
        return rollouts.lessons, rollouts.rewarding, rollouts.scheduling

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = int(self.state.global_step)
        if self.accelerator.is_main_process:
            self._folder.synced()
            disk.commit(self._folder.checkpoints, step, self._fill)
            disk.sweep(self._folder.checkpoints, upto=step, keep=self._config.train.keep)
            self._folder.update(step=step)
        self.accelerator.wait_for_everyone()

    def _fill(self, folder: Path) -> None:
        model = self.accelerator.unwrap_model(self.model)
        disk.save_model(model, folder, self.processing_class)
        disk.save_optimizer(self.optimizer, self.lr_scheduler, folder)
        disk.save_random(folder)
        # of TRL's own state what decides how it goes on; its log has clocks in it
        state = {name: getattr(self.state, name) for name in STATE}
        (folder / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
        self.session.save(folder)
        for each in self._remembering:
            each.save(folder)
        if (rescuing := self._rollouts.rescuing) is not None:
            rescuing.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: Any, model: Any = None) -> None:
        """Puts the weights back; the folder was verified before."""
        disk.load_model(self.model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        if checkpoint is not None:
            disk.load_optimizer(self.optimizer, self.lr_scheduler, Path(checkpoint))
            self.session.load(Path(checkpoint))
            for each in self._remembering:
                each.load(Path(checkpoint))
            if (rescuing := self._rollouts.rescuing) is not None:
                rescuing.load(Path(checkpoint))

    def _load_scaler(self, checkpoint: Any) -> None:
        del checkpoint

    def _load_rng_state(self, checkpoint: Any) -> None:
        if checkpoint is not None:
            disk.load_random(Path(checkpoint))


def trainer_of(run: Prepared, folder: Folder, progress: Progress) -> RunTrainer:
    """Returns the trainer of a run, ready to train or to resume."""
    from datasets import Dataset
    from transformers import PrinterCallback

    config, train = run.config, run.config.train
    batches = train.steps // train.minibatches
    order = Order(run.seed, train.pool, train.first_task)
    rollouts = Rollouts(run, folder, progress.seen)
    prompts = [f"{place} {order.task(place)}" for place in range(batches * train.prompts)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TRL on its experimental rollout_func
        trainer = RunTrainer(
            run.model,
            verified,
            arguments(config, run.seed, folder.path),
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=run.tokenizer,
            rollouts=rollouts,
            rows=lambda step: rollouts.lessons.rows(step, train.minibatches),
            promised=("told", "neutral") if rollouts.lessons.on else (),
            recipe=config.recipe,
            probe=run.probe,
            say=progress.say,
            peft_config=adapters(config.model.lora) if config.model.lora else None,
            folder=folder,
            config=config,
            metrics_path=StepRows(folder, rollouts, progress, budget=config.rollout.budget_tokens),
        )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Budget(config, rollouts))
    trainer.add_callback(Gradients(rollouts.scheduling))
    trainer.add_callback(Following(rollouts.lessons.follow, rollouts.rewarding.follow))
    made: Any = trainer.args
    if made.disable_dropout:
        without_dropout(trainer.model)
    return trainer


def arguments(config: Config, seed: int, out: Path) -> Any:
    """Returns TRL's GRPOConfig for a configuration.

    Raises:
        UsageError: [trl] has a field that GRPOConfig has not, or a value that it refuses.
    """
    from trl.trainer.grpo_config import GRPOConfig

    known_only(config.trl, [each.name for each in dataclasses.fields(GRPOConfig)], "[trl]")
    train = config.train
    given: dict[str, Any] = {
        **_batches(config),
        "output_dir": str(out),
        "seed": seed,
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": scheduled(train),
        "warmup_steps": train.warmup,
        "max_grad_norm": train.max_grad_norm,
        "loss_type": train.loss,
        "epsilon": train.epsilon,
        "epsilon_high": train.epsilon_high or train.epsilon,
        "beta": train.beta,
        "temperature": train.temperature,
        "max_completion_length": train.max_length,
        "scale_rewards": "none",
        "report_to": "none",
        "project": "assay",
        "run_name": out.resolve().name,
        "logging_steps": 1,
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
        "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        "gradient_checkpointing": False,
        "optim": "adamw_torch",
        "disable_dropout": True,
        **config.trl,
    }
    try:
        return GRPOConfig(**given)
    except (TypeError, ValueError) as error:
        raise UsageError(f"TRL refuses the configuration: {str(error).splitlines()[0]}") from None


def scheduled(train: Train) -> str:
    """Returns TRL's name of the schedule; its plain "constant" would leave a warm-up out."""
    warm = train.schedule == "constant" and train.warmup
    return "constant_with_warmup" if warm else train.schedule


def processes() -> PartialState:
    """Returns accelerate's view of the processes; without a GPU they are joined on the CPU."""
    return PartialState(cpu=not torch.cuda.is_available())


def _batches(config: Config) -> dict[str, Any]:
    """Returns how many rows are sampled and passed at a time, in TRL's words."""
    train = config.train
    rows = train.prompts * config.rows
    many = processes().num_processes
    micro = config.micro(many)
    return {
        "max_steps": train.steps,
        "num_generations": config.rows,
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": rows // (many * micro * train.minibatches),
        "steps_per_generation": rows // (many * micro),
        "shuffle_dataset": False,
        "save_strategy": "steps",
        "save_steps": train.save_every,
    }

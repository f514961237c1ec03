"""TRL's GRPO with our advantages: one per token, gated, with the negative side in bounds.

    from assay.trainers.trl.trainer import AssayTrainer
    AssayTrainer(model, reward_funcs, args, ..., recipe="grpo")     # the rest as GRPOTrainer's

Where it hooks in (held by tests/trainers/trl/test_contract.py): `_calculate_rewards`, to see
rewards; `_generate_and_score_completions`, to replace `advantages` (B,) by (B, T);
`_get_per_token_logps_and_entropies` and `_compute_loss`, to see the log-probabilities of the one
forward pass that TRL makes anyway. Axes: B rows of this process, T padded completion length.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assay.errors import MissingExtraError, UsageError
from assay.recipes.recipe import MEAN_LOSSES, RATIO_LOSSES, Recipe
from assay.records import Trajectory
from assay.signal.origins import OriginRow, row_of
from assay.signal.signal import Signal, signal
from assay.trainers.trl.adapter import (
    TOOL_MASK,
    RewardCall,
    batch_of,
    check_keys,
    keep_successes,
    loss_mask,
    successes,
    taken,
    together,
)
from assay.trainers.trl.compatibility import (
    TESTED,
    bounds,
    check_config,
    fit,
    means_of_micro_batches,
    other_losses,
)
from assay.trainers.trl.environments import playing, telling
from assay.trainers.trl.hooks import StepHooks
from assay.trainers.trl.losses import off_policy_keep, preserved, ratio_facts, sequence_old
from assay.trainers.trl.own_log import OwnLog
from assay.trainers.trl.padding import TEXT_ONLY, by_length, by_width, rotary, trimmed
from assay.trainers.trl.placement import Place, mask_from_records, placed
from assay.trainers.trl.replay import counted, padded, row_losses
from assay.trainers.trl.shared_prefixes import sharing, trees_together, whole_rows_alone
from assay.trainers.trl.step_stats import Window
from assay.trainers.trl.trainer_state import Session
from assay.trainers.trl.zero_rows import Scored, idle_rows, scored_apart

try:
    from trl.trainer.grpo_trainer import GRPOTrainer
except ImportError:
    raise MissingExtraError.of("trl", extra="train", to="AssayTrainer") from None


class AssayTrainer(GRPOTrainer):
    """`GRPOTrainer` whose advantages come from a recipe."""

    def __init__(
        self,
        *args: Any,
        recipe: "str | Mapping[str, Any] | Recipe" = "grpo",
        metrics_path: "Path | str | Callable[[Mapping[str, Any]], None] | None" = None,
        probe: Iterable[OriginRow | Trajectory] = (),
        probe_every: int = 10,
        rows: Callable[[int], Sequence[OriginRow]] | None = None,
        promised: Iterable[str] = (),
        say: Callable[[str], None] | None = None,
        log: "Path | str | None" = None,
        environment: Any = None,
        rescue: "Mapping[str, Any] | None" = None,
        **kwargs: Any,
    ) -> None:
        """Takes what `GRPOTrainer` takes, and:

        Args:
            *args: as `GRPOTrainer`.
            recipe: a name (a method's, or "assay"), plain data (`assay.recipes.recipe`), a recipe.
            metrics_path: file that gets one JSON object per optimiser step, or what is called
                with it.
            probe: known-good trajectories whose log-probability is followed.
            probe_every: optimiser steps between two looks at the probe.
            rows: returns, for the number of a step, further rows to train on by their `losses`; on
                every process the same.
            promised: facts that a run provides (`credit.facts`), also where a batch happens to have
                none of them: a batch without a hint is no batch that lacks a teacher.
            say: gets one line per step, and one per event (a step skipped, a regime changed, a
                back-off). None: events go to the log as warnings, steps nowhere.
            log: folder that gets a file of records for each batch generated in training.
            environment: whose tasks are played, by name, class or function (`rescue.playing`);
                prompts are their numbers.
            rescue: what is done for dead groups, as `[rescue]`. None: as the named recipe says.
            **kwargs: as `GRPOTrainer`.

        Raises:
            UsageError: the recipe asks what the loss type or the precision cannot do.
        """
        check_config(kwargs.get("args", args[2] if len(args) > 2 else None))
        self.recipe = Recipe.of(recipe)
        played = playing(environment, rescue, recipe, kwargs)
        super().__init__(*args, **kwargs)
        fit(self.recipe, self.args, self.loss_type)
        told = telling(metrics_path, played)
        self.session = Session(self.recipe.safety, metrics=told, say=say, beside=played)
        self._log = None if log is None else OwnLog(Path(log), self.session.event)
        self._probe = [s if isinstance(s, OriginRow) else row_of(s) for s in probe]
        self._probe_every, self._rows, self._counts = probe_every, rows, dict[str, float]()
        self.promised, self._window = frozenset(promised), Window()
        self._intake: RewardCall | None = None
        self._sampled: Any = None
        self._open: dict[str, Any] | None = None
        self._forward: Scored | None = None
        self._of_sequence, self._replay_now = False, False
        self._pending: dict[int, OriginRow] = {}
        self._found: dict[int, OriginRow] = {}
        self.add_callback(StepHooks(self))

    # Credit: once per generated batch.

    def _generate(self, prompts: Any) -> Any:
        generated = super()._generate(prompts)
        self._sampled = generated[TOOL_MASK]
        return generated

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        self._intake = RewardCall(
            inputs=inputs,
            completions=completions,
            ids=completion_ids_list,
            rewards=rewards,
            sampled=self._sampled,
        )
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        intake, self._intake = self._intake, None
        if not self.training_now or intake is None:
            return output
        started = time.perf_counter()
        width = check_keys(output)
        facts = together(self, intake.facts(self, output))
        if self._log is not None:
            self._log.write(self, intake.rows(self))
        made = signal(
            batch_of(self, facts),
            self.recipe,
            scales=self.session.scales,
            by_row=self.loss_type in MEAN_LOSSES,
            seed=(int(self.args.seed), int(self.state.global_step)),
        )
        first = self.accelerator.process_index * len(inputs)
        place = Place(slice(first, first + len(inputs)), np.array(facts.skip), width)
        if intake.given(self):
            mask_from_records(self, output, made, place)
        self._place(output, made, place)
        self._prepare_replay(output, made, place)
        self.session.credited(made, facts.calls, time.perf_counter() - started)
        return output

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        before: Any = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        made: Any = self._buffered_inputs
        if not self.training_now or made is before or made is None:
            return inputs
        if means_of_micro_batches(self) or any(inputs.get(key) is not None for key in TEXT_ONLY):
            return inputs
        better = trees_together(self.accelerator.unwrap_model(self.model))
        self._buffered_inputs = by_length(made, self.args.gradient_accumulation_steps, better)
        return self._buffered_inputs[self._step % len(made)]

    def _place(self, output: dict[str, Any], made: Signal, place: Place) -> None:
        placed(self, output, made, place)

    def _prepare_replay(self, output: dict[str, Any], made: Signal, place: Place) -> None:
        """Notes this process's verified successes, and whether to replay older ones."""
        replay = self.session.replay
        if replay is None:
            return
        count = place.mine.stop - place.mine.start
        output["assay_row"] = torch.arange(count, device=self.accelerator.device)
        self._pending = successes(output, made, place.mine)
        up, down = made.mass
        self._replay_now = up <= replay.settings.below * (up + down)

    @property
    def training_now(self) -> bool:
        """Whether the model is being trained, and not evaluated."""
        model: Any = self.model
        return bool(model.training)

    @property
    def processing_pad(self) -> int:
        """The id that pads rows."""
        tokenizer: Any = self._tokenizer
        return int(tokenizer.pad_token_id)

    # Loss: once per micro-batch.

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, *args: Any, **kwargs: Any
    ) -> Any:
        score, inputs = super()._get_per_token_logps_and_entropies, self._open
        width = args[0] if args else kwargs["logits_to_keep"]
        if inputs is None or self._forward is not None:
            model = sharing(self, model, width, kwargs)
            return score(model, input_ids, attention_mask, *args, **kwargs)
        whole = self.accelerator.unwrap_model(model)
        live, idle = (sharing(self, each, width, inputs) for each in (model, whole))
        result = self._forward = scored_apart(
            lambda ids, seen: score(live, ids, seen, *args, **kwargs),
            lambda ids, seen: score(idle, ids, seen, *args, **kwargs),
            input_ids,
            attention_mask,
            self._idle(inputs),
        )
        self._screen(inputs, result[0])
        old = inputs.get("old_per_token_logps")
        if self._of_sequence and old is not None:
            inputs["old_per_token_logps"] = sequence_old(result[0], old, loss_mask(inputs))
        return result

    def _idle(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Returns which rows need no backward pass: without advantage, and in no other loss."""
        advantage = inputs["advantages"]
        if other_losses(self) or self.recipe.safety.preserve or not whole_rows_alone(self, inputs):
            return torch.zeros(len(advantage), dtype=torch.bool, device=advantage.device)
        return idle_rows(advantage)

    def _screen(self, inputs: dict[str, Any], new: torch.Tensor) -> None:
        """Drops off-policy negative sequences, before TRL reads the advantages."""
        threshold = self.recipe.safety.off_policy
        old = inputs.get("sampling_per_token_logps", inputs.get("old_per_token_logps"))
        if threshold is None or old is None:
            return
        credit, mask = inputs["advantages"], loss_mask(inputs)
        keep = off_policy_keep(credit, new, old, mask, threshold=threshold)
        inputs["advantages"] = credit * keep
        self._window.dropped.append((keep == 0).sum())

    def _compute_loss(self, model: Any, inputs: Any) -> torch.Tensor:
        if not self.training_now or inputs["advantages"].dim() == 1:
            return super()._compute_loss(model, inputs)
        config: Any = self.accelerator.unwrap_model(model).config
        inputs = dict(inputs) if by_width(config) else trimmed(inputs, left=rotary(config))
        self._open, credit, old = inputs, inputs["advantages"], inputs.get("old_per_token_logps")
        level = self.importance_sampling_level
        self._of_sequence = level == "sequence" and self.loss_type in RATIO_LOSSES
        if self._of_sequence:  # a ratio per token, so that it meets the advantage of its token
            self.importance_sampling_level = "token"
        try:
            loss = super()._compute_loss(model, inputs)
        finally:
            self.importance_sampling_level, self._of_sequence = level, False
            self._open, forward = None, self._forward
            self._forward = None
        if old is not None:
            inputs["old_per_token_logps"] = old
        if forward is None:
            raise UsageError(f"{TESTED}; its loss made no forward pass that we could see")
        loss = self._with_extras(model, inputs, credit, loss, forward[0])
        self._follow(inputs, loss, forward[0], forward[1])
        return loss

    def _with_extras(
        self,
        model: Any,
        inputs: dict[str, Any],
        credit: torch.Tensor,
        loss: torch.Tensor,
        new: torch.Tensor,
    ) -> torch.Tensor:
        """Returns the loss with our terms added; as it was where there is none.

        `credit` is what the advantages were before `_screen`: a dropped failure is one still.
        """
        safety, old = self.recipe.safety, inputs.get("old_per_token_logps")
        if safety.preserve and old is not None:
            held = preserved(credit, new, old, loss_mask(inputs), inputs["assay_span"])
            loss = loss + safety.preserve * held / self.current_gradient_accumulation_steps
            self._window.other_loss |= bool(held.detach() > 0)
        if self._window.micro_batches == 0 and (rows := self._further()):
            loss = loss + self._of_rows(self.accelerator.unwrap_model(model), rows)
            self._window.other_loss = True
        if self.session.replay is not None:
            comparable = rotary(self.accelerator.unwrap_model(model).config)
            self._found |= taken(self._pending, inputs, new, comparable=comparable)
        return loss

    def _further(self) -> list[OriginRow]:
        """Returns the rows that this step trains on beside the generated ones."""
        step, replay = int(self.state.global_step), self.session.replay
        rows = [] if self._rows is None else [row for row in self._rows(step) if row.losses]
        if replay is not None and self._replay_now and replay.kept:
            rows += replay.drawn((int(self.args.seed), step))
        self._counts = counted(rows, None if self._rows is None else self.accelerator)
        return rows

    def _of_rows(self, model: Any, rows: Sequence[OriginRow]) -> torch.Tensor:
        """Returns the sum of the losses that the rows name."""
        chosen = padded(rows, pad_id=self.processing_pad, device=self.accelerator.device)
        logp = None
        if any(each.kind == "topk_kl" for row in rows for each in row.losses):
            with self.accelerator.autocast():
                logits = model(input_ids=chosen.input_ids, attention_mask=chosen.attention_mask)
            width = chosen.width
            logp = (logits.logits[:, -width - 1 : -1].float() / self.temperature).log_softmax(-1)
            new = logp.gather(2, chosen.input_ids[:, -width:, None])[:, :, 0]
        else:
            new = self._scored(model, chosen)
        low, high = self.epsilon_low, self.epsilon_high
        return row_losses(rows, chosen, new, logp, counts=self._counts, low=low, high=high)

    def _follow(
        self, inputs: dict[str, Any], loss: torch.Tensor, new: torch.Tensor, entropies: torch.Tensor
    ) -> None:
        """Adds the micro-batch to the window."""
        old, advantage = inputs.get("old_per_token_logps"), inputs["advantages"]
        mask, new = loss_mask(inputs), new.detach()
        of_rows = self.importance_sampling_level == "sequence"
        reached = sequence_old(new, old, mask) if of_rows and old is not None else old
        low, high = bounds(self.loss_type, self.epsilon_low, self.epsilon_high)
        facts = ratio_facts(advantage, new, reached, mask, low=low, high=high)
        self._window.other_loss |= other_losses(self)
        self._window.add(facts, advantage=advantage, entropies=entropies, mask=mask, loss=loss)
        if old is None:
            self.session.on_policy(sampled="sampling_per_token_logps" in inputs)

    def forward_only(self, ids: torch.Tensor, seen: torch.Tensor, width: int) -> Any:
        """Returns (log-probabilities, entropies, None) of rows, in TRL's batches."""
        return super()._get_per_token_logps_and_entropies(
            sharing(self, self.model, width, {}),
            ids,
            seen,
            width,
            batch_size=self.args.per_device_train_batch_size,
            compute_entropy=True,
        )

    def _scored(self, model: Any, chosen: Any) -> torch.Tensor:
        """Returns the log-probabilities of padded samples."""
        return super()._get_per_token_logps_and_entropies(
            model, chosen.input_ids, chosen.attention_mask, chosen.width
        )[0]

    # Steps: once per optimiser step.

    def skips(self) -> bool:
        """Returns whether the step that is about to be made has nothing to learn from."""
        return self.recipe.safety.skip_empty and self._window.empty(self.accelerator)

    def finish_step(self, *, skipped: bool) -> None:
        """Writes the step's row, lets the controllers look at it, and opens the next window."""
        seen = self._window.reduced(self.accelerator)
        self._window = Window()
        if self.session.replay is not None:
            keep_successes(self, self.session.replay, self._found)
            self._found = {}
        if not seen:
            return
        step = self.state.global_step
        due = bool(self._probe) and (step == 1 or step % self._probe_every == 0)
        row = self.session.step(
            step,
            seen,
            probe=self._look() if due else None,
            skipped=skipped,
            write=self.accelerator.is_main_process,
        )
        for name, value in row.items():
            if isinstance(value, int | float) and name != "step":
                self._metrics["train"][f"assay/{name}"].append(float(value))

    def _look(self) -> float:
        """Returns the mean log-probability of the probe's sampled tokens, nats."""
        chosen = padded(self._probe, pad_id=self.processing_pad, device=self.accelerator.device)
        with torch.no_grad():
            new = self._scored(self.model, chosen)
        return float((new * chosen.mask).sum() / chosen.mask.sum().clamp(min=1))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial))
            self.session.save(folder / f"checkpoint-{self.state.global_step}")

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.session.load(Path(checkpoint))

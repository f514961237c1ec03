"""Level 2: verl's synchronous trainer with advantages from records. Needs verl.

It takes the place of `sync` in verl's table, and is verl's own unless adv_estimator is `assay`.
Where it hooks in (held by tests/trainers/verl/test_contract.py): `_balance_batch`, to put rows
into an order that does not depend on which was sampled first; `_compute_advantage`, the one place
where all rows of all groups are together, with what their agent loops added; `_update_actor`, to
leave out a step without signal and to see how far it went; checkpoints, for what we remember.
"""
# pyright: reportMissingImports=false, reportUntypedBaseClass=false

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import transfer_queue as tq
from tensordict import TensorDict
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from assay.errors import DataError
from assay.files.atomic import publish
from assay.records import Trajectory, encode
from assay.signal import Signal, signal
from assay.trainers.verl.estimators import INSIDE
from assay.trainers.verl.loss import LARGEST
from assay.trainers.verl.memory import Memory
from assay.trainers.verl.processes import checked, lost
from assay.trainers.verl.rows import PADDING, Records, Row, names_of, records_of
from assay.trainers.verl.settings import Settings, chosen

FIELDS: Final = ("prompts", "responses", "response_mask", "rm_scores", "extra_fields", "index")
"""Fields of verl's store that we read of each row."""
VALUES: Final = {"logprobs": "old_log_probs", "entropies": "entropy"}
"""Fields that hold what some methods need beside."""
ENTROPY: Final = "actor/entropy"
"""verl's metric: nats, mean over the sampled tokens."""
POLL: Final = 0.05
"""Seconds between two looks at the store, where verl looks every two: small models are faster."""


class AssayTrainer(PPOTrainerSync):
    """`PPOTrainerSync` whose advantages come from a recipe."""

    def __init__(self, config: Any) -> None:
        """Takes verl's configuration, and reads our section of it.

        Raises:
            UsageError: no recipe, or one that verl cannot train.
        """
        self.assay = chosen(config)
        super().__init__(config)
        if self.assay is None:
            return
        self.memory = Memory(self.assay.recipe.safety)
        self.replay_buffer.poll_interval = POLL
        self._empty = False
        for name in self.assay.off:
            self.memory.say(f"{name} does nothing under verl; everything else of the recipe does")

    def fit(self, agent_loop_manager: Any) -> None:
        """Trains, once it is certain that every process has the plug-in.

        Raises:
            UsageError: one has not.
            DataError: no trajectory of a task could be played; what the first one ended in.
        """
        if self.assay is not None:
            self.memory.say(checked(self._processes(agent_loop_manager)))
        try:
            super().fit(agent_loop_manager)
        except RuntimeError as error:
            if not (why := lost(agent_loop_manager.agent_loop_workers)):
                raise
            raise DataError(f"no trajectory of a task could be played: {why}") from error

    def _processes(self, agent_loop_manager: Any) -> dict[str, Sequence[Any]]:
        """Returns the actors that verl started for this run, by what they do."""
        replicas = self.llm_server_manager.get_replicas()
        return {
            "actor": self.actor_rollout_wg.workers,
            "agent loop": agent_loop_manager.agent_loop_workers,
            "reward loop": self.reward_loop_manager.reward_loop_worker_handles or (),
            "rollout server": [server for each in replicas for server in each.servers],
        }

    # Credit: once a step.

    def _balance_batch(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        if self.assay is not None:
            data = tq.kv_batch_get(
                keys=batch.keys, partition_id=batch.partition_id, select_fields=["index"]
            )
            names = [(str(index), *names_of(key)) for index, key in
                     zip(list(data["index"]), batch.keys, strict=True)]  # fmt: skip
            batch.reorder(sorted(range(len(names)), key=names.__getitem__))
        return super()._balance_batch(batch, *args, **kwargs)

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        if (settings := self.assay) is None:
            return super()._compute_advantage(batch, metrics)
        began = time.perf_counter()
        rows, masks = self._rows(batch, settings.recipe.needs)
        spent = time.perf_counter() - began
        token = INSIDE.set(True)
        try:
            batch = super()._compute_advantage(batch, metrics)
        finally:
            INSIDE.reset(token)
        began = time.perf_counter()
        padding = [bool(tag.get(PADDING)) for tag in batch.tags]
        found, made = self._credited(rows, padding, settings)
        metrics |= {f"assay/{name}": value for name, value in made.facts().items()}
        batch = self._put(batch, found, made, masks, kept=settings.kept)
        self.timing_raw["assay"] = spent + time.perf_counter() - began
        return batch

    def _rows(self, batch: Any, needed: frozenset[str]) -> tuple[list[Row], list[list[int]]]:
        """Returns the rows of a batch, and the mask of each."""
        needs = [VALUES[name] for name in sorted(needed & VALUES.keys())]
        data = tq.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=[*FIELDS, *needs]
        )
        lists = {name: _lists(data[name]) for name in (*FIELDS[:4], *needs)}
        extra, index = list(data["extra_fields"]), list(data["index"])
        rows = [
            Row(
                key=key,
                prompt=lists["prompts"][at],
                response=lists["responses"][at],
                mask=lists["response_mask"][at],
                score=float(np.sum(lists["rm_scores"][at])),
                extra=extra[at] if isinstance(extra[at], Mapping) else {},
                task=str(index[at]),
                values={name: lists[field][at] for name, field in VALUES.items() if field in lists},
            )
            for at, key in enumerate(batch.keys)
        ]
        return rows, lists["response_mask"]

    def _credited(
        self, rows: Sequence[Row], padding: Sequence[bool], settings: Settings
    ) -> tuple[Records, Signal]:
        """Returns the records of the batch, written to the log, and their signal."""
        step = int(self.global_steps)
        found = records_of(
            rows, padding, step=step, decode=self.tokenizer.decode, needs=settings.recipe.needs
        )
        if settings.log is not None:
            _write(settings.log / f"step_{step:06d}.jsonl", found.records)
        made = signal(
            found.records,
            settings.recipe,
            scales=self.memory.controllers.scales,
            by_row=settings.by_row,
            seed=(int(self.config.data.get("seed") or 0), step - 1),
            statistics=self.memory.statistics,
        )
        self.memory.credited(made)
        return found, made

    def _put(
        self, batch: Any, found: Records, made: Signal, masks: list[list[int]], *, kept: bool
    ) -> Any:
        """Writes advantages, and the mask where the recipe's divisor leaves tokens out."""
        rows = found.advantages(made, masks)
        self._empty = not any(row.any() for row in rows)
        fields = {"advantages": _nested(rows), "returns": _nested(rows)}
        if kept:
            mask = [each.astype(np.int64) for each in found.weights(made, masks)]
            fields |= {"response_mask": _nested(mask), "loss_mask": _nested(mask)}
        return tq.kv_batch_put(
            keys=batch.keys,
            partition_id=batch.partition_id,
            fields=TensorDict(fields, batch_size=len(batch)),
        )

    # What the step did.

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        if self.assay is None:
            return super()._update_actor(batch, metrics)
        skipped = self._empty and self.assay.recipe.safety.skip_empty
        metrics["assay/skipped"] = float(skipped)
        if skipped:
            self.memory.say(f"step {self.global_steps} skipped: no token has an advantage")
            return batch
        batch = super()._update_actor(batch, metrics)
        self.memory.trained(entropy=metrics.get(ENTROPY), ratio=float(metrics.get(LARGEST, 1.0)))
        return batch

    def _save_checkpoint(self) -> None:
        if self.assay is not None:  # before verl's, which says at its end that there is one
            name = f"global_step_{self.global_steps}"
            self.memory.save(Path(self.config.trainer.default_local_dir) / name)
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.assay is not None and self.global_steps:
            self.memory.load(self._resumed())

    def _resumed(self) -> Path:
        """Returns the folder that verl resumed from."""
        settings = self.config.trainer
        if settings.resume_mode == "resume_path":
            return Path(settings.resume_from_path)
        return Path(settings.default_local_dir) / f"global_step_{self.global_steps}"


def _lists(rows: torch.Tensor) -> list[list[Any]]:
    """Returns a nested or padded tensor row by row."""
    return [row.tolist() for row in rows.unbind()]


def _nested(rows: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.from_numpy(row) for row in rows],
                                         layout=torch.jagged)  # fmt: skip


def _write(path: Path, records: Sequence[Trajectory]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    publish(path, b"".join(encode(each) + b"\n" for each in records))

"""A run that learns what stands in contexts: score a slice of questions, train on its pairs, save,
go on with the next. Needs torch.

Nothing is sampled, and there is no reference policy; what is drawn is a function of the seed and of
the slice. A slice is whole between two checkpoints, so that what is resumed begins with one.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from jaxtyping import Float64

from assay.errors import DataError
from assay.files.lines import write_rows
from assay.kernels import rlag
from assay.policy.loading import device
from assay.recipes.settings import require
from assay.rollout.progress import Progress
from assay.rollout.questions import Question, Scored, questions, right, scored
from assay.runs import checkpoint as disk
from assay.runs.folder import QUESTIONS, Folder
from assay.runs.ledger import Order, entry, used_up
from assay.runs.sampling import Prepared
from assay.trainers.losses import ce, margin, preferred
from assay.trainers.trl.metrics import finite

SCHEMA: Final = "assay.questions/1"
Row = tuple[Sequence[int], int]
"""Tokens, and how many of them are given."""


@final
@dataclass(frozen=True, slots=True)
class Slice:
    """The questions of a slice, and what is trained on."""

    asked: Sequence[Question]
    pairs: rlag.Pairs
    weight_Q: Float64[np.ndarray, " Q"]
    scored: Scored | None
    """None: of continued pre-training, which needs no pairs."""

    def rows(self, at: int, gains: rlag.Gains) -> dict[str, Row]:
        """Returns the texts whose mean log-probabilities are the rewards of a question."""
        asked, chosen = self.asked[at], int(self.pairs.chosen_Q[at])
        rejected, given = int(self.pairs.rejected_Q[at]), asked.given
        made: dict[str, Row] = {"know": (asked.told, 1)}
        if self.scored is None:
            return made
        if chosen != rejected:
            opened, closed = asked.open, asked.closed
            if gains.augmented:
                made["augmented"] = ((*opened, *asked.turns[chosen]), len(opened) + given)
            if gains.naive:
                made["naive"] = ((*closed, *asked.turns[rejected]), len(closed) + given)
        if gains.distilled:
            turn = asked.turns[chosen]
            made["distilled"] = ((*asked.closed, *turn), len(asked.closed))
        return made


REWARDS: Final = ("know", "augmented", "naive", "distilled")


def means(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    """Returns the mean log-probability of the tokens of each row that are not given, nats, with its
    gradient."""
    width = max(len(ids) for ids, _ in rows)
    at = next(model.parameters()).device
    ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids, _ in rows], device=at)
    size = torch.tensor([len(ids) for ids, _ in rows], device=at)[:, None]
    first = torch.tensor([given for _, given in rows], device=at)[:, None]
    place = torch.arange(width, device=at)[None]
    logits = model(input_ids=ids, attention_mask=(place < size).long()).logits[:, :-1].float()
    logp = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    counted = ((place >= first) & (place < size))[:, 1:]
    return torch.where(counted, logp, 0.0).sum(1) / counted.sum(1)


@final
class Internalising:
    """The loop of a run."""

    def __init__(self, run: Prepared, folder: Folder, progress: Progress) -> None:
        from peft import get_peft_model
        from transformers import get_scheduler

        from assay.runs.loop import scheduled
        from assay.trainers.trl.one_gpu import adapters

        self._run, self._folder, self._progress = run, folder, progress
        self._settings, train = run.config.rlag, run.config.train
        lora, model = run.config.model.lora, run.model
        # as it is evaluated: no dropout, of which two forwards of a pair would differ
        self._model = (get_peft_model(model, adapters(lora)) if lora else model).to(device()).eval()
        trained = [each for each in self._model.parameters() if each.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=train.learning_rate, weight_decay=0.0)
        self._scheduler: Any = get_scheduler(
            scheduled(train), self._optimizer, train.warmup, train.steps
        )
        self._order = Order(run.seed, train.pool, train.first_task)

    def train(self, checkpoint: Path | None) -> int:
        """Trains from a checkpoint, or from the beginning, and returns the last step."""
        step, last = 0, dict[str, Any]()
        if checkpoint is not None:
            disk.load_model(self._model, checkpoint)
            disk.load_optimizer(self._optimizer, self._scheduler, checkpoint)
            step, last = self._folder.about["step"], [*self._folder.rows("ledger.jsonl")][-1]
        train, settings = self._run.config.train, self._settings
        many = settings.steps(train.prompts)
        while step < train.steps:
            part = self._sliced(step // many)
            last = self._noted(part, step, last)
            for epoch in range(settings.epochs):
                order = np.random.default_rng([self._run.seed, step // many, epoch])
                mixed = order.permutation(settings.slice).reshape(-1, train.prompts).tolist()
                for at, batch in enumerate(mixed, step + epoch * len(mixed) + 1):
                    self._step(part, batch, at, last)
            step += many
            done = used_up(last, self._run.config.rollout.budget_tokens) or step == train.steps
            if done or step % train.save_every == 0:
                self._save(step)
            if done:
                break
        return step

    def _sliced(self, number: int) -> Slice:
        """Returns a slice, scored and paired."""
        settings, run = self._settings, self._run
        places = range(number * settings.slice, (number + 1) * settings.slice)
        tasks = [self._order.task(place) for place in places]
        asked = questions(run.make, tasks, run.protocol)
        for each in asked:
            require(
                each.longest <= run.config.train.max_length,
                f"rlag: task {each.task}: context, question and option are {each.longest} tokens; "
                f"expected at most train.max_length, {run.config.train.max_length}",
            )
        right_Q = np.array([each.right for each in asked])
        if settings.kind == "cpt":
            return Slice(asked, rlag.Pairs(right_Q, right_Q), np.ones(len(asked)), None)
        found = scored(self._model, asked)
        pairs = rlag.pairs(
            found.open_QO,
            found.closed_QO,
            right_Q,
            by=settings.chosen,
            seed=(run.seed, number, 1),
        )
        weight_Q = rlag.weight(pairs.chosen_Q, found.open_QO, right_Q, by=settings.filter)
        return Slice(asked, pairs, weight_Q, found)

    def _noted(self, part: Slice, step: int, before: Mapping[str, Any]) -> dict[str, Any]:
        """Writes a slice into the ledger and among the questions, and returns the ledger's row.

        Its tokens are those that are read: in scoring, and in each pass that trains."""
        gains, settings = self._settings.gains, self._settings
        trained = sum(
            len(ids)
            for at in np.flatnonzero(part.weight_Q).tolist()
            for ids, _ in part.rows(at, gains).values()
        )
        read = 0 if part.scored is None else part.scored.tokens
        cost = {
            "tokens": read + settings.epochs * trained,
            "scoring_forwards": 0 if part.scored is None else part.scored.forwards,
        }
        first = step // settings.steps(self._run.config.train.prompts) * settings.slice
        tasks = [str(each.task) for each in part.asked]
        made = entry(step + 1, first, tasks, cost, before.get("total", {}))
        self._folder.append("ledger.jsonl", made)
        if part.scored is not None:
            write_rows(self._folder.batch(QUESTIONS, step + 1), _lines(part))
        return made

    def _step(self, part: Slice, batch: Sequence[int], at: int, last: Mapping[str, Any]) -> None:
        """Takes one optimiser step, unless no question of it counts, and writes its row."""
        began, train = time.monotonic(), self._run.config.train
        found = self._passed(part, batch)
        norm = 0.0
        if part.weight_Q[batch].any():
            limit = train.max_grad_norm or math.inf
            norm = float(torch.nn.utils.clip_grad_norm_(self._model.parameters(), limit))
            self._optimizer.step()
            self._scheduler.step()
        self._optimizer.zero_grad(set_to_none=True)
        if not math.isfinite(found["loss"] or 0.0):
            raise DataError(
                f"step {at}: the loss is {found['loss']}; the last checkpoint stands: lower "
                "train.learning_rate"
            )
        rate = self._scheduler.get_last_lr()[0]
        total = last["total"]["tokens"]
        line = {"step": at, **found, "grad_norm": norm, "learning_rate": rate, "tokens_read": total}
        line |= _facts(part)
        self._folder.append("metrics.jsonl", {name: finite(each) for name, each in line.items()})
        self._folder.append("timing.jsonl", {"step": at, "seconds": time.monotonic() - began})
        self._progress.reached(total if self._run.config.rollout.budget_tokens else at)

    def _passed(self, part: Slice, batch: Sequence[int]) -> dict[str, float]:
        """Passes a batch forward and back, and returns its loss and its mean rewards; NaN: no
        question has that one."""
        micro = self._run.config.train.micro or len(batch)
        used = [each for each in batch if part.weight_Q[each] > 0]
        total = torch.tensor(part.weight_Q[batch].sum(), dtype=torch.float32, device=device())
        lost, seen = 0.0, {name: list[float]() for name in REWARDS}
        for first in range(0, len(used), micro):
            mine = used[first : first + micro]
            loss, values = self._loss(part, mine, total)
            loss.backward()
            lost += loss.item()
            for name, each in values.items():
                seen[name] += each
        told = {f"rlag/{name}": float(np.mean(seen[name] or [math.nan])) for name in REWARDS}
        return {"loss": lost, **told}

    def _loss(
        self, part: Slice, mine: Sequence[int], total: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, list[float]]]:
        """Returns the loss of some questions as part of a step, and their rewards."""
        gains = self._settings.gains
        texts = [part.rows(at, gains) for at in mine]
        places = [(name, at) for at, each in enumerate(texts) for name in each]
        value = means(self._model, [texts[at][name] for name, at in places])
        found, seen = dict[str, torch.Tensor](), dict[str, list[float]]()
        for name in REWARDS:
            of = [n for n, (each, _) in enumerate(places) if each == name]
            into = torch.tensor([places[n][1] for n in of], device=value.device, dtype=torch.long)
            seen[name] = value[of].tolist()
            found[name] = value.new_zeros(len(mine)).index_put((into,), value[of])
        weight = torch.tensor(part.weight_Q[list(mine)], dtype=value.dtype, device=value.device)
        if part.scored is None:
            return ce(found["know"][None], weight[None], total), seen
        same = part.pairs.chosen_Q[list(mine)] == part.pairs.rejected_Q[list(mine)]
        told = torch.tensor(same, device=value.device)
        know, augmented, naive, distilled = (found[name] for name in REWARDS)
        won = margin(know, augmented, naive, distilled, told, gains)
        return preferred(won, weight, total), seen

    def _save(self, step: int) -> None:
        self._folder.synced()
        disk.commit(self._folder.checkpoints, step, self._fill)
        disk.sweep(self._folder.checkpoints, upto=step, keep=self._run.config.train.keep)
        self._folder.update(step=step)

    def _fill(self, folder: Path) -> None:
        disk.save_model(self._model, folder, self._run.tokenizer)
        disk.save_optimizer(self._optimizer, self._scheduler, folder)


def _facts(part: Slice) -> dict[str, float]:
    """Returns what a slice's scores say, before it was trained on."""
    if part.scored is None:
        return {}
    same_Q = part.pairs.chosen_Q == part.pairs.rejected_Q
    chosen_Q = part.pairs.chosen_Q == np.array([each.right for each in part.asked])
    return {
        "rlag/closed_book": float(right(part.scored.closed_QO, part.asked).mean()),
        "rlag/open_book": float(right(part.scored.open_QO, part.asked).mean()),
        "rlag/chosen_right": float(chosen_Q.mean()),
        "rlag/same": float(same_Q.mean()),
        "rlag/used": float(part.weight_Q.mean()),
    }


def _lines(part: Slice) -> Iterator[dict[str, Any]]:
    """Yields the questions of a slice, with what was made of each."""
    assert part.scored is not None
    for at, each in enumerate(part.asked):
        count = len(each.options)
        yield {
            "schema": SCHEMA,
            "task": each.task,
            "prompt": each.prompt,
            "context": each.context,
            "options": list(each.options),
            "right": each.right,
            "open": part.scored.open_QO[at, :count].tolist(),
            "closed": part.scored.closed_QO[at, :count].tolist(),
            "chosen": int(part.pairs.chosen_Q[at]),
            "rejected": int(part.pairs.rejected_Q[at]),
            "weight": float(part.weight_Q[at]),
        }

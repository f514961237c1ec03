"""One update of a policy from turns that were served: no rollout, the same terms as everywhere.

    rl      A = label - b, the method `next_state`: PPO's clip on the ids that were sampled, with
            log-probs of the version that sampled them (b: the moving mean of the source's labels)
    hint    `sdpo` towards the base policy, told a turn's hints, over the likeliest tokens there
    keep    what the base policy says of what it wrote elsewhere, where that is given: it is not to
            be unlearnt

Each is divided by its own tokens. Combined, the label says which way and the hint what instead: a
hint is heard only where the label says that the turn was wrong (`agrees`); one on a turn that
pleased, or of which nobody knows, is not. The teacher is the policy that there was before any
version: one that follows drifts with what it teaches (docs/log.md). Nothing is ever tokenised
again. Needs torch.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, final

import numpy as np
import torch
from msgspec import Meta, structs

from assay.errors import DataError
from assay.live.resolver import SCORE
from assay.policy.averaging import Average
from assay.policy.scoring import Asked, Table, scanned
from assay.recipes import Recipe
from assay.recipes.settings import Positive, Settings, Whole
from assay.records import ModelStep, Trajectory
from assay.rollout.alignment import NEAR, check_alignment
from assay.rollout.ranking import ranked
from assay.rollout.teacher import Feedback
from assay.rollout.teaching import Blocks, hinted
from assay.runs.checkpoint import load_optimizer, save_optimizer
from assay.runs.lessons import known_logprobs, row_to_teach
from assay.signal.losses import LossTerm, TopK
from assay.signal.origins import OriginRow, row_of
from assay.signal.signal import signal
from assay.trainers.trl.replay import counted, padded, row_losses

BY_LABELS: Final = {"method": "next_state", "gates": [{"name": "integrity", "unscored": False}]}
"""Turns of users have no outcome; what their labels say is credited."""
TESTED: Final = 8
"""Turns on which it is seen that the policy still says what was recorded of it."""
CAP: Final = 2.0
"""Bound on the importance of a token of an older version."""
LOW: Final = 0.2
HIGH: Final = 0.28
"""Of the clip, below and above 1."""
MICRO: Final = 16
"""Rows of one pass."""
KEPT: Final = 32
"""Kept trajectories beside an update, drawn anew for each."""
Teaching = Callable[[], AbstractContextManager[None]]
"""Within it the model is the teacher, the base policy."""


@final
class Learning(Settings, frozen=True):
    """How turns change the policy."""

    at: ClassVar[str] = "live"

    signal: Literal["combined", "binary", "hints"] = "combined"
    """Labels and hints; labels alone; hints alone, whatever the labels say."""
    learning_rate: Positive = 1e-3
    passes: Annotated[int, Meta(ge=1, le=2)] = 1
    """Optimiser steps on the same turns."""
    weight: Positive = 5.0
    """Of the hint term beside the labels'."""
    keep: Positive = 5.0
    """Of what holds the policy to kept trajectories; without such nothing reads it."""
    k: Annotated[int, Meta(ge=1)] = 20
    """Tokens at each place over which the hinted policy is heard."""
    admit: bool = True
    """Hints count of sources alone that replays of their turns admitted; False: all count."""
    lora: Whole = 0
    """Rank of adapters; 0: the whole policy is trained."""
    max_grad_norm: Positive = 1.0


@final
@dataclass(frozen=True, slots=True)
class Learnt:
    """What an update was."""

    facts: dict[str, float]
    """Rows and losses; `mismatch`: most that a log-prob differed from the recorded one, nats."""
    statistics: dict[str, float]
    """Running ones, with these turns in them."""


def label_of(record: Trajectory) -> float | None:
    """Returns what the labels of a turn came to, 1 or -1; None: nobody knows."""
    scores = (step.scores for step in record.steps if type(step) is ModelStep)
    return next((each[SCORE] for each in scores if SCORE in each), None)


def agrees(record: Trajectory) -> bool:
    """Returns whether the label of a turn lets its hints teach: it says that the turn was wrong."""
    return (label_of(record) or 0.0) < 0


def rows_of(
    records: Sequence[Trajectory],
    model: Any,
    tokenizer: Any,
    teaching: Teaching,
    settings: Learning,
    statistics: Mapping[str, float],
) -> tuple[list[OriginRow], dict[str, float]]:
    """Returns the rows of an update, and the running statistics after it."""
    made, after = list[OriginRow](), dict(statistics)
    labelled = [record for record in records if label_of(record) is not None]
    if settings.signal != "hints" and labelled:
        found = signal(labelled, Recipe.of(BY_LABELS), statistics=statistics)
        after = found.statistics
        ends = np.cumsum(found.length_K)
        for record, end in zip(labelled, ends.tolist(), strict=True):
            row = replace(row_of(record), logprobs=known_logprobs(record))
            own = found.advantage_N[end - len(row.completion_ids) : end]
            term = LossTerm("rl", "rl", np.nan_to_num(own) * (row.sampled_N > 0))
            if term.weight_N.any():
                made.append(row.trained_on(term, origin="generated", ratio="clipped", cap=CAP))
    if settings.signal != "binary":
        heard = [
            record
            for record in records
            if any(map(hinted, record.steps)) and (settings.signal == "hints" or agrees(record))
        ]
        made += _taught(heard, model, tokenizer, teaching, settings)
    return made, after


def _taught(
    records: Sequence[Trajectory],
    model: Any,
    tokenizer: Any,
    teaching: Teaching,
    settings: Learning,
) -> list[OriginRow]:
    """Returns the rows of turns with hints."""
    found = ranked(records, model, Blocks.of(tokenizer), teaching, k=settings.k)
    teacher = Feedback(kind="sdpo", weight=settings.weight, k=settings.k)
    return [
        row_to_teach(record, [each for each in found if each.record == at], teacher)
        for at, record in enumerate(records)
    ]


def kept_rows(records: Sequence[Trajectory], model: Any, settings: Learning) -> list[OriginRow]:
    """Returns trajectories as rows that hold the policy to what the model, which is the base policy
    now, says at their sampled tokens: KL(base || policy) over its likeliest tokens. Its gradient is
    0 as long as nothing moved; that of the tokens' own likelihood is so only on average."""
    rows = [row_of(record) for record in records]
    asked = [Asked(at, len(row.prompt_ids), (), row.completion_ids) for at, row in enumerate(rows)]

    def held(at: int, logp: Table) -> OriginRow:
        found = logp.topk(min(settings.k, logp.shape[1]), dim=1)
        target = TopK(
            token_NV=found.indices.cpu().numpy(),
            logprob_NV=found.values.double().cpu().numpy(),
            alpha=0.0,
        )
        term = LossTerm("keep", "topk_kl", settings.keep * rows[at].sampled_N, target)
        return rows[at].trained_on(term, origin="replayed", ratio="one", cap=1.0)

    return scanned(model, [row.prompt_ids for row in rows], asked, held)


def bare(record: Trajectory) -> Trajectory:
    """Returns a turn without what came after it, of which no token is trained or read."""
    steps = record.steps
    last = next(at for at, step in enumerate(steps) if type(step) is ModelStep)
    return structs.replace(record, steps=steps[: last + 1])


@final
class Learner:
    """A policy with an optimiser that lives as long as it does."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: Learning,
        teaching: Teaching | None = None,
        kept: Sequence[Trajectory] = (),
    ) -> None:
        """Takes the policy that is trained, adapters and all, in evaluation mode.

        Args:
            model: the policy.
            tokenizer: its own.
            settings: how it learns.
            teaching: makes the model the base policy; None: it is that now.
            kept: trajectories of the base policy that stay likely.
        """
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        if teaching is None:
            base = Average(model, 1.0)
            teaching = partial(base.worn, model)
        self._teaching = teaching
        with teaching():
            self._kept = kept_rows(kept, model, settings)
        trained = [each for each in model.parameters() if each.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
        self._rate: Any = torch.optim.lr_scheduler.ConstantLR(self._optimizer, 1.0)

    def save(self, folder: Path) -> None:
        """Writes the optimiser's state into a version's folder."""
        save_optimizer(self._optimizer, self._rate, folder)

    def load(self, folder: Path) -> None:
        """Puts back what `save` wrote, where there is such; the rate stays that of the settings."""
        if (folder / "optimizer.json").is_file():
            load_optimizer(self._optimizer, self._rate, folder)
            for group in self._optimizer.param_groups:
                group["lr"] = group["initial_lr"] = self.settings.learning_rate

    def update(
        self,
        turns: Sequence[Trajectory],
        statistics: Mapping[str, float],
        *,
        own: Callable[[Trajectory], bool] = lambda _: True,
        seed: Sequence[int] = (0,),
    ) -> Learnt:
        """Takes `passes` steps on turns, as `assay.live.resolver.record_of` makes them.

        Args:
            turns: with ids and log-probs as they were sampled.
            statistics: running ones, of the updates before.
            own: whether the policy, as it is now, sampled a turn.
            seed: names the draw of what is kept.

        Raises:
            AlignmentError: the policy does not say what was recorded of its own turns.
            DataError: nothing of them teaches, or the loss is no number; no step was taken.
        """
        records = [bare(each) for each in turns]
        blocks = Blocks.of(self.tokenizer)
        tested = [each for each in records if own(each)][:TESTED]
        gap = check_alignment(tested, self.model, blocks, near=NEAR) if tested else 0.0
        rows, after = rows_of(
            records, self.model, self.tokenizer, self._teaching, self.settings, statistics
        )
        if not rows:
            raise DataError(
                f"live: of {len(turns)} turns none has a label that differs from its source's mean "
                "or a hint that is heard; wait for more"
            )
        drawn = np.random.default_rng([*seed]).permutation(len(self._kept))[:KEPT].tolist()
        facts = {"rows": float(len(rows)), "mismatch": gap, "kept": float(len(drawn))}
        rows += [self._kept[at] for at in drawn]
        for number in range(self.settings.passes):
            facts[f"loss_{number + 1}"] = self._step(rows)
        facts["hinted"] = float(sum(row.losses[0].name == "sdpo" for row in rows))
        return Learnt(facts, after)

    def _step(self, rows: Sequence[OriginRow]) -> float:
        """Takes a step on rows, a few passed forward at a time, and returns its loss."""
        counts, total = counted(rows), 0.0
        self._optimizer.zero_grad(set_to_none=True)
        for first in range(0, len(rows), MICRO):
            loss = self._loss(rows[first : first + MICRO], counts)
            if not torch.isfinite(loss):
                raise DataError(f"live: the loss is {loss.item()}; lower learning_rate")
            loss.backward()
            total += loss.item()
        trained = [each for each in self.model.parameters() if each.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, self.settings.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total

    def _loss(self, rows: Sequence[OriginRow], counts: Mapping[str, float]) -> torch.Tensor:
        chosen = padded(rows, pad_id=self.tokenizer.pad_token_id or 0, device=self.model.device)
        seen = chosen.attention_mask
        logits = self.model(
            input_ids=chosen.input_ids,
            attention_mask=seen,
            position_ids=(seen.cumsum(1) - 1).clamp(min=0),
            logits_to_keep=chosen.width + 1,
        ).logits[:, :-1]
        logp = logits.float().log_softmax(-1)
        new = logp.gather(2, chosen.input_ids[:, -chosen.width :, None])[..., 0]
        return row_losses(rows, chosen, new, logp, counts=counts, low=LOW, high=HIGH)

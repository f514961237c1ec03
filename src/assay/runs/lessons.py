"""What hints do in a run: a teacher is tested, asks itself, follows, and gives rows to train on."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from transformers import TrainerCallback

from assay.batch import Batch
from assay.credit.groups import all_failed
from assay.credit.teaching import spared_N
from assay.policy.averaging import Average
from assay.recipes.recipe import Recipe
from assay.records import ModelStep, Trajectory
from assay.rollout.alignment import NEAR, check_alignment
from assay.rollout.ranking import Ranked, ranked
from assay.rollout.scoring import spent_on
from assay.rollout.teacher import Feedback
from assay.rollout.teaching import Blocks, hinted, taught
from assay.signal.losses import LossTerm, TopK
from assay.signal.origins import OriginRow, row_of

TESTED: Final = 8
"""Trajectories on which the teacher is tested before it teaches."""
CAP: Final = 2.0
"""Bound on the importance of a token of `sdpo`, as in the paper."""
SILENT: Final = (
    "no step of the batch has a hint, so the teacher says nothing: the source has none, is not "
    "admitted, or is not named in [hints]"
)


@final
class Lessons:
    """The teacher of a run."""

    def __init__(self, settings: Feedback, recipe: Recipe, tokenizer: Any, temperature: float):
        """Takes what decides it; `begin` gives it the policy."""
        self.settings, self._recipe, self._temperature = settings, recipe, temperature
        place = None if settings.place == "auto" else settings.place
        self._blocks = Blocks.of(tokenizer, place)
        self._average: Average | None = None
        self._tested = False
        self._rows: list[OriginRow] = []
        self.facts: dict[str, float] = {}
        """What a step's row says of the batch: share of steps with hints, mean shift of a token."""

    @property
    def on(self) -> bool:
        """Whether there is a teacher."""
        return self.settings.kind != "none"

    def begin(self, model: Any) -> None:
        """Takes the policy as it starts; of a run that is resumed, before `load`."""
        if self.on and self.settings.teacher != "self":
            self._average = Average(model, self.settings.rate)

    def follow(self, model: Any) -> None:
        """Lets an average follow by a step."""
        if self._average is not None and self.settings.teacher == "ema":
            self._average.update(model)

    def save(self, folder: Path) -> None:
        """Writes the average into a checkpoint."""
        if self._average is not None:
            self._average.save(folder)

    def load(self, folder: Path) -> None:
        """Puts it back.

        Raises:
            DataError: the checkpoint has none.
        """
        if self._average is not None:
            self._average.load(folder)

    def __call__(
        self, records: list[Trajectory], model: Any, *, own: bool, say: Callable[[str], None]
    ) -> list[Trajectory]:
        """Returns the records with what the teacher says of steps with hints, and keeps the rows.

        Args:
            records: of whole groups, with their hints.
            model: the policy.
            own: it has the weights that they were sampled with.
            say: gets a line where there is nothing to teach.

        Raises:
            AlignmentError: an empty hint changes what the policy says of its tokens.
        """
        self._rows = []
        if not self.on:
            return records
        first = [record for record in records if record.rescue is None][:TESTED]
        if first and not self._tested:
            near, warm = NEAR if own else None, self._temperature
            check_alignment(first, model, self._blocks, temperature=warm, near=near)
            self._tested = True
        needs = self._recipe.needs
        if needs & {"told", "neutral"}:
            with self._teaching(model)():
                records = taught(
                    records,
                    model,
                    self._blocks,
                    neutral="neutral" in needs,
                    temperature=self._temperature,
                )
        if self.settings.kind in ("sdpo", "topk"):
            records = self._ranked(records, model)
        self._look(records, say)
        return records

    def _teaching(self, model: Any) -> Callable[[], AbstractContextManager[None]]:
        average = self._average
        return nullcontext if average is None else lambda: average.worn(model)

    def _ranked(self, records: list[Trajectory], model: Any) -> list[Trajectory]:
        """Keeps the rows of steps that are taught; returns the records with what that cost."""
        heard = np.ones(len(records), bool)
        if self.settings.where == "dead":
            heard = all_failed(Batch.of(records, measure="tokens"), self._recipe.pass_at)
        places = np.flatnonzero(heard).tolist()
        found = ranked(
            [records[at] for at in places],
            model,
            self._blocks,
            self._teaching(model),
            k=self.settings.k,
            temperature=self._temperature,
        )
        for number, at in enumerate(places):
            mine = [each for each in found if each.record == number]
            if mine:
                self._rows.append(row_to_teach(records[at], mine, self.settings))
                records[at] = spent_on(records[at], 2 * len(mine))
        return records

    def _look(self, records: Sequence[Trajectory], say: Callable[[str], None]) -> None:
        steps = [s for r in records for s in r.steps if type(s) is ModelStep and s.token_ids]
        named = [step for step in steps if hinted(step)]
        gaps = [
            abs(a - b)
            for step in named
            for a, b in zip(step.told or (), step.neutral or (), strict=False)
            if a is not None and b is not None
        ]
        self.facts = {"feedback/hinted_share": len(named) / max(len(steps), 1)}
        if gaps:
            self.facts["feedback/shift"] = float(np.mean(gaps))
        if self.settings.kind in ("sdpo", "topk"):
            self.facts["feedback/rows"] = float(len(self._rows))
        if not named:
            say(SILENT)

    def rows(self, step: int, minibatches: int) -> list[OriginRow]:
        """Returns the rows that an optimiser step trains on: each once a batch."""
        return self._rows[step % minibatches :: minibatches]


def row_to_teach(record: Trajectory, found: Sequence[Ranked], settings: Feedback) -> OriginRow:
    """Returns the row of a trajectory with the loss that its hinted steps are taught by.

    A token's weight is 0 where it was not sampled, its step has no hint, or it is spared (stops,
    commitments and thoughts, `credit.teaching`).
    """
    row = replace(row_of(record), logprobs=known_logprobs(record))
    size, width = len(row.completion_ids), found[0].token_NV.shape[1]
    token_NV = np.zeros((size, width), np.int64)
    own_NV, told_NV = np.full((size, width), -1.0), np.full((size, width), -1.0)
    heard_N = np.zeros(size, bool)
    before = len(row.prompt_ids)
    for each in found:
        start = sum(len(step.token_ids or ()) for step in record.steps[: each.step]) - before
        at = slice(start, start + len(each.token_NV))
        token_NV[at], own_NV[at], told_NV[at], heard_N[at] = (
            *(each.token_NV, each.own_NV, each.told_NV),
            True,
        )
    spared = spared_N(Batch.of([record], measure="tokens"), "all")[before:]
    weight_N = settings.weight * (heard_N & ~spared & (row.sampled_N > 0))
    clipped = settings.kind == "topk"
    target = TopK(
        token_NV=token_NV,
        logprob_NV=told_NV,
        alpha=settings.alpha,
        old_NV=own_NV if clipped else None,
        cap=settings.cap,
    )
    term = LossTerm(settings.kind, "topk_kl", weight_N, target)
    made = row.trained_on(term, origin="generated", ratio="truncated", cap=CAP)
    if clipped:  # its ratio is in the loss
        made = made.trained_on(term, origin="generated", ratio="one", cap=CAP)
    return made


def known_logprobs(record: Trajectory) -> tuple[float, ...]:
    """Returns the log-probability of each token of a record's completion when it was sampled; 0
    where it was not, NaN where nobody knows."""
    made, begun = list[float](), False
    for step in record.steps:
        begun |= type(step) is ModelStep
        values = [0.0] * (len(step.token_ids or ()) if begun else 0)
        if type(step) is ModelStep:
            known = iter(step.logprobs or ())
            for start, end in ((0, len(values)),) if step.sampled is None else step.sampled:
                found = (next(known, None) for _ in range(end - start))
                values[start:end] = [math.nan if each is None else each for each in found]
        made += values
    return tuple(made)


class Following(TrainerCallback):
    """Lets a teacher and a scorer follow after each optimiser step."""

    def __init__(self, *followers: Callable[[Any], None]) -> None:
        """Takes what each of them does with the policy."""
        self._followers = followers

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Follows."""
        for each in self._followers:
            each(given["model"])

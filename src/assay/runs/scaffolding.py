"""The rubric as a scaffold of a run: who reads what, and what the policy says without it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, final

import numpy as np

from assay.kernels.rubrics import internalised
from assay.recipes.recipe import Recipe
from assay.records import ModelStep, Trajectory
from assay.rollout.backends.base import Backend
from assay.rollout.chain import Planned, collect, tasks
from assay.rollout.recording import task_name
from assay.rollout.scaffold import aided, bare, neutral, note, offered, scaffolded
from assay.runs.sampling import Prepared
from assay.world.environment import Environment

_DRAWS: Final = 0x73636166666F6C64
"""Sets the chance of what is shown apart from that of the batch."""
_GAP: Final = 0x676170
"""Sets the chance of rollouts that measure the gap apart from that of the batch."""


@final
class Scaffolding:
    """Shows the rubric to some rollouts, and takes it away before they are trained on."""

    def __init__(self, run: Prepared) -> None:
        """Takes a run that is prepared."""
        rubric = Recipe.of(run.config.recipe).rubric
        self._run, self.settings = run, run.config.scaffold
        self._items = () if rubric is None else rubric.items
        self._steps = run.config.train.steps - run.config.start.steps
        self._heat = run.config.train.temperature or 1.0
        self._share: dict[str, float] = {}
        self.facts: dict[str, float | None] = {}
        """What a step's row says of the batch: `rollout.scaffold.aided`, and `rubric/gap` where it
        is measured by rollouts of its own."""

    def planned(
        self, group: Sequence[Planned], seed: Sequence[int], place: int, step: int
    ) -> list[Planned]:
        """Returns the rollouts of a task, with what each of them reads under it.

        Args:
            group: in their order.
            seed: of the batch.
            place: of the task in the run.
            step: from 1.
        """
        if self.settings.kind == "none":
            return [*group]
        when = step - self._run.config.start.steps, self._steps

        def text(at: int, each: Planned, rng: np.random.Generator) -> str:
            items = offered(self._items, task_name(each.environment, each.seed))
            drawn = self.settings.drawn(items, (at, len(group)), when, rng)
            self._share[each.id or ""] = len(drawn) / len(items) if items else 0.0
            said = note(drawn, self._run.protocol)
            return self._neutral(said) if self.settings.kind == "neutral" else said

        return noted(group, (*seed, _DRAWS, place), text)

    def _neutral(self, text: str) -> str:
        from assay.rollout.teaching import NOTHING

        def count(said: str) -> int:
            return len(self._run.tokenizer(said, add_special_tokens=False)["input_ids"])

        return neutral(text, count, self._run.protocol, NOTHING)

    def unseen(self, planned: Sequence[Planned], options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the options of `rollout.collect`, in which nobody watches what was helped: what a
        run shows of its passes is of its own."""
        helped, watch = {each.id for each in planned if each.notes}, options["watch"]
        if not helped or watch is None:
            return {**options}
        return {**options, "watch": lambda each: None if each.id in helped else watch(each)}

    def restored(
        self, records: Iterable[Trajectory], planned: Sequence[Planned]
    ) -> list[Trajectory]:
        """Returns the rollouts under their tasks alone."""
        return [
            bare(record, each.notes[0], each.environment, each.seed, self._run.protocol)
            if each.notes
            else record
            for record, each in zip(records, planned, strict=True)
        ]

    def settled(self, records: Sequence[Trajectory], model: Any) -> list[Trajectory]:
        """Returns the records of a batch with log-probabilities of the policy that reads the bare
        task, and puts what it came to into `facts`."""
        shares = [self._share.get(each.id, 0.0) for each in records]
        self.facts = aided(records, shares) if self.settings.kind != "none" else {}
        self._share = {}
        return reread_bare(records, model, self._heat)

    def measured(
        self,
        backend: Backend,
        rows: Sequence[tuple[int, int, int]],
        free: Callable[[], Environment],
        model: Any,
        **options: Any,
    ) -> list[Trajectory]:
        """Returns rollouts that read the whole rubric, and puts the self-internalisation gap that
        they show into `facts`. They are paid for, and not trained on.

        Args:
            backend: samples.
            rows: place and task of the batch's groups.
            free: gives environments that nobody plays.
            model: the policy.
            options: of `rollout.collect`.
        """
        planned = list[Planned]()
        for n in range(self.settings.gap):
            place, task, _ = rows[n % len(rows)]
            (each,) = tasks(free, [task], 1, prefix=f"{place}+gap{n}/")
            items = offered(self._items, task_name(each.environment, each.seed))
            planned.append(replace(each, notes=(note(items, self._run.protocol),)))
        planned = [each for each in planned if each.notes[0]]
        seed = (*options.pop("seed"), _GAP)
        played = list(collect(backend, planned, seed=seed, **options))
        read = reread_bare(self.restored(played, planned), model, self._heat)
        gap = internalised(*_logprobs(read))
        self.facts |= {"rubric/gap": None if np.isnan(gap) else gap}
        return read


def noted(
    group: Sequence[Planned],
    chance: Sequence[int],
    text: Callable[[int, Planned, np.random.Generator], str],
) -> list[Planned]:
    """Returns the rollouts of a task, each with what it reads under it.

    Args:
        group: in their order.
        chance: names it; each rollout has its own.
        text: what a rollout reads, by its number in the group and its own chance; empty: nothing.
    """
    said = [text(at, each, np.random.default_rng([*chance, at])) for at, each in enumerate(group)]
    return [
        replace(each, notes=(one,)) if one else each for each, one in zip(group, said, strict=True)
    ]


def reread_bare(records: Sequence[Trajectory], model: Any, heat: float) -> list[Trajectory]:
    """Returns the records, those that read more than their task with log-probabilities of the
    policy that reads the task alone; one that infrastructure left without a turn has nothing to
    read.

    Args:
        records: of a batch.
        model: the policy.
        heat: temperature of sampling.
    """
    from assay.rollout.unaided import reread

    made = [*records]
    at = [n for n, each in enumerate(made) if scaffolded(each) and any(_turns(each))]
    for n, each in zip(at, reread([made[n] for n in at], model, temperature=heat), strict=True):
        made[n] = each
    return made


def _turns(record: Trajectory) -> list[ModelStep]:
    """Returns what the policy wrote where that has log-probabilities."""
    own = (step for step in record.steps if type(step) is ModelStep)
    return [step for step in own if step.logprobs is not None]


def _logprobs(records: Sequence[Trajectory]) -> tuple[np.ndarray, np.ndarray]:
    """Returns log-probabilities of all sampled tokens, without the help and with it."""
    steps = [step for record in records for step in _turns(record)]
    found = (
        [np.nan if value is None else value for step in steps for value in said(step) or ()]
        for said in (lambda step: step.logprobs, lambda step: step.helped)
    )
    plain_N, helped_N = (np.array(each, float) for each in found)
    return plain_N, helped_N

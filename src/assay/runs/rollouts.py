"""The rollouts of a training run: TRL asks for a batch, our environments and engines play it."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import Any, final

import numpy as np

from assay.errors import UsageError
from assay.recipes.recipe import Recipe
from assay.records import Trajectory, write
from assay.rescue.climb import counted_twice
from assay.rollout.backends.base import Backend
from assay.rollout.chain import Planned, collect, tasks
from assay.rollout.resampling import Resampled, resampled
from assay.rollout.tree import grow
from assay.runs.folder import Folder
from assay.runs.headroom import probed
from assay.runs.hints import Hinting, alone
from assay.runs.imitation import imitated
from assay.runs.ledger import row
from assay.runs.lessons import Lessons
from assay.runs.rescuing import Rescuing
from assay.runs.rewarding import Rewarding
from assay.runs.sampling import Engines, Prepared
from assay.runs.scaffolding import Scaffolding
from assay.runs.scheduling import Scheduling
from assay.runs.skilled import Skilling
from assay.signal.origins import columns
from assay.world.environment import Environment


@final
class Rollouts:
    """TRL's `rollout_func`: plays the tasks of a batch and keeps the records."""

    def __init__(self, run: Prepared, folder: Folder, watch: Callable[[Trajectory], None]) -> None:
        self._run, self._folder, self._watch = run, folder, watch
        self._engines = Engines(run.config, folder.path)
        self._environments: list[Environment] = []
        self._experts: dict[int, tuple[str, ...] | None] = {}
        self.seconds = 0.0
        config = run.config
        self.rescuing = Rescuing(run, folder) if config.rescue.kind == "ladder" else None
        self.lessons = Lessons(
            config.feedback, Recipe.of(config.recipe), run.tokenizer, config.train.temperature
        )
        self.rewarding = Rewarding(config.reward, run.protocol, run.tokenizer)
        self.scheduling = Scheduling(run)
        self.scaffolding = Scaffolding(run)
        self.last: dict[str, Any] = {}
        """The ledger's last row."""
        for each in folder.rows("ledger.jsonl"):
            self.last = each
        hinted = run.config.hints.source != "none"
        self.hinting = Hinting(run, self.last) if hinted else None
        self.skilling = Skilling(run, folder, self.last)
        self._showing = self.skilling if self.skilling.settings.on else self.scaffolding

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        """Returns what TRL takes: one row per prompt, the records beside them."""
        began = time.monotonic()
        step, config = trainer.state.global_step + 1, self._run.config
        backend, process = self._engines(trainer), trainer.accelerator.process_index
        if step == 1 and trainer.accelerator.is_main_process:
            probed(self._run, self._folder, backend, trainer.session.event)
        version = f"step_{step - 1 if self._engines.follows else 0}"
        tried = self._grown(step, backend, trainer)
        made = self._played(
            backend,
            self._scheduled(prompts, step, trainer),
            step,
            sampling=config.train.sampling,
            seed=(self._run.seed, step, 0 if config.train.apart else process),
            policy_version=version,
            watch=self._watch,
            clock=None,
            protocol=self._run.protocol,
        )
        records, thrown = [each for group in made.groups for each in group], [*made.thrown, *tried]
        if step > config.start.steps:
            records, thrown = self._bared(records, thrown, backend, prompts, trainer)
        self.scheduling.met(records)
        if self.rescuing is not None and step > config.start.steps:
            climbed = self.rescuing(records, backend, trainer, step, version)
            records = climbed.rows
            thrown += climbed.beside
        if self.hinting is not None and step > config.start.steps:
            records, replays = self._hinted(self.hinting, records, backend, trainer)
            thrown += replays
        records = self._taught(self._scored(records, trainer), trainer)
        records = [*map(trainer.recipe.prepared, records)]
        self._keep(step, prompts, records, thrown, trainer)
        self.seconds = time.monotonic() - began
        return columns(records)

    def _grown(self, step: int, backend: Backend, trainer: Any) -> list[Trajectory]:
        """Lets the skill bank grow, where a step is due for it; returns what that was tried by."""
        seed = (self._run.seed, step)
        return self.skilling.grown(step, backend, seed, trainer.accelerator.num_processes)

    def _taught(self, records: list[Trajectory], trainer: Any) -> list[Trajectory]:
        """Returns the trajectories with what a teacher says of them, if there is one."""
        if not self.lessons.on or trainer.state.global_step < self._run.config.start.steps:
            return records
        model = trainer.accelerator.unwrap_model(trainer.model)
        own, say = self._engines.follows, trainer.session.once
        return self.lessons(records, model, own=own, say=say)

    def _played(
        self, backend: Backend, prompts: Sequence[str], step: int, **options: Any
    ) -> Resampled:
        """Returns the trajectories that the rows name, in their order: a row is "place task"."""
        config = self._run.config
        rows = [*_counted(prompts, config.rows)]
        if step <= config.start.steps:
            options |= {"run_seed": self._run.seed, "control": Recipe.of(config.recipe).control}
            options["watch"] = None  # what it shows is of outcomes, and a turn has none
            free = self._free()
            made = imitated(backend, rows, lambda: next(free), config.start, **options)
            return Resampled((made,), ())
        seed = tuple(options["seed"])

        def again(places: Sequence[int], number: int) -> list[list[Trajectory]]:
            chance = np.random.default_rng([*seed, number])
            others = [
                (rows[at][0], self.scheduling.other(rows[at][1], chance), rows[at][2])
                for at in places
            ]
            return self._groups(backend, others, step, **{**options, "seed": (*seed, number)})

        first = self._groups(backend, rows, step, **options)
        return resampled(first, config.rollout.resample, again)

    def _scheduled(self, prompts: Sequence[str], step: int, trainer: Any) -> Sequence[str]:
        """Returns the rows of a batch with the tasks that the run's order has for it; of the start
        as they are. What lies behind is a share of the tokens where they have a budget, else of the
        steps."""
        config, begun = self._run.config, self._run.config.start.steps
        if step <= begun:
            return prompts
        if budget := config.rollout.budget_tokens:
            done = self.last.get("total", {}).get("tokens", 0) / budget
        else:
            done = (step - 1 - begun) / (config.train.steps - begun)
        return self.scheduling.tasks(prompts, step=step, done=done, trainer=trainer)

    def _groups(
        self, backend: Backend, rows: Sequence[tuple[int, int, int]], step: int, **options: Any
    ) -> list[list[Trajectory]]:
        """Returns the trajectories of each row (place, task, how many)."""
        free, shape = self._free(), self._run.config.rollout.shape
        planned: list[Planned] = []
        for place, task, trials in rows:
            group = tasks(
                lambda: next(free),
                [task],
                shape.chains if shape else trials,
                prefix=f"{place}/",
                experts=self._experts,
            )
            planned += self._showing.planned(group, options["seed"], place, step)
        if shape:
            made = iter(grow(backend, planned, shape, lambda: next(free), **options))
        else:
            played = collect(backend, planned, **self.scaffolding.unseen(planned, options))
            made = iter(self._showing.restored(played, planned))
        return [[*islice(made, trials)] for _, _, trials in rows]

    def _bared(
        self,
        records: Sequence[Trajectory],
        thrown: list[Trajectory],
        backend: Backend,
        prompts: Sequence[str],
        trainer: Any,
    ) -> tuple[list[Trajectory], list[Trajectory]]:
        """Returns a batch as it is trained, without the rubric where some read it, and what was
        thrown, with what was sampled to measure how far the policy has taken the rubric in."""
        model, step = trainer.accelerator.unwrap_model(trainer.model), trainer.state.global_step + 1
        if not self.scaffolding.settings.on:
            return self.skilling.settled(records, model), thrown
        records, free = self.scaffolding.settled(records, model), self._free()
        if not self.scaffolding.settings.gap:
            return records, thrown
        beside = self.scaffolding.measured(
            backend,
            [*_counted(prompts, self._run.config.rows)],
            lambda: next(free),
            model,
            sampling=self._run.config.train.sampling,
            seed=(self._run.seed, step, trainer.accelerator.process_index),
            clock=None,
            protocol=self._run.protocol,
        )
        return records, [*thrown, *beside]

    def _hinted(
        self, hinting: Hinting, records: Sequence[Trajectory], backend: Backend, trainer: Any
    ) -> tuple[list[Trajectory], tuple[Trajectory, ...]]:
        """Returns a batch with hints, and the replays that measured their source."""
        alone(trainer.accelerator.num_processes)
        seed = (self._run.seed, trainer.state.global_step + 1)
        return hinting(records, backend, seed, trainer.session.event)

    def _free(self) -> Iterator[Environment]:
        """Yields environments, each once; what was played before is over."""
        for at in count():
            while len(self._environments) <= at:
                self._environments.append(self._run.make())
            yield self._environments[at]

    def _scored(self, records: list[Trajectory], trainer: Any) -> list[Trajectory]:
        """Returns the trajectories with the beliefs, scores and rewards that the run wants."""
        wanted = self._run.config.rollout
        from assay.rollout import scoring

        tokenizer = trainer.processing_class
        model = trainer.accelerator.unwrap_model(trainer.model)
        if wanted.belief == "none":
            records = [*map(scoring.unbelieving, records)]
        if wanted.belief == "elicited":
            found = scoring.elicited(records, model, tokenizer, elicit=wanted.elicit)
            records = [*map(scoring.believing, records, found)]
        if wanted.hindsight:
            records = scoring.hindsight(records, model, scoring.told_ending(tokenizer))
        if trainer.state.global_step < self._run.config.start.steps:
            return records
        return self.rewarding(records, model, say=trainer.session.once)

    def _keep(
        self,
        step: int,
        prompts: Sequence[str],
        records: Sequence[Trajectory],
        thrown: Sequence[Trajectory],
        trainer: Any,
    ) -> None:
        """Writes the batch; what it cost beside its rows is in the ledger like the rest."""
        if trainer.accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            records, thrown = gather_object(list(records)), gather_object(list(thrown))
            prompts = gather_object(list(prompts))
        first, before = int(prompts[0].split()[0]), self.last.get("total", {})
        self.last = row(step, first, records, before, thrown)
        if self.hinting is not None:
            self.last |= {"hints": self.hinting.row()}
        if self.skilling.settings.on:
            self.last |= {"skills": self.skilling.row()}
        if spent := self.last.get("thrown"):
            tokens = spent["tokens"] - counted_twice(records)
            trainer.session.spend(**{**spent, "tokens": tokens})
        if trainer.accelerator.is_main_process:
            write(self._folder.batch("rollouts", step), records)
            self._folder.append("ledger.jsonl", self.last)


def _counted(prompts: Sequence[str], expected: int) -> Iterator[tuple[int, int, int]]:
    """Yields place, task and how often each of the rows "place task" occurs."""
    names = [tuple(map(int, prompt.split())) for prompt in prompts]
    for place, task in dict.fromkeys(names):
        count = names.count((place, task))
        if count != expected:
            raise UsageError(
                f"task {task}: {count} of its {expected} attempts are on this process; take "
                "train.prompts that the number of processes divides"
            )
        yield place, task, count

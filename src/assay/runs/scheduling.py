"""What a run of several domains practises next, and what it says of that. Needs torch."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from jaxtyping import Float64

from assay.errors import DataError, told
from assay.files.atomic import publish
from assay.kernels.constancy import bar
from assay.policy.scoring import Asked, Table, scanned
from assay.recipes.recipe import Recipe
from assay.recipes.settings import require
from assay.records import Trajectory
from assay.runs.config import Config
from assay.runs.ledger import Order as Tasks
from assay.runs.probe import known_good
from assay.runs.sampling import Prepared
from assay.runs.sketch import Sketch
from assay.schedule.guard import Guard
from assay.schedule.named import order_of
from assay.schedule.order import Seen, drawn
from assay.schedule.pool import Pool, Visited
from assay.signal.origins import OriginRow
from assay.signal.signal import Signal
from assay.world.several import domains

FILE: Final = "schedule.json"
"""Name of what it remembers in a checkpoint."""
UNGUARDED: Final = (
    "{names}: no expert solves a task of the probe, so that schedule.guard sees nothing"
)
_STREAM: Final = 5
"""Tells its chance from the run's other sources of the same seed and step."""


@final
class Scheduling:
    """Chooses the tasks of each batch, where a run has several domains."""

    def __init__(self, run: Prepared) -> None:
        """Takes what decides it."""
        config, self._run = run.config, run
        self.domains = domains(config.env.name)
        self.on = len(self.domains) > 1 or config.schedule.pool > 0
        self._order = order_of(config.schedule, self.domains)
        self._guard = Guard(self.domains, config.schedule.guard)
        self._sketch = Sketch(run.seed)
        self._unlearnt_D: Float64[np.ndarray, " D"] | None = None
        """Learnability of a batch on which no step was made yet."""
        self._met = [0] * len(self.domains)
        """Tasks of each domain that were given out, of the order's."""
        self._pools = [Pool(config.schedule) for _ in self.domains if config.schedule.pool]
        self._tasks = [Tasks(run.seed, len(each)) for each in self._ranges(config)]
        self._probe = [*self._probed()] if self._guard.share else []
        self._pass_at = Recipe.of(config.recipe).pass_at
        self.facts: dict[str, Any] = {}
        """What a step's row says of the batch."""

    def _ranges(self, config: Config) -> list[range]:
        """Returns the training tasks of each domain."""
        first, many = config.train.first_task, len(self.domains)
        end = first + config.train.pool
        return [range(first + (at - first) % many, end, many) for at in range(many)]

    def _probed(self) -> Iterable[tuple[int, OriginRow]]:
        """Yields what entropy is taken on, and the domain of each."""
        run, config = self._run, self._run.config
        for at, pool in enumerate(self._ranges(config)):
            tasks = pool[: config.schedule.probe]
            for row in known_good(run.make, run.protocol, tasks, longest=config.train.max_length):
                yield at, row

    def tasks(
        self, prompts: Sequence[str], *, step: int, done: float, trainer: Any
    ) -> Sequence[str]:
        """Returns the rows "place task" of a batch, with the tasks that are chosen for its places.

        Args:
            prompts: rows of this process.
            step: optimiser step that trains on them first.
            done: share of the run that lies behind.
            trainer: has the policy, and says what a person should know.

        Raises:
            UsageError: there are several processes.
        """
        if not self.on:
            return prompts
        config, processes = self._run.config, trainer.accelerator.num_processes
        require(
            processes == 1,
            f"schedule: got {processes} processes; expected one: what batches show is not shared",
        )
        self._look(trainer)
        share_D = self._order.weights(done, self._guard.open_D)
        rng = np.random.default_rng([self._run.seed, step, _STREAM])
        whole, many = self._order.whole, config.train.prompts
        chosen = drawn(share_D, many, whole=whole, rng=rng)
        tasks = list[int]()
        for at in chosen:
            tasks.append(self._next(at, tasks, rng))
        self.facts = {"schedule/domain": self.domains[chosen[0]] if len({*chosen}) == 1 else None}
        self.facts |= self._named("weight", share_D)
        self.facts |= self._named("prompts", np.bincount(chosen, minlength=len(self.domains)))
        if self._guard.share:
            now_D = np.array(self._guard.now, float)
            self.facts |= self._named("entropy", now_D)
            self.facts |= self._named("paused", ~self._guard.open_D)
        places = [int(prompt.split()[0]) for prompt in prompts]
        return [f"{place} {tasks[place % many]}" for place in places]

    def _next(self, domain: int, taken: Sequence[int], rng: np.random.Generator) -> int:
        """Returns the next task of a domain, those of the batch so far known."""
        if self._pools:
            return self._pools[domain].next(lambda: self._fresh(domain), taken, rng)
        return self._fresh(domain)

    def _fresh(self, domain: int) -> int:
        """Returns the next task of a domain's own order."""
        place, self._met[domain] = self._met[domain], self._met[domain] + 1
        return self._ranges(self._run.config)[domain][self._tasks[domain].task(place)]

    def other(self, task: int, rng: np.random.Generator) -> int:
        """Returns any training task of the domain of a task."""
        pool = self._ranges(self._run.config)[self._domain(task)]
        return pool[int(rng.integers(len(pool)))]

    def _domain(self, task: int) -> int:
        return task % len(self.domains)

    def _look(self, trainer: Any) -> None:
        """Lets the guard see the policy's entropy on its probe."""
        if not self._guard.share:
            return
        begun = bool(self._guard.start)
        model = trainer.accelerator.unwrap_model(trainer.model)
        entropy_D = self.entropies(model)
        if not begun and (blind := [*np.array(self.domains)[np.isnan(entropy_D)]]):
            trainer.session.event(UNGUARDED.format(names=", ".join(blind)))
        for line in self._guard.observe(entropy_D):
            trainer.session.event(line)

    def entropies(self, model: Any) -> Float64[np.ndarray, " D"]:
        """Returns the policy's mean token entropy on the probe of each domain, nats; NaN: none."""

        def read(at: int, logp: Table) -> tuple[float, int]:
            own = logp[torch.tensor(self._probe[at][1].sampled, dtype=torch.bool)]
            return float(-(own.exp() * own).sum()), len(own)

        asked = [
            Asked(n, len(row.prompt_ids), (), tuple(row.completion_ids))
            for n, (_, row) in enumerate(self._probe)
        ]
        histories = [row.prompt_ids for _, row in self._probe]
        found = scanned(model, histories, asked, read)
        sum_D, tokens_D = np.zeros(len(self.domains)), np.zeros(len(self.domains))
        for (at, _), (entropy, tokens) in zip(self._probe, found, strict=True):
            sum_D[at] += entropy
            tokens_D[at] += tokens
        return np.divide(sum_D, tokens_D, out=np.full(sum_D.size, np.nan), where=tokens_D > 0)

    def met(self, records: Iterable[Trajectory]) -> None:
        """Takes what became of a batch's own attempts, for its row; those of a start are none."""
        if not self.facts:
            return
        passed, tried, tokens = Counter[int](), Counter[int](), Counter[int]()
        for each in records:
            task = int(each.task.rpartition("/")[2])
            tokens[task] += each.ledger.tokens or 0
            if each.outcome is not None and each.rescue is None:
                passed[task] += each.outcome >= bar(self._pass_at)
                tried[task] += 1
        many = len(self.domains)
        own = [[task for task in tokens if self._domain(task) == at] for at in range(many)]
        counts = [[sum(one[task] for task in each) for each in own] for one in (passed, tried)]
        rates = [p / n if n else np.nan for p, n in zip(*counts, strict=True)]
        self.facts |= self._named("pass_rate", rates)
        for name, pool, mine in zip(self.domains, self._pools, own, strict=False):
            visits = [Visited(task, passed[task], tried[task], tokens[task]) for task in mine]
            told = pool.learnt(visits).items()
            self.facts |= {f"schedule/pool/{what}/{name}": value for what, value in told}

    def _of(self, task: str) -> int:
        """Returns the domain of a task's name."""
        return self._domain(int(task.rpartition("/")[2]))

    def credited(self, made: Signal) -> None:
        """Takes the advantages of a batch, from which the order will learn; none of a start."""
        if not self.facts:
            return
        batch = made.batch
        domain_K = np.array([self._of(batch.tasks[code]) for code in batch.task_K], np.int64)
        domain_N = np.repeat(domain_K[batch.traj_R], batch.length_R)
        size_N = np.abs(made.advantage_N)
        counted_N = made.carried_N & ~np.isnan(size_N)
        learnability_D = np.full(len(self.domains), np.nan)
        for at in {*domain_K.tolist()}:
            mine = size_N[counted_N & (domain_N == at)]
            learnability_D[at] = mine.mean() if mine.size else 0.0
        self.facts |= self._named("learnability", learnability_D)
        self._unlearnt_D = learnability_D

    def stepped(self, model: Any) -> None:
        """Lets the order learn from a batch, before the first step on it: the model has gradients,
        unless the step is skipped."""
        if self._unlearnt_D is None:
            return
        gradient = self._sketch(model) if self._order.reads_gradients else None
        self._order.learnt(Seen(self._unlearnt_D, gradient))
        self._unlearnt_D = None
        for name, value_D in self._order.facts().items():
            self.facts |= self._named(name, value_D)

    def _named(self, what: str, value_D: Any) -> dict[str, float]:
        values = np.asarray(value_D, float).tolist()
        return {f"schedule/{what}/{name}": v for name, v in zip(self.domains, values, strict=True)}

    def save(self, folder: Path) -> None:
        """Writes what it remembers into a checkpoint."""
        if self.on:
            publish(folder / FILE, json.dumps(self._state()).encode() + b"\n")

    def _state(self) -> dict[str, Any]:
        parts = {"order": self._order.state(), "guard": self._guard.state()}
        pools = [pool.state() for pool in self._pools]
        return {"domains": [*self.domains], "met": self._met, "pools": pools, **parts}

    def load(self, folder: Path) -> None:
        """Puts it back.

        Raises:
            DataError: the checkpoint has none, or that of other domains.
        """
        if not self.on:
            return
        path = folder / FILE
        try:
            state: Mapping[str, Any] = json.loads(path.read_bytes())
            if state["domains"] != [*self.domains]:
                raise DataError(f"{path}: of {state['domains']}; expected {[*self.domains]}")
            self._met = [int(each) for each in state["met"]]
            self._order.restore(state["order"])
            self._guard.restore(state["guard"])
            for pool, held in zip(self._pools, state["pools"], strict=True):
                pool.restore(held)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: {told(error)}; expected what the run saved there") from None

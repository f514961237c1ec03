"""A pool of tasks that the policy sometimes passes, refilled as tasks leave it. No torch."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

import numpy as np

from assay.kernels.difficulty import predicted
from assay.schedule.settings import Schedule

MEMORY: Final = 0.9
"""What a domain's mean keeps of the batches before."""


@final
@dataclass(frozen=True, slots=True)
class Visited:
    """What became of a task in a batch."""

    task: int
    passed: int
    tried: int
    tokens: int


@final
@dataclass(slots=True)
class Pool:
    """The tasks of one domain that are worth another visit.

    A task that was never met comes while there is room; one of the pool, drawn evenly, when there
    is none. After a visit a task stays while its predicted pass rate lies in [low, high]. What was
    sampled to find out is in every count of tokens, and said again as `cost`.
    """

    settings: Schedule
    known: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])
    """Passed and tried of each task, older attempts in part."""
    domain: tuple[float, float] = (1.0, 2.0)
    """Passed and tried of all its tasks, likewise; one of two before anything is known."""

    @property
    def mean(self) -> float:
        """Pass rate of the domain."""
        return self.domain[0] / self.domain[1]

    def next(
        self, fresh: Callable[[], int], taken: Container[int], rng: np.random.Generator
    ) -> int:
        """Returns the next task.

        Args:
            fresh: gives a task out that was not met this epoch.
            taken: tasks of the batch so far.
            rng: draws among those of the pool.
        """
        free = [task for task in self.known if task not in taken]
        if len(self.known) < self.settings.pool or not free:
            task = fresh()
            if len(self.known) < self.settings.pool:
                self.known.setdefault(task, (0.0, 0.0))
            return task
        return free[int(rng.integers(len(free)))]

    def learnt(self, visits: Sequence[Visited]) -> dict[str, float]:
        """Takes what became of a batch's tasks of the domain; returns what a row says of that.

        `tasks` in the pool, `fresh` ones met, those that `left` as too easy or too hard, `cost`:
        tokens sampled of the latter; `error`: mean distance of predicted from seen pass rates,
        `error_of_mean`: of the domain's mean from them.
        """
        rates = np.array([visit.passed / visit.tried for visit in visits if visit.tried])
        told = self._predicted([visit.task for visit in visits if visit.tried])
        facts = {
            "fresh": float(sum(self.known.get(v.task, (0, 0))[1] == 0 for v in visits)),
            "error": float(np.abs(told - rates).mean()) if rates.size else np.nan,
            "error_of_mean": float(np.abs(self.mean - rates).mean()) if rates.size else np.nan,
        }
        self._count(visits)
        met = [visit for visit in visits if visit.task in self.known]
        told = self._predicted([visit.task for visit in met])
        asked = self.settings
        left = [v for v, p in zip(met, told, strict=True) if not asked.low <= p <= asked.high]
        for visit in left:
            del self.known[visit.task]
        cost = float(sum(visit.tokens for visit in left))
        return {**facts, "tasks": float(len(self.known)), "left": float(len(left)), "cost": cost}

    def _predicted(self, tasks: Sequence[int]) -> Any:
        pairs = np.array([self.known.get(task, (0.0, 0.0)) for task in tasks], float).reshape(-1, 2)
        return predicted(pairs[:, 0], pairs[:, 1], self.mean, self.settings.strength)

    def _count(self, visits: Sequence[Visited]) -> None:
        keep = self.settings.recall
        for visit in visits:
            if visit.task in self.known:
                passed, tried = self.known[visit.task]
                self.known[visit.task] = keep * passed + visit.passed, keep * tried + visit.tried
        passed, tried = sum(v.passed for v in visits), sum(v.tried for v in visits)
        self.domain = MEMORY * self.domain[0] + passed, MEMORY * self.domain[1] + tried

    def state(self) -> dict[str, Any]:
        """Returns what it knows, as plain data."""
        return {"known": [[task, *pair] for task, pair in self.known.items()],
                "domain": [*self.domain]}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts it back."""
        self.known = {int(task): (passed, tried) for task, passed, tried in state["known"]}
        passed, tried = state["domain"]
        self.domain = passed, tried

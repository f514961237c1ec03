"""Tasks of the verifiers library (0.4) as an environment."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from inspect import Parameter, signature
from typing import Any, Protocol, final, runtime_checkable

from assay.errors import DataError, UsageError
from assay.world.environment import Environment, Reply


@runtime_checkable
class VerifiersTask(Protocol):
    """What is used of a verifiers task."""

    @property
    def data(self) -> Any:
        """Has `prompt_text`, and `system_prompt` if there is one."""
        ...

    def score(self, trace: Any, runtime: Any = None) -> Awaitable[None]:
        """Writes rewards and metrics into the trace."""
        ...


@final
class FromVerifiers(Environment):
    """Single-turn tasks of the verifiers library (0.4 and later): one prompt, one reply, rewards.

    The reply is scored with the task's own `score`, on a stand-in for the trace that has
    `last_reply`, `rewards`, `metrics` and `record_*`. Tasks that need a runtime, tools or several
    turns are for the library's own runner; export its traces and import those.
    """

    def __init__(self, tasks: Sequence[VerifiersTask]) -> None:
        """Wraps tasks; the seed picks one, modulo their number."""
        if not tasks:
            raise UsageError("FromVerifiers: got no tasks; expected at least one")
        self._tasks, self._task = tasks, None

    def reset(self, seed: int) -> str:
        """Starts a task and returns its prompt, under the system prompt if it has one.

        Raises:
            UsageError: a reward or a judge of the task needs a runtime.
        """
        task = self._tasks[seed % len(self._tasks)]
        if needing := _runtime_rewards(task):
            raise UsageError(
                f"FromVerifiers: {', '.join(needing)} of {type(task).__name__} needs a runtime and "
                "would not be scored; run it with verifiers and import its traces"
            )
        self._task = task
        system = getattr(task.data, "system_prompt", None)
        return "\n\n".join(map(str, filter(None, (system, task.data.prompt_text))))

    def step(self, text: str) -> Reply:
        """Scores the reply: the weighted mean of its rewards.

        Raises:
            UsageError: the task is over.
            DataError: the task gave no reward, or one that is not in [0, 1].
        """
        if self._task is None:
            raise UsageError("step after the end of the task; call reset first")
        task, self._task = self._task, None
        trace = Trace(text)
        with ThreadPoolExecutor(1) as pool:  # a notebook's own thread has a loop that runs already
            pool.submit(asyncio.run, _awaited(task.score(trace))).result()
        return Reply(done=True, score=trace.score(), parts=dict(trace.values()))


def _runtime_rewards(task: Any) -> list[str]:
    """Returns the rewards that the task's own `score`, which here gets no runtime, leaves out."""
    if getattr(task, "hooks", None) is None:  # not the library's: it has a `score` alone
        return []
    scoring = {str(hook.__name__): hook for hook in task.hooks("reward")}
    scoring |= {str(judge.reward_name): judge.score for judge in task.plugged_judges()}
    runtimes = {name: signature(given).parameters.get("runtime") for name, given in scoring.items()}
    return [name for name, given in runtimes.items() if given and given.default is Parameter.empty]


async def _awaited(scoring: Awaitable[None]) -> None:
    await scoring


@final
class Trace:
    """Stands in for the library's trace while a reply is scored."""

    def __init__(self, reply: str) -> None:
        self.last_reply = reply.strip()
        self.root_reply = self.last_reply
        self.rewards: dict[str, Any] = {}
        self.metrics: dict[str, float | None] = {}
        self.info: dict[str, Any] = {}
        self._given: dict[str, tuple[float, float]] = {}

    def record_reward(self, name: str, value: float | int, weight: float | int = 1.0) -> None:
        """Keeps a reward."""
        self._given[name] = float(value), float(weight)

    def record_metric(self, name: str, value: float | int) -> None:
        """Keeps a metric."""
        self.metrics[name] = float(value)

    def record_metrics(self, values: Mapping[str, float | int]) -> None:
        """Keeps metrics."""
        for name, value in values.items():
            self.record_metric(name, value)

    def values(self) -> Mapping[str, float]:
        """Returns the rewards by name, without their weights."""
        return {name: value for name, (value, _) in self._given.items()}

    def score(self) -> float:
        """Returns sum(weight * value) / sum(weight)."""
        total = sum(weight for _, weight in self._given.values())
        if total <= 0:
            raise DataError("the task gave no reward; expected at least one with a weight above 0")
        score = sum(value * weight for value, weight in self._given.values()) / total
        if not 0 <= score <= 1:
            raise DataError(f"the task gave the score {score}; expected one in [0, 1]")
        return score

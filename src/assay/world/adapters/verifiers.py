"""Tasks of the verifiers library (0.4): tools, several turns, its own rewards and ends.

The library runs a program as the agent and stands between that and a model. Here our rollout is the
agent: tools are called inside this process, and what an environment of the library says by
`interaction.turn(...)` is what the policy reads. What needs a sandbox (a runtime) is refused.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import Parameter, signature
from typing import Any, final

from assay.errors import DataError, UnknownNameError, UsageError, imported, told
from assay.world.adapters.episode import Episode, within
from assay.world.environment import Environment, Reply
from assay.world.line import parse

MOST = 1000
"""Tasks of a taskset without an end, which are read as far as a seed asks."""


@final
class FromVerifiers(Environment):
    """Tasks of verifiers: those of an `Env`, of a `Taskset`, or a list of them.

    The seed picks one, modulo their number. The score is the weighted mean of the rewards, which
    stand in the parts without their weights. A call of a tool is a turn of the library's trace; a
    text ends what the policy does before the environment speaks, or the task. A task that the
    budget ends is scored as the library scores one.
    """

    def __init__(self, tasks: Any, *, steps: int = 50) -> None:
        """Wraps tasks.

        Args:
            tasks: an `Env`, a `Taskset`, or tasks: anything with `data.prompt_text` and `score`.
            steps: turns and calls allowed.

        Raises:
            UsageError: there is no task, or more than one agent plays it.
        """
        self._env = tasks if hasattr(tasks, "taskset") else None
        self._taskset = tasks.taskset if self._env is not None else tasks
        self._seats = list[str]()
        if self._env is not None:
            fields = dict(self._env.config)
            self._seats = [name for name, value in fields.items() if hasattr(value, "harness")]
        if len(self._seats) > 1:
            raise UsageError(f"FromVerifiers: {type(tasks).__name__} has the agents "
                             f"{', '.join(self._seats)}; expected one, the policy: run it with "
                             "verifiers and import its traces")  # fmt: skip
        self._all: Iterator[Any] = iter(self._taskset)
        self._bounded: bool = getattr(self._taskset, "bounded", True)
        self._tasks = list(self._all) if self._bounded else [next(self._all)]
        if not self._tasks:
            raise UsageError("FromVerifiers: got no tasks; expected at least one")
        self._steps, self._left, self.named = steps, 0, dict[str, Any]()
        self._episode: Episode | _OneReply | None = None

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns the name of the taskset and its settings, if it was loaded by name."""
        return self.named

    def reset(self, seed: int) -> str:
        """Starts a task and returns its prompt, under the system prompt if it has one.

        Raises:
            UsageError: the task needs a runtime.
        """
        self.close()
        at = seed % (len(self._tasks) if self._bounded else MOST)
        while len(self._tasks) <= at:
            self._tasks.append(next(self._all))
        task = self._tasks[at]
        if needing := _needing(task):
            raise UsageError(
                f"FromVerifiers: {', '.join(needing)} of {type(task).__name__} needs a runtime and "
                "would not be scored; run it with verifiers and import its traces"
            )
        taskset = self._taskset if hasattr(self._taskset, "toolsets") else None
        real = _is_real(task)
        self._episode = Episode(task, taskset, self._env, self._seats) if real else _OneReply(task)
        self._left = self._steps
        return self._episode.begin() or ""

    def close(self) -> None:
        """Ends a task that is not over."""
        if self._episode is not None:
            self._episode.close()

    def __del__(self) -> None:
        """Leaves no coroutine that waits for a turn."""
        with suppress(Exception):
            self.close()

    def tools(self) -> Sequence[Mapping[str, Any]]:
        """Returns the tools of the task; of the first one before any was started."""
        if self._episode is None:
            self.reset(0)
            self._left = 0
        return () if self._episode is None else self._episode.tools

    def step(self, text: str) -> Reply:
        """Says something to the environment; where it has no more to say, the task is scored.

        Raises:
            UsageError: the task is over.
            DataError: the task gave no reward, or one that is not in [0, 1].
        """
        episode = self._playing()
        return self._answered(episode, episode.say(text[parse(text).action[0] :].strip()), None)

    def call(self, name: str, arguments: Mapping[str, Any]) -> Reply:
        """Calls a tool.

        Raises:
            UsageError: the task is over.
            DataError: the call ended it, and it gave no reward, or one that is not in [0, 1].
        """
        episode = self._playing()
        return self._answered(episode, *episode.call(name, arguments))

    def _playing(self) -> "Episode | _OneReply":
        if not self._left or self._episode is None:
            raise UsageError("step after the end of the task; call reset first")
        self._left -= 1
        return self._episode

    def _answered(
        self, episode: "Episode | _OneReply", said: str | None, ran: bool | None
    ) -> Reply:
        cut = said is not None and not self._left
        if said is not None and not cut:
            return Reply(text=said, ran=ran)
        self._left = 0
        given = episode.rewards(cut=cut)
        parts = {name: value for name, (value, _) in given.items()}
        end, text = ("budget", said or "") if cut else ("answered", "")
        return Reply(text=text, done=True, score=_mean(given), parts=parts, end=end, ran=ran)


def named(name: str, *, steps: int = 50, **settings: Any) -> FromVerifiers:
    """Returns the environment of an installed taskset of verifiers.

    Args:
        name: the taskset's id, the name of its package.
        steps: turns and calls allowed.
        settings: of the taskset.

    Raises:
        MissingExtraError: verifiers is not installed.
        UnknownNameError: there is no such taskset.
        UsageError: it cannot be made from these settings.
    """
    vf = imported("verifiers.v1", extra="verifiers", to=f"verifiers:{name}")
    try:
        config = vf.resolve_env_config({"taskset": {"id": name, **settings}})
        made = FromVerifiers(vf.load_environment(config), steps=steps)
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        raise UnknownNameError(f"verifiers:{name}: {told(error)}") from None
    except Exception as error:  # whatever a taskset raises when it is made
        raise UsageError(f"verifiers:{name} cannot be made: {told(error)}") from error
    made.named = {"taskset": name, **settings}
    return made


def _is_real(task: Any) -> bool:
    """Is it a task of the library, and not one that has `data` and `score` alone?"""
    library = sys.modules.get("verifiers.v1")
    return library is not None and isinstance(task, library.Task)


def _needing(task: Any) -> list[str]:
    """Returns what of a task needs a runtime, which it does not get here."""
    if getattr(task, "hooks", None) is None:
        return []
    scoring = {str(hook.__name__): hook for hook in task.hooks("reward")}
    scoring |= {str(judge.reward_name): judge.score for judge in task.plugged_judges()}
    runtimes = {name: signature(given).parameters.get("runtime") for name, given in scoring.items()}
    needing = [
        name for name, given in runtimes.items() if given and given.default is Parameter.empty
    ]
    if _is_real(task):
        base = sys.modules["verifiers.v1"].Task
        prepared = ("setup", "finalize", "stage_verifier")
        needing += [
            name for name in prepared if getattr(type(task), name) is not getattr(base, name)
        ]
    return needing


def _mean(given: Mapping[str, tuple[float, float]]) -> float:
    """Returns sum(weight * value) / sum(weight)."""
    total = sum(weight for _, weight in given.values())
    if total <= 0:
        raise DataError("the task gave no reward; expected at least one with a weight above 0")
    score = sum(value * weight for value, weight in given.values()) / total
    if not 0 <= score <= 1:
        raise DataError(f"the task gave the score {score}; expected one in [0, 1]")
    return score


@final
class _OneReply:
    """A task that is not the library's, scored after one reply; it stands for the trace, too."""

    def __init__(self, task: Any) -> None:
        self._task, self.tools = task, list[Mapping[str, Any]]()
        self.metrics: dict[str, float] = {}
        self.info: dict[str, Any] = {}
        self._given: dict[str, tuple[float, float]] = {}

    def begin(self) -> str:
        system = getattr(self._task.data, "system_prompt", None)
        return "\n\n".join(map(str, filter(None, (system, self._task.data.prompt_text))))

    def say(self, text: str) -> None:
        self.last_reply = self.root_reply = text

        async def scored() -> None:
            await self._task.score(self)

        within(scored())

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        return f"no tool {name!r}, and none at all ({len(arguments)} arguments)", False

    def rewards(self, *, cut: bool) -> Mapping[str, tuple[float, float]]:
        return self._given

    def close(self) -> None:
        pass

    def record_reward(self, name: str, value: float | int, weight: float | int = 1.0) -> None:
        self._given[name] = float(value), float(weight)

    def record_metric(self, name: str, value: float | int) -> None:
        self.metrics[name] = float(value)

    def record_metrics(self, values: Mapping[str, float | int]) -> None:
        for name, value in values.items():
            self.record_metric(name, value)

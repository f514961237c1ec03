"""Environments of the gymnasium library, played in text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, final, runtime_checkable

from assay.errors import DataError, UsageError
from assay.world.environment import Environment, Reply
from assay.world.line import parse


@runtime_checkable
class GymnasiumLike(Protocol):
    """What is used of a gymnasium environment."""

    def reset(self, *, seed: int | None = None) -> tuple[Any, Mapping[str, Any]]:
        """Returns the first observation and more."""
        ...

    def step(self, action: Any, /) -> tuple[Any, Any, bool, bool, Mapping[str, Any]]:
        """Returns observation, reward, terminated, truncated and more."""
        ...


@final
class FromGymnasium(Environment):
    """A gymnasium environment that a policy plays in text.

    Its rewards are added up; `score` says what the sum is worth in [0, 1]. An action that is not
    understood costs a step and changes nothing.
    """

    def __init__(
        self,
        environment: GymnasiumLike,
        *,
        actions: Sequence[str] | None = None,
        describe: Callable[[Any], str] = str,
        score: Callable[[float], float] = float,
        steps: int = 100,
    ) -> None:
        """Wraps an environment.

        Args:
            environment: anything with gymnasium's `reset` and `step`.
            actions: what the policy writes for action 0, 1 ...; None: the text is the action.
            describe: returns an observation as text.
            score: returns the score of a sum of rewards; it must lie in [0, 1].
            steps: turns allowed; a task that is not over by then has failed by budget.
        """
        self._environment, self._describe, self._score = environment, describe, score
        self._actions = None if actions is None else {name: i for i, name in enumerate(actions)}
        self._steps, self._left, self._sum = steps, 0, 0.0

    def reset(self, seed: int) -> str:
        """Starts the task and returns what is seen first."""
        seen, _ = self._environment.reset(seed=seed)
        self._left, self._sum = self._steps, 0.0
        return self._describe(seen)

    def step(self, text: str) -> Reply:
        """Takes an action.

        Raises:
            UsageError: the task is over.
        """
        if not self._left:
            raise UsageError("step after the end of the task; call reset first")
        self._left -= 1
        action: Any = text[parse(text).action[0] :].strip()  # what follows the thoughts
        if self._actions is not None and action not in self._actions:
            if not self._left:
                return replace(self._ended("budget", ""), ran=False, found=False)
            named = f"<error write one of {', '.join(self._actions)}"
            return Reply(text=named, ran=False, found=False)
        if self._actions is not None:
            action = self._actions[action]
        seen, reward, terminated, truncated, _ = self._environment.step(action)
        self._sum += float(reward)
        if terminated:
            return self._ended("answered", self._describe(seen))
        if truncated or not self._left:
            return self._ended("budget", self._describe(seen))
        return Reply(text=self._describe(seen), ran=True)

    def _ended(self, end: Any, text: str) -> Reply:
        self._left = 0
        score = self._score(self._sum)
        if not 0 <= score <= 1:
            raise DataError(f"score {score} of rewards {self._sum}; expected one in [0, 1]: "
                            "pass score= to FromGymnasium")  # fmt: skip
        return Reply(text=text, done=True, score=score, end=end, ran=True)

    def state_key(self) -> None:
        """Returns None: gymnasium does not name states."""

"""Environments of the gymnasium library, played in text."""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import replace
from importlib import import_module
from typing import Any, Final, Protocol, cast, final, runtime_checkable

from assay.errors import DataError, UnknownNameError, UsageError, imported, told
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
        intro: str = "",
    ) -> None:
        """Wraps an environment.

        Args:
            environment: anything with gymnasium's `reset` and `step`.
            actions: what the policy writes for action 0, 1 ...; None: the text is the action.
            describe: returns an observation as text.
            score: returns the score of a sum of rewards; it must lie in [0, 1].
            steps: turns allowed; a task that is not over by then has failed by budget.
            intro: a line that stands above what is seen first.
        """
        self._intro = intro
        self._environment, self._describe, self._score = environment, describe, score
        self._actions = None if actions is None else {name: i for i, name in enumerate(actions)}
        self._steps, self._left, self._sum = steps, 0, 0.0
        self.named: Mapping[str, float | int | str] = {}
        self.drawn = False
        """Whether it is shown as it draws itself, and not by `describe`."""

    def reset(self, seed: int) -> str:
        """Starts the task and returns what is seen first."""
        seen, _ = self._environment.reset(seed=seed)
        self._left, self._sum = self._steps, 0.0
        return "\n".join(filter(None, (self._intro, self._seen(seen))))

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
            return self._ended("answered", self._seen(seen))
        if truncated or not self._left:
            return self._ended("budget", self._seen(seen))
        return Reply(text=self._seen(seen), ran=True)

    def _ended(self, end: Any, text: str) -> Reply:
        self._left = 0
        score = self._score(self._sum)
        if not 0 <= score <= 1:
            raise DataError(f"score {score} of rewards {self._sum}; expected one in [0, 1]: "
                            "pass score= to FromGymnasium")  # fmt: skip
        return Reply(text=text, done=True, score=score, end=end, ran=True)

    def _seen(self, seen: Any) -> str:
        return (
            _uncoloured(str(cast("Any", self._environment).render()))
            if self.drawn
            else self._describe(seen)
        )

    def fork(self) -> "FromGymnasium | None":
        """Returns a copy of one that was made by name and is written in Python throughout."""
        inmost = getattr(self._environment, "unwrapped", None)
        if not self.named or not type(inmost).__module__.startswith(COPIED):
            return None
        made = copy(self)
        made._environment = deepcopy(self._environment)
        return made

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns its name and settings, if it was made by name."""
        return self.named

    def state_key(self) -> str | None:
        """Returns the number of the state where the environment has one, as the toy texts do."""
        state = getattr(getattr(self._environment, "unwrapped", None), "s", None)
        return None if state is None else str(state)


COPIED: Final = ("gymnasium.envs.toy_text.", "gymnasium.envs.classic_control.")
"""Modules of environments whose whole state is Python's and numpy's."""
TOY: Final[Mapping[str, tuple[str, int, int]]] = {
    "FrozenLake": ("left,down,right,up", 0, 1),
    "CliffWalking": ("up,right,down,left", -100, -13),
    "Taxi": ("down,up,right,left,pick up,drop off", -200, 15),
    "Blackjack": ("stick,hit", -1, 1),
}
"""Names of the actions, and the sums of rewards that are worth 0 and 1."""


def named(
    name: str,
    *,
    actions: str = "",
    low: int | float | None = None,
    high: int | float | None = None,
    steps: int = 100,
    **settings: Any,
) -> FromGymnasium:
    """Returns an environment of gymnasium's registry: `gymnasium:Taxi-v4`.

    Args:
        name: its id.
        actions: what the policy writes for action 0, 1 ..., joined by commas; by default the names
            of the toy texts, and else their numbers.
        low: the sum of rewards that is worth 0, and everything below it.
        high: the sum that is worth 1; in between, the score is (sum - low) / (high - low).
        steps: turns allowed.
        settings: of the environment.

    Raises:
        MissingExtraError: gymnasium is not installed.
        UnknownNameError: it has no such environment.
        UsageError: its actions are not counted, or the bounds are not in order.
    """
    library = imported("gymnasium", extra="train", to=f"gymnasium:{name}")
    words, least, most = TOY.get(name.partition("-")[0], ("", 0, 1))
    below, above = least if low is None else low, most if high is None else high
    if not below < above:
        raise UsageError(f"gymnasium:{name}: got low={below}, high={above}; expected low < high")
    try:
        spec = library.spec(name)
        shown = {"render_mode": "ansi"} if _writes(spec) else {}
        made = library.make(name, **{**shown, **settings})
    except library.error.UnregisteredEnv as error:
        raise UnknownNameError(f"gymnasium has no environment {name!r}: {told(error)}") from None
    if not actions and not words and not hasattr(made.action_space, "n"):
        raise UsageError(f"gymnasium:{name}: its actions are {made.action_space}; expected so many "
                         "of them: wrap it with FromGymnasium in a class of yours")  # fmt: skip
    listed = [each.strip() for each in (actions or words).split(",") if each.strip()]
    listed = listed or [str(action) for action in range(int(made.action_space.n))]
    adapted = FromGymnasium(
        made,
        actions=listed,
        describe=_text,
        intro=f"{name}. Each turn, write one of: {', '.join(listed)}.",
        score=lambda total: min(1.0, max(0.0, (total - below) / (above - below))),
        steps=steps,
    )
    adapted.named, adapted.drawn = {"id": name, **settings}, bool(shown)
    return adapted


def _writes(spec: Any) -> bool:
    """Does the environment show itself as text?"""
    module, _, made = str(spec.entry_point).partition(":")
    return "ansi" in getattr(import_module(module), made).metadata.get("render_modes", ())


def _uncoloured(seen: str) -> str:
    """Returns a picture with brackets in place of the colours, which alone say what is where."""
    for code, (left, right) in {"34;1": "()", "35": "{}", "42": "<>"}.items():
        seen = re.sub(rf"\x1b\[{code}m(.*?)\x1b\[0m", rf"{left}\1{right}", seen, flags=re.DOTALL)
    return re.sub(r"\x1b\[[\d;]+m(.*?)\x1b\[0m", r"[\1]", seen, flags=re.DOTALL).strip("\n")


def _text(seen: Any) -> str:
    return " ".join(f"{value:.4g}" for value in seen) if hasattr(seen, "shape") else str(seen)

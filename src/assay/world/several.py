"""Several environments as one: `several:lookup/even+countdown/even`.

The seed says which: of K environments, task s is task s // K of environment s mod K. So any
stretch of seeds holds as many tasks of each, and tasks that are held out of the whole are held out
of each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

from assay.errors import UsageError
from assay.world.environment import Environment, HintKind, Reply
from assay.world.family import Family

PREFIX: Final = "several"
JOIN: Final = "+"


def domains(name: str) -> tuple[str, ...]:
    """Returns the names of the environments that a name stands for: one unless it is several.

    Raises:
        UsageError: fewer than two names, an empty one, or one twice.
    """
    prefix, colon, rest = name.partition(":")
    if prefix != PREFIX or not colon:
        return (name,)
    found = tuple(rest.split(JOIN))
    if len(found) < 2 or "" in found or len({*found}) < len(found):
        raise UsageError(
            f"{name}: expected two or more environments, each once, as in "
            f"{PREFIX}:lookup/even{JOIN}countdown/even"
        )
    return found


@final
class Several(Environment):
    """Plays the environment of which the task is."""

    name = PREFIX

    def __init__(self, makes: Mapping[str, Callable[[], Environment]]) -> None:
        """Takes what makes each environment, by name, in their order.

        Raises:
            UsageError: some are played in lines and others by tools: a policy talks one way.
        """
        self._makes = dict(makes)
        self._made = {name: make() for name, make in makes.items()}
        self._name = next(iter(makes))
        self.in_lines = isinstance(self._at, Family)
        ways = {(isinstance(e, Family), bool(e.tools())) for e in self._made.values()}
        if len(ways) > 1:
            raise UsageError(
                f"{PREFIX}:{JOIN.join(makes)}: some of these are played in lines and others by "
                "tools; take environments of one kind"
            )

    @property
    def _at(self) -> Environment:
        return self._made[self._name]

    def reset(self, seed: int) -> str:
        """Starts task seed // K of environment seed mod K."""
        task, at = divmod(seed, len(self._makes))
        self._name = [*self._makes][at]
        return self._at.reset(task)

    def step(self, text: str) -> Reply:
        """Plays a turn."""
        return self._at.step(text)

    def system(self) -> str:
        """Returns the current one's instructions."""
        return self._at.system()

    def tools(self) -> Sequence[Mapping[str, Any]]:
        """Returns the current one's tools."""
        return self._at.tools()

    def call(self, name: str, arguments: Mapping[str, Any]) -> Reply:
        """Plays a call."""
        return self._at.call(name, arguments)

    def best(self) -> str | None:
        """Returns the current one's expert's turn."""
        return self._at.best()

    def as_call(self, turn: str) -> tuple[str, Mapping[str, Any]] | None:
        """Returns the call that a turn of `best` stands for."""
        return self._at.as_call(turn)

    def answer(self) -> str | None:
        """Returns the right answer."""
        return self._at.answer()

    def options(self) -> Sequence[str]:
        """Returns the current one's options."""
        return self._at.options()

    def context(self) -> str | None:
        """Returns the current one's context."""
        return self._at.context()

    def state_key(self) -> str | None:
        """Returns a name of the state, which no state of another environment has."""
        key = self._at.state_key()
        return key and f"{self._name} {key}"

    def belief(self) -> float | None:
        """Returns what the current one says."""
        return self._at.belief()

    def progress(self) -> float | None:
        """Returns what the current one says."""
        return self._at.progress()

    def hint(self, kind: HintKind) -> str | None:
        """Returns the current one's hint."""
        return self._at.hint(kind)

    def achieved(self) -> str | None:
        """Returns the goal that was reached."""
        return self._at.achieved()

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns the names: the same for every task, for the seed says which it is of."""
        return {"of": JOIN.join(self._makes)}

    def fork(self) -> "Several | None":
        """Returns a copy that stands where this one does, if the current one can be copied."""
        at = self._at.fork()
        if at is None:
            return None
        made = Several(self._makes)
        made._name, made._made[self._name] = self._name, at
        return made


def in_lines(environment: Environment) -> bool:
    """Returns whether it is one of the embedded families, or several of them."""
    return isinstance(environment, Family) or (
        isinstance(environment, Several) and environment.in_lines
    )

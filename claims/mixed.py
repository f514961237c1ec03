"""Tasks of several difficulties in one environment: which one a task has follows from its seed."""

from collections.abc import Mapping, Sequence
from typing import Any

from assay.errors import UsageError
from assay.world.environment import Reply
from assay.world.lookup import Lookup
from claims.inside import Inside


class Mixed(Inside):
    """Questions of lookup that take some number of calls, with one turn more than they need."""

    def __init__(self, *, hops: Sequence[int]) -> None:
        """Takes the numbers of calls.

        Raises:
            UsageError: there are none.
        """
        if not hops:
            raise UsageError("Mixed: got no hops; expected at least one number of calls")
        self._all = [Lookup(hops=each, steps=each + 1) for each in hops]
        self._inner = self._all[0]

    def reset(self, seed: int) -> str:
        """Starts the task."""
        self._inner = self._all[seed % len(self._all)]
        return self._inner.reset(seed)

    def step(self, text: str) -> Reply:
        """Returns what the environment of that difficulty answers."""
        return self._inner.step(text)

    def dials(self) -> Mapping[str, Any]:
        """Returns the numbers of calls."""
        return {"hops": ",".join(str(each.hops) for each in self._all)}

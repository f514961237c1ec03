"""An environment that stands before another, and leaves to it what it does not do itself."""

from assay.world.environment import Environment, HintKind


class Inside(Environment):
    """Passes on what the inner environment knows of its task."""

    _inner: Environment

    def reset(self, seed: int) -> str:
        """Starts the task."""
        return self._inner.reset(seed)

    def best(self) -> str | None:
        """Returns the expert's next turn."""
        return self._inner.best()

    def answer(self) -> str | None:
        """Returns the right answer."""
        return self._inner.answer()

    def state_key(self) -> str | None:
        """Returns a name of the current state."""
        return self._inner.state_key()

    def hint(self, kind: HintKind) -> str | None:
        """Returns the inner environment's hint."""
        return self._inner.hint(kind)

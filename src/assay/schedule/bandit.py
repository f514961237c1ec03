"""A bandit over domains that follows how they teach each other, online. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float64

from assay.kernels.bandit import alignment, chances, scores
from assay.schedule.order import Seen, among
from assay.schedule.settings import Schedule


@final
@dataclass(slots=True)
class Bandit:
    """Draws the domain of each batch by `assay.kernels.bandit`, every one once to begin with.

    Learnability is that of a domain's last batch. Alignment is a running mean over its batches of
    the cosine of the step's gradient with the last one of each other domain. alpha falls to 0 over
    the run.
    """

    settings: Schedule
    domains: int
    whole: bool = True
    reads_gradients: bool = True
    learnability: list[float | None] = field(default_factory=list[float | None])
    alignment: list[float | None] = field(default_factory=list[float | None])
    gradients: list[list[float] | None] = field(default_factory=list[list[float] | None])
    """The last one of each domain, projected. None: there was none yet."""

    def __post_init__(self) -> None:
        """Knows nothing of any domain."""
        if not self.learnability:
            self.learnability, self.alignment = [None] * self.domains, [None] * self.domains
            self.gradients = [None] * self.domains

    def weights(self, done: float, open_D: Bool[np.ndarray, " D"]) -> Float64[np.ndarray, " D"]:
        """Returns the chances; 1 for the first open domain of which no batch was seen."""
        fresh_D = np.array([each is None for each in self.learnability]) & open_D
        if fresh_D.any():
            return np.where(np.arange(self.domains) == int(fresh_D.argmax()), 1.0, 0.0)
        alpha = self.settings.alpha * max(1.0 - done, 0.0)
        score_D = scores(_known(self.learnability, 0.0), _known(self.alignment, np.nan), alpha)
        asked = self.settings
        return among(chances(score_D, asked.temperature, asked.floor), open_D)

    def learnt(self, seen: Seen) -> None:
        """Takes learnability of the batch's domain, and how its gradient lies to the others'."""
        (at,) = np.flatnonzero(~np.isnan(seen.learnability_D)).tolist()
        self.learnability[at] = float(seen.learnability_D[at])
        if seen.gradient is None:
            return
        self.gradients[at] = seen.gradient.tolist()
        unknown = [np.nan] * seen.gradient.size
        now = alignment(np.array([each or unknown for each in self.gradients]), at)
        if not np.isnan(now):
            before, keep = self.alignment[at], self.settings.memory
            self.alignment[at] = now if before is None else keep * before + (1 - keep) * now

    def facts(self) -> Mapping[str, Float64[np.ndarray, " D"]]:
        """Returns the running alignment."""
        return {"alignment": _known(self.alignment, np.nan)}

    def state(self) -> dict[str, Any]:
        """Returns all it has seen."""
        names = ("learnability", "alignment", "gradients")
        return {name: [*getattr(self, name)] for name in names}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts it back."""
        self.learnability, self.alignment = [*state["learnability"]], [*state["alignment"]]
        self.gradients = [*state["gradients"]]


def _known(values: list[float | None], other: float) -> Float64[np.ndarray, " D"]:
    return np.array([other if each is None else each for each in values], float)

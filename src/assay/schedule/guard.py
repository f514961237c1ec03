"""A guard of entropy: training on one domain must not take the choice out of another. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float64


@final
@dataclass(slots=True)
class Guard:
    """Pauses a domain while its mean token entropy is below a share of its start.

    Entropy is that of the policy on fixed tokens of the domain, so that what it samples does not
    matter. What pausing means is the order's: `assay.schedule.order`.
    """

    domains: Sequence[str]
    share: float
    """0: nothing is paused."""
    start: list[float | None] = field(default_factory=list[float | None])
    """Entropy of each domain when it was first looked at, nats; None: it cannot be."""
    now: list[float | None] = field(default_factory=list[float | None])

    @property
    def open_D(self) -> Bool[np.ndarray, " D"]:
        """Which domains are not paused."""
        pairs = zip(self.start, self.now, strict=True)
        found = [a is None or b is None or b >= self.share * a for a, b in pairs]
        return np.array(found or [True] * len(self.domains))

    def observe(self, entropy_D: Float64[np.ndarray, " D"]) -> list[str]:
        """Takes the entropy of each domain, nats, NaN where it is unknown; returns what changed."""
        before_D = self.open_D
        self.now = [None if np.isnan(each) else float(each) for each in entropy_D]
        self.start = self.start or self.now
        said = list[str]()
        for name, was, is_open, begun, now in zip(
            self.domains, before_D, self.open_D, self.start, self.now, strict=True
        ):
            if was != is_open and now is not None and begun is not None:
                what = "goes on" if is_open else "is paused"
                said.append(
                    f"{name} {what}: its mean token entropy on the probe is {now:.3f}, "
                    f"{now / begun:.0%} of its start; the guard is {self.share:.0%}"
                )
        return said

    def state(self) -> dict[str, Any]:
        """Returns start and last look."""
        return {"start": self.start, "now": self.now}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts them back."""
        self.start, self.now = [*state["start"]], [*state["now"]]

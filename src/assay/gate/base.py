"""What a gate is: it may drop a trajectory or weigh it, and says why.

It never touches a reward; what is compared in its place is said by one stage alone, `gate.rubric`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Bool, Float64

from assay.batch import Batch


@final
@dataclass(frozen=True, slots=True)
class Verdicts:
    """One verdict per trajectory."""

    weight_K: Float64[np.ndarray, " K"]
    """0 drop, 1 keep, anything else weighs the trajectory's advantages."""
    reasons: Sequence[str]
    """One word each, for counting; "ok" where the gate has nothing to say."""
    details: Sequence[str] | None = None
    undrawn_K: Bool[np.ndarray, " K"] | None = None
    """Which of weight 0 a lot passed over: they are not trained on, and still count among their
    peers. None: none."""
    composed_K: Float64[np.ndarray, " K"] | None = None
    """What is compared from here on (`gate.rubric`). None: what was."""
    statistics: Mapping[str, float] | None = None
    """Running statistics with this batch's. None: as they were."""


class Gate(ABC):
    """Looks at a whole batch, so that it can compare siblings. Pure."""

    __slots__ = ()
    name: ClassVar[str]

    @abstractmethod
    def __call__(self, batch: Batch) -> Verdicts:
        """Returns a verdict for every trajectory of the batch, in its order."""

"""What comes next: one protocol, whoever decides. No torch.

Axis: D domains of a run, in the order in which its environment names them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64


@final
@dataclass(frozen=True, slots=True)
class Seen:
    """What a batch showed of its domains."""

    learnability_D: Float64[np.ndarray, " D"]
    """Mean |advantage| of a domain's tokens; NaN: the batch had none of it."""
    gradient: Float64[np.ndarray, " _"] | None = None
    """The step's gradient, projected. None: nobody asked, or the step was skipped."""


@runtime_checkable
class Order(Protocol):
    """Which domain comes next."""

    @property
    def whole(self) -> bool:
        """Whether a batch is of one domain."""
        ...

    @property
    def reads_gradients(self) -> bool:
        """Whether it learns from `Seen.gradient`."""
        ...

    def weights(self, done: float, open_D: Bool[np.ndarray, " D"]) -> Float64[np.ndarray, " D"]:
        """Returns the share, or the chance, of each domain in the next batch; they sum to 1.

        Args:
            done: share of the run that lies behind, in [0, 1).
            open_D: False: the domain is paused.
        """
        ...

    def learnt(self, seen: Seen) -> None:
        """Takes what a batch showed."""
        ...

    def facts(self) -> Mapping[str, Float64[np.ndarray, " D"]]:
        """Returns what a row of metrics says beside the weights, by name."""
        ...

    def state(self) -> dict[str, Any]:
        """Returns what it remembers, as plain data."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` returned."""
        ...


class Forgetful:
    """An order that learns nothing of batches, and has nothing to remember."""

    @property
    def reads_gradients(self) -> bool:
        """Never."""
        return False

    def learnt(self, seen: Seen) -> None:
        """Learns nothing."""

    def facts(self) -> Mapping[str, Float64[np.ndarray, " D"]]:
        """Returns nothing."""
        return {}

    def state(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes nothing."""


@final
@dataclass(frozen=True, slots=True)
class Mix(Forgetful):
    """The same shares in every batch."""

    share_D: Float64[np.ndarray, " D"]
    """In proportion."""
    whole: bool = False

    def weights(self, done: float, open_D: Bool[np.ndarray, " D"]) -> Float64[np.ndarray, " D"]:
        """Returns the shares, those of paused domains given to the others."""
        return among(self.share_D, open_D)


@final
@dataclass(slots=True)
class Stages(Forgetful):
    """One domain after the other, each for as long.

    Where the domain of the next stage is paused (`assay.schedule.guard`), what is trained now has
    worn it down: the stage ends, and the next begins.
    """

    stages: tuple[int, ...]
    at: int = 0
    """The stage of the batch before."""
    whole: bool = True

    def weights(self, done: float, open_D: Bool[np.ndarray, " D"]) -> Float64[np.ndarray, " D"]:
        """Returns 1 for the domain of the stage, and moves on to it."""
        last = len(self.stages) - 1
        self.at = max(self.at, min(int(done * len(self.stages)), last))
        if self.at < last and not open_D[self.stages[self.at + 1]]:
            self.at += 1
        share_D = np.zeros(open_D.size)
        share_D[self.stages[self.at]] = 1.0
        return share_D

    def state(self) -> dict[str, Any]:
        """Returns the stage."""
        return {"at": self.at}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts the stage back."""
        self.at = int(state["at"])


def among(
    share_D: Float64[np.ndarray, " D"], open_D: Bool[np.ndarray, " D"]
) -> Float64[np.ndarray, " D"]:
    """Returns shares of the open domains, made to sum to 1; of all where none of them has any."""
    left_D = np.where(open_D, share_D, 0.0)
    left_D = left_D if left_D.sum() > 0 else share_D
    return left_D / left_D.sum()


def drawn(
    share_D: Float64[np.ndarray, " D"], prompts: int, *, whole: bool, rng: np.random.Generator
) -> list[int]:
    """Returns the domain of each of a batch's P prompts.

    One for all where it is `whole`, drawn by the shares. Else domain d gets its P share_d prompts,
    rounded up or down by chance so that the mean is exact (systematic sampling): prompt i falls to
    the domain in whose part of [0, 1) lies (u + i) / P, u uniform.
    """
    at = (rng.random() + np.arange(1 if whole else prompts)) / (1 if whole else prompts)
    found = np.searchsorted(np.cumsum(share_D), at, side="right")
    # rounding can leave the sum below 1
    found = np.minimum(found, np.flatnonzero(share_D)[-1])
    return np.broadcast_to(found, prompts).tolist()

"""How a cluster is used: who plays what, and what an update waits for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from assay.errors import UsageError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Workers that play, one trainer that updates, and the rule between them."""

    workers: int
    """Each plays one piece at a time."""
    groups: int
    """Complete groups that an update takes."""
    size: int = 8
    """Trajectories of a group."""
    piece: int = 0
    """Trajectories of one group that one worker plays together. 0: the whole group."""
    staleness: int | None = 0
    """Updates made, at most, between the weights that played a trajectory and those that it
    trains. 0: synchronous. None: no bound, and no worker ever waits."""
    extra: int = 0
    """Groups begun beyond those needed; what is then too late is stopped and dropped."""
    in_order: bool = False
    """Updates take groups in the order in which they were begun, so that none misses its bound; the
    trainer waits for the slowest. False: they take what is complete."""
    lost: float = 0.0
    """Losses of a worker per hour; times between them are exponential."""
    retry: bool = True
    """What a lost worker played is played again. False: its group is dropped."""
    trainers: int = 1
    """Ranks that share an update's tokens evenly. What they cost each other is not in the model."""
    speeds: Sequence[float] = (1.0,)
    """Of the workers, dealt out in turn; 0.5 takes twice as long."""
    cores: int | None = None
    """Of the one machine that workers and trainer share. None: each has a core of its own."""

    def __post_init__(self) -> None:
        """Checks every number."""
        counts = ("workers", "groups", "size", "trainers")
        for name in counts:
            if getattr(self, name) < 1:
                raise UsageError(f"plan: {name} is {getattr(self, name)}; expected at least 1")
        for name in ("piece", "extra", "staleness", "lost"):
            if not math.isfinite(value := getattr(self, name) or 0) or value < 0:
                raise UsageError(f"plan: {name} is {value}; expected a number of at least 0")
        if self.in_order and self.extra:
            raise UsageError(
                f"plan: extra is {self.extra} and in_order is on; expected one of both: in order, "
                "no group comes too late"
            )
        if self.cores is not None and self.cores < 1:
            raise UsageError(f"plan: cores is {self.cores}; expected at least 1, or None")
        if not self.speeds or not all(0 < each < math.inf for each in self.speeds):
            raise UsageError(f"plan: speeds are {list(self.speeds)}; expected numbers above 0")

    @property
    def pieces(self) -> tuple[int, ...]:
        """Trajectories of each piece of a group."""
        whole = min(self.piece or self.size, self.size)
        full, rest = divmod(self.size, whole)
        return (whole,) * full + ((rest,) if rest else ())

"""`[rescue]` of a run: which rungs, in which order, from when on, and what they may cost."""

from typing import Annotated, ClassVar, Final, Literal, final

from msgspec import Meta

from assay.errors import hint
from assay.recipes.settings import Count, NotNegative, Settings, Whole, require

RUNGS: Final = (
    "prefix",
    "feedback",
    "wrong_answers",
    "critique",
    "self_hint",
    "oracle",
    "relabel",
)
"""By the information that they take, the least first."""
HANDICAP: Final = "handicap"
"""For groups in which all passed; not one of the ladder unless it is named."""


@final
class Rescues(Settings, frozen=True):
    """What is done for groups in which every trajectory failed."""

    at: ClassVar[str] = "rescue"

    kind: Literal["none", "ladder"] = "none"
    """none: nothing. ladder: the rungs are tried in order until one succeeds."""
    rungs: tuple[str, ...] = RUNGS
    after: Count = 2
    """Visits in a row in which a task's group failed as a whole, before it is helped."""
    tries: Count = 2
    """Trajectories that a rung may sample for a group."""
    share: Annotated[float, Meta(gt=0, le=1)] = 0.25
    """The most of a batch's rows that rescued trajectories may take."""
    budget: NotNegative = 1.0
    """The most that rescue may sample for a batch, in parts of the tokens of the batch itself. A
    try is taken to be as long as its trajectories are on average; longer ones go over the bound,
    and nothing is begun behind it."""
    oracle: Literal["hint", "prefix"] = "hint"
    """What the oracle gives: the environment's right hint, or the first turns of its expert."""
    anneal: Whole = 0
    """Steps over which the oracle is withdrawn, evenly. 0: it stays."""
    floor: Annotated[float, Meta(ge=0, lt=1)] = 0.02
    """A rung that succeeds more rarely rests until its failures are forgotten."""
    again: Whole = 0
    """Tasks that were rescued and are played once more with each batch, without help and not to
    train on: what rescue was worth, where tasks are not met again by themselves."""
    lag: Count = 4
    """Batches after its rescue at which a task is played again, at the earliest."""
    memory: Count = 1024
    """Tasks whose last success is remembered."""

    def most(self, rows: int) -> int:
        """Returns how many of so many rows of a batch may be rescued."""
        return int(self.share * rows)

    def __post_init__(self) -> None:
        """Refuses rungs that nobody knows, or that are named twice."""
        super().__post_init__()
        known = (*RUNGS, HANDICAP)
        wrong = next((name for name in self.rungs if name not in known), None)
        require(
            wrong is None,
            f"rescue.rungs: no rung {wrong!r}.{hint(wrong or '', known)} Known: {', '.join(known)}",
        )
        require(
            len({*self.rungs}) == len(self.rungs) > 0,
            f"rescue.rungs: got {', '.join(self.rungs) or 'none'}; expected one, and each once",
        )

"""Who plays what next, what an update takes, and what is dropped: rules, without a clock.

The model asks them, and so does the harness that plays for real (benchmarks/cluster.py).
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from sys import maxsize
from typing import Final, Literal, final

from assay.cluster.plan import Plan

Reason = Literal["late", "stale", "lost"]
REASONS: Final = ("late", "stale", "lost")
"""Why a group was dropped: others of its round were complete first; it began too many versions ago;
a worker was lost."""


@final
@dataclass(eq=False, slots=True)
class Piece:
    """Trajectories of one group that one worker plays together."""

    group: "Group"
    first: int
    """Trajectories of the group before it."""
    rows: int
    version: int = -1
    """Weights that play it: the number of updates made when it was begun."""
    playing: bool = False


@final
@dataclass(eq=False, slots=True)
class Group:
    """Trajectories of one task."""

    number: int
    """Groups begun before it."""
    version: int
    """Weights that its first piece was begun with."""
    pieces: list[Piece] = field(default_factory=list[Piece])
    left: int = 0
    """Pieces that are not played yet."""
    dropped: Reason | None = None


@final
class Dispatch:
    """State of the groups between workers and trainer.

    A group is begun only where its turn comes within the bound: with B groups to an update and a
    bound of s there are at most (s + 1) B groups that wait or are played, s B while the trainer is
    at work. Those that would still miss it are dropped.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.version, self.training = 0, False
        self._begun = 0
        self._pending: dict[int, Group] = {}
        self._complete: list[Group] = []
        self._queue: deque[Piece] = deque()
        self._stopped: list[Piece] = []
        self.dropped: list[tuple[Group, Reason]] = []

    @property
    def room(self) -> int:
        """Groups that may be begun now."""
        plan = self._plan
        if plan.staleness is None:
            return maxsize
        rounds = plan.staleness + 1 - self.training
        return rounds * plan.groups + (plan.extra if rounds else 0) - len(self._pending)

    def begin(self) -> Piece | None:
        """Returns what a worker plays now, with the newest weights; None: nothing yet."""
        if not self._queue:
            if self.room <= 0:
                return None
            group = Group(self._begun, self.version)
            first = 0
            for rows in self._plan.pieces:
                group.pieces.append(Piece(group, first, rows))
                first += rows
            group.left = len(group.pieces)
            self._begun += 1
            self._pending[group.number] = group
            self._queue.extend(group.pieces)
        piece = self._queue.popleft()
        piece.version, piece.playing = self.version, True
        return piece

    def played(self, piece: Piece) -> None:
        """Notes that a piece was played to its end."""
        piece.playing = False
        piece.group.left -= 1
        if piece.group.left == 0 and piece.group.dropped is None:
            self._complete.append(piece.group)

    def lost(self, piece: Piece) -> None:
        """Notes that who played a piece is gone: it is played again, first of all, or dropped."""
        piece.playing = False
        if piece.group.dropped is None:
            if self._plan.retry:
                self._queue.appendleft(piece)
            else:
                self._drop(piece.group, "lost")

    @property
    def ready(self) -> bool:
        """Whether the trainer can begin."""
        count = self._plan.groups
        if self.training or len(self._complete) < count:
            return False
        first = islice(self._pending.values(), count)
        return not self._plan.in_order or all(group.left == 0 for group in first)

    def take(self) -> list[Group]:
        """Begins an update; returns its groups, those begun first, and drops what comes too late
        for the next one."""
        self._complete.sort(key=lambda group: group.number)
        taken, self._complete = (
            self._complete[: self._plan.groups],
            self._complete[self._plan.groups :],
        )
        for group in taken:
            del self._pending[group.number]
        self.training = True
        bound = self._plan.staleness
        for group in list(self._pending.values()):
            if bound is not None and self.version + 1 - group.version > bound:
                self._drop(group, "stale" if bound else "late")
        return taken

    def updated(self) -> None:
        """Ends an update."""
        self.version += 1
        self.training = False

    def stopped(self) -> list[Piece]:
        """Returns pieces that are played for groups dropped since this was asked last: who plays
        one of them is to stop."""
        stopped, self._stopped = self._stopped, []
        return stopped

    def _drop(self, group: Group, reason: Reason) -> None:
        group.dropped = reason
        del self._pending[group.number]
        self.dropped.append((group, reason))
        self._queue = deque(piece for piece in self._queue if piece.group is not group)
        self._complete = [each for each in self._complete if each is not group]
        self._stopped += [piece for piece in group.pieces if piece.playing]

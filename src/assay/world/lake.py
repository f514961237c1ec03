"""Gymnasium's FrozenLake as text: `?lake @.../.*.*/...*/*..$ at 0,0 #..#`.

`>go(right)` answers with row, column and what lies up, right, down and left: `<0,1 #.*.`. Marks:
`.` ice, `*` hole, `@` start, `$` goal, `#` wall. The task ends on the goal or in a hole; there is
no answer to give. Dials: `size`, `holes` (their share) and `slip` (how often a step goes aside).
"""

from collections import deque
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from random import Random
from typing import ClassVar, Final, final

from assay.errors import imported
from assay.world.adapters.gymnasium import GymnasiumLike
from assay.world.environment import HintKind, Reply
from assay.world.family import Family, unknown
from assay.world.line import call_text

WAYS: Final = ("left", "down", "right", "up")
"""In the order of gymnasium's action numbers."""
_STEPS: Final = ((0, -1), (1, 0), (0, 1), (-1, 0))
_SEEN: Final = ("up", "right", "down", "left")
_MARKS: Final = str.maketrans("SFHG", "@.*$")


@final
class Lake(Family):
    """Dials: `size`, 2 to 8; `holes`, share of fields in [0, 0.5]; `slip`, in [0, 0.9]."""

    name: ClassVar[str] = "lake"
    offers: ClassVar[Mapping[str, str]] = {"go": "One step: left, down, right or up."}

    def __init__(
        self,
        *,
        size: int = 4,
        holes: float = 0.2,
        slip: float = 0.0,
        flaky: float = 0.0,
        steps: int | None = None,
    ) -> None:
        """Sets the dials.

        Raises:
            MissingExtraError: gymnasium is not installed.
        """
        super().__init__(
            steps=4 * size if steps is None else steps,
            flaky=flaky,
            size=(size, 2, 8),
            holes=(holes, 0.0, 0.5),
            slip=(slip, 0.0, 0.9),
        )
        self._library = imported("gymnasium", extra="train", to="the lake family")
        self.size, self.holes, self.slip = size, holes, slip
        self._rows: tuple[str, ...] = ()
        self._at = 0
        self._ice: GymnasiumLike | None = None

    def begin(self, rng: Random) -> str:
        """Draws a lake with a way across; gymnasium slides with a seed of its own."""
        self._rows = _drawn(rng, self.size, self.holes)
        ice: GymnasiumLike = self._library.make(
            "FrozenLake-v1",
            desc=list(self._rows),
            is_slippery=self.slip > 0,
            success_rate=1 - self.slip,
            max_episode_steps=10**6,
            disable_env_checker=True,
        )
        self._ice, self._at = ice, int(ice.reset(seed=rng.randrange(2**31))[0])
        return f"?lake {'/'.join(row.translate(_MARKS) for row in self._rows)} at {self._seen()}"

    def use(self, tool: str, argument: str) -> Reply:
        """Returns where the agent is now; on the path if the goal is a step nearer."""
        if tool != "go":
            return unknown(tool)
        if argument not in WAYS or self._ice is None:
            return Reply(text="<error go where", ran=False, found=False)
        before, (after, reward, over, _, _) = self._at, self._ice.step(WAYS.index(argument))
        self._at = int(after)
        away = distances(self._rows)
        on_path = self._at in away and away[self._at] < away[before]
        return Reply(
            text="" if over else f"<{self._seen()}",
            done=bool(over),
            score=float(reward > 0) if over else None,
            parts={"right": float(reward > 0)} if over else {},
            ran=True,
            found=self._at != before,
            on_path=on_path,
        )

    def detach(self) -> None:
        """Copies the ice, and with it how it will slip."""
        self._ice = deepcopy(self._ice)

    def grade(self, given: str) -> Mapping[str, float]:
        """Returns 0: nothing is to be answered here."""
        return {"right": 0.0}

    def best(self) -> str:
        """Returns the first step of a shortest way to the goal, as if the ice did not slip."""
        return call_text("go", _route(self._rows, self._at)[0])

    def answer(self) -> str:
        """Returns a shortest way across."""
        return " then ".join(_route(self._rows, 0))

    def state_key(self) -> str:
        """Returns row and column."""
        return f"{self._at // self.size},{self._at % self.size}"

    def progress(self) -> float:
        """Returns how much nearer the goal is than at the start, as a share; 0 in a hole."""
        away = distances(self._rows)
        return max(0.0, 1 - away.get(self._at, away[0]) / away[0])

    def _seen(self) -> str:
        row, column = divmod(self._at, self.size)
        step = dict(zip(WAYS, _STEPS, strict=True))
        around = "".join(self._mark(row + step[w][0], column + step[w][1]) for w in _SEEN)
        return f"{row},{column} {around}"

    def _mark(self, row: int, column: int) -> str:
        inside = 0 <= row < self.size and 0 <= column < self.size
        return self._rows[row][column].translate(_MARKS) if inside else "#"

    def advice(self, kind: HintKind) -> str:
        """Returns a shortest way across; wrong: as many steps at random."""
        way = _route(self._rows, 0)
        if kind == "wrong":
            rng = self.advice_rng()
            way = [rng.choice([w for w in WAYS if w != right]) for right in way]
        return f"go {' then '.join(way)}"


def _drawn(rng: Random, size: int, holes: float) -> tuple[str, ...]:
    """Returns rows of a lake whose goal can be reached."""
    while True:
        fields = ["H" if rng.random() < holes else "F" for _ in range(size * size)]
        fields[0], fields[-1] = "S", "G"
        rows = tuple("".join(fields[i : i + size]) for i in range(0, size * size, size))
        if 0 in distances(rows):
            return rows


@lru_cache(maxsize=1 << 14)
def distances(rows: tuple[str, ...]) -> Mapping[int, int]:
    """Returns steps to the goal from every field from which it can be reached, holes left out."""
    size = len(rows)
    goal = size * size - 1
    away, queue = {goal: 0}, deque([goal])
    while queue:
        at = queue.popleft()
        for down, right in _STEPS:
            row, column = at // size + down, at % size + right
            field = row * size + column
            if not (0 <= row < size and 0 <= column < size) or field in away:
                continue
            if rows[row][column] != "H":
                away[field] = away[at] + 1
                queue.append(field)
    return away


def _route(rows: tuple[str, ...], start: int) -> list[str]:
    """Returns the ways of a shortest route to the goal."""
    size, away, at = len(rows), distances(rows), start
    route: list[str] = []
    while away[at]:
        for way, (down, right) in zip(WAYS, _STEPS, strict=True):
            row, column = at // size + down, at % size + right
            field = row * size + column
            inside = 0 <= row < size and 0 <= column < size
            if inside and away.get(field, size * size) < away[at]:
                route.append(way)
                at = field
                break
    return route

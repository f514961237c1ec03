"""Reach a number from given numbers: `?make 24 from 3 5 7 2`.

`>calc(3*7)` uses two of the numbers and leaves the rest: `<21 2 5`. `=24` claims that the target is
among the numbers left. There are many right ways. Dials: `numbers`, 2 to 5, and `largest`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from random import Random
from typing import ClassVar, Final, final

from assay.world.environment import HintKind, Reply
from assay.world.family import Family, unknown
from assay.world.line import answer_text, call_text

Numbers = tuple[int, ...]

_CALC = re.compile(r"(\d{1,6})\s*([-+*/])\s*(\d{1,6})")
MAX_VALUE: Final = 9999


@final
class Countdown(Family):
    """Dials: `numbers`, how many are given; `largest` of them; `top`, the largest target."""

    name: ClassVar[str] = "countdown"
    offers: ClassVar[Mapping[str, str]] = {"calc": "Uses two of the numbers left: 3*7."}

    def __init__(
        self,
        *,
        numbers: int = 3,
        largest: int = 9,
        top: int = 50,
        flaky: float = 0.0,
        steps: int | None = None,
    ) -> None:
        super().__init__(
            steps=2 * numbers if steps is None else steps,
            flaky=flaky,
            numbers=(numbers, 2, 5),
            largest=(largest, 3, 99),
            top=(top, 5, MAX_VALUE),
        )
        self.numbers, self.largest, self.top = numbers, largest, top
        self._target = 0
        self._given: Numbers = ()
        self._have: Numbers = ()
        self._calls, self._named = 0, ""

    def begin(self, rng: Random) -> str:
        """Draws numbers and a target that takes all of them to make."""
        while True:
            given = tuple(rng.randint(1, self.largest) for _ in range(self.numbers))
            have: Numbers = given
            while len(have) > 1:
                have = rng.choice([after for _, after in _moves(have)])
            target = max(have)  # the only one
            if not 1 < target <= self.top:
                continue
            if _distance(tuple(sorted(given)), target) == self.numbers - 1:
                break
        self._target, self._given, self._have = target, given, tuple(sorted(given))
        self._calls, self._named = 0, ""
        return self._question(target)

    def _question(self, target: int) -> str:
        return f"?make {target} from {' '.join(map(str, self._given))}"

    def use(self, tool: str, argument: str) -> Reply:
        """Returns the numbers that are left; on the path if fewer steps are needed than before."""
        self._calls += 1
        if tool != "calc":
            return unknown(tool)
        match = _CALC.fullmatch(argument)
        if match is None:
            return Reply(text="<error write calc(3*7)", ran=False, found=False)
        a, b = int(match[1]), int(match[3])
        rest = list(self._have)
        for number in (a, b):
            if number not in rest:
                return Reply(text=f"<error no {number} left", ran=False, found=False)
            rest.remove(number)
        value = _value(a, match[2], b)
        if value is None:
            return Reply(text="<none", ran=True, found=False)
        before, self._have = self._have, tuple(sorted((value, *rest)))
        ahead, was = _distance(self._have, self._target), _distance(before, self._target)
        on_path = ahead is not None and was is not None and ahead < was
        return Reply(text=f"<{' '.join(map(str, (value, *rest)))}", ran=True, found=True,
                     on_path=on_path)  # fmt: skip

    def grade(self, given: str) -> Mapping[str, float]:
        """Returns 1 if the target was named and is among the numbers left."""
        self._named = given
        return {"right": float(given == str(self._target) and self._target in self._have)}

    def best(self) -> str | None:
        """Returns the first step of a shortest way to the target; None: none is left."""
        if self._target in self._have:
            return answer_text(str(self._target))
        way = _way(self._have, self._target)
        return call_text("calc", way[0]) if way else None

    def achieved(self) -> str | None:
        """Returns the task of making the number that was named, if it is among the numbers left and
        takes as many steps as there were calls: then each of them was of use."""
        reached = next((number for number in self._have if str(number) == self._named), None)
        if reached is None or not self._calls:
            return None
        fewest = _distance(tuple(sorted(self._given)), reached)
        return self._question(reached) if fewest == self._calls else None

    @property
    def target(self) -> str:
        """The number to make."""
        return str(self._target)

    def moves(self) -> list[str]:
        """Returns every step that can be taken from here."""
        return [step for step, _ in _moves(self._have)]

    def answer(self) -> str:
        """Returns the steps of a shortest way: the target itself is no secret."""
        return " then ".join(_way(tuple(sorted(self._given)), self._target) or ())

    def state_key(self) -> str:
        """Returns the numbers left, sorted."""
        return " ".join(map(str, self._have))

    def progress(self) -> float:
        """Returns the share of a shortest way that is done, the answer a step of it; 0 where the
        target can no longer be made."""
        left = _distance(self._have, self._target)
        return 0.0 if left is None else max(0.0, 1 - (left + 1) / self.numbers)

    def advice(self, kind: HintKind) -> str:
        """Returns all steps of a shortest way; wrong: steps that lead elsewhere."""
        if kind == "right":
            return f"do {self.answer()}"
        rng, have, steps = self.advice_rng(), tuple(sorted(self._given)), list[str]()
        while len(have) > 1:
            options = [(s, h) for s, h in _moves(have) if self._target not in h]
            step, have = rng.choice(options or list(_moves(have)))
            steps.append(step)
        return f"do {' then '.join(steps)}"


def _value(a: int, operation: str, b: int) -> int | None:
    """Returns a result that is a whole number above 0 and not too large; else None."""
    match operation:
        case "+":
            value = a + b
        case "-":
            value = a - b
        case "*":
            value = a * b
        case _:
            value = a // b if b and a % b == 0 else 0
    return value if 0 < value <= MAX_VALUE else None


def _moves(have: Numbers) -> Iterator[tuple[str, Numbers]]:
    """Yields every step that changes something, with the sorted numbers it leaves."""
    seen: set[tuple[int, str, int]] = set()
    for i in range(len(have)):
        for j in range(len(have)):
            for operation in "+-*/" if i != j else "":
                a, b = have[i], have[j]
                step = (a, operation, b)
                if step in seen or (operation in "+*" and a < b) or (operation in "*/" and b == 1):
                    continue
                seen.add(step)
                value = _value(a, operation, b)
                if value is not None:
                    rest = [have[k] for k in range(len(have)) if k not in (i, j)]
                    yield f"{a}{operation}{b}", tuple(sorted((value, *rest)))


def _distance(have: Numbers, target: int) -> int | None:
    way = _way(have, target)
    return None if way is None else len(way)


@lru_cache(maxsize=1 << 18)
def _way(have: Numbers, target: int) -> tuple[str, ...] | None:
    """Returns a shortest way to the target, step by step; None: there is none."""
    if target in have:
        return ()
    best: tuple[str, ...] | None = None
    for step, after in _moves(have):
        way = _way(after, target)
        if way is not None and (best is None or len(way) + 1 < len(best)):
            best = (step, *way)
            if len(best) == 1:
                break
    return best

"""Twenty questions about a country: `?who among 16`, `>ask(region Asia)`, `<no 11`.

The secret is drawn evenly from a pool of `pool` countries, so the exact belief in it after any
number of answers is 1 / (countries left). The world says how many are left, and names them when
they are three or fewer: `<yes 2 Peru, Chile`. Dials: `pool` and `steps`.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import ceil, log, log2
from random import Random
from typing import ClassVar, Final, final

from assay.world.environment import HintKind, Reply
from assay.world.facts import facts
from assay.world.family import Family, unknown
from assay.world.line import answer_text, call_text

KINDS: Final = {
    "region": "in_region",
    "part": "in_part",
    "money": "paying",
    "language": "speaking",
    "letter": "lettered",
    "millions": "peopled",
    "borders": "bordered",
}
"""First word of a question, and the statement that answers it."""
NAMED: Final = 3
"""Countries left, at most, for the world to name them."""


@final
class Twenty(Family):
    """Dials: `pool`, 2 to all countries; `steps`, by default 20 questions and a guess."""

    name: ClassVar[str] = "twenty"
    offers: ClassVar[Mapping[str, str]] = {"ask": "A yes-or-no question: region Asia."}

    def __init__(self, *, pool: int = 16, flaky: float = 0.0, steps: int = 21) -> None:
        most = len(facts().ask("countries", ""))
        super().__init__(steps=steps, flaky=flaky, pool=(pool, 2, most))
        self.pool = pool
        self._secret, self._left_over = "", frozenset[str]()

    def begin(self, rng: Random) -> str:
        """Draws a pool and a secret in it."""
        names = rng.sample(facts().ask("countries", ""), self.pool)
        self._secret, self._left_over = rng.choice(names), frozenset(names)
        return f"?who among {self.pool}"

    def use(self, tool: str, argument: str) -> Reply:
        """Returns yes or no and how many are left; on the path if that saves a halving."""
        if tool != "ask":
            return unknown(tool)
        kind, _, value = argument.partition(" ")
        if kind not in KINDS or not value.strip():
            return Reply(text="<error ask what", ran=False, found=False)
        if kind in ("millions", "borders") and not value.isdigit():
            return Reply(text=f"<error {kind} is a number", ran=False, found=False)
        matching = _matching(kind, value.strip())
        if not matching:
            return Reply(text="<none", ran=True, found=False)
        yes = self._secret in matching
        before = len(self._left_over)
        self._left_over = self._left_over & matching if yes else self._left_over - matching
        after = len(self._left_over)
        named = f" {', '.join(sorted(self._left_over))}" if after <= NAMED else ""
        return Reply(
            text=f"<{'yes' if yes else 'no'} {after}{named}",
            ran=True,
            found=True,
            on_path=_halvings(after) < _halvings(before),
        )

    def grade(self, given: str) -> Mapping[str, float]:
        """Returns 1 for the secret's name, upper and lower case alike."""
        return {"right": float(given.casefold() == self._secret.casefold())}

    def best(self) -> str:
        """Returns the question that splits what is left most evenly, or the secret where none does:
        one country is left, or a few that no question tells apart."""
        left = len(self._left_over)
        splits = [(abs(len(self._left_over & _matching(*q)) - left / 2), q) for q in questions()]
        uneven, question = min(splits, key=lambda split: split[0])
        if uneven == left / 2:
            return answer_text(self._secret)
        return call_text("ask", " ".join(question))

    def answer(self) -> str:
        """Returns the secret."""
        return self._secret

    def state_key(self) -> str:
        """Returns the countries left, sorted."""
        return ", ".join(sorted(self._left_over))

    def belief(self) -> float:
        """Returns the log of the exact posterior of the secret: -ln(countries left)."""
        return -log(len(self._left_over))

    def progress(self) -> float:
        """Returns the share of halvings that are done, the answer one more."""
        return 1 - log(2 * len(self._left_over)) / log(2 * self.pool)

    def advice(self, kind: HintKind) -> str:
        """Returns the secret's part of the world and first letter; wrong: another country's."""
        name = self._secret
        if kind == "wrong":
            names, part, letter = facts().ask("countries", ""), _part(name), name[0]
            others = [n for n in names if _part(n) != part and n[0] != letter]
            name = self.advice_rng().choice(others)
        return f"it is in part {_part(name)}, letter {name[0]}"


def _halvings(left: int) -> int:
    """Returns the questions still needed at least: ceil(log2(left))."""
    return ceil(log2(left))


@lru_cache(maxsize=1 << 12)
def _matching(kind: str, value: str) -> frozenset[str]:
    return frozenset(facts().ask(KINDS[kind], value))


@lru_cache(maxsize=512)
def _part(name: str) -> str:
    return next(part for part in facts().ask("parts", "") if name in _matching("part", part))


@lru_cache(maxsize=1)
def questions() -> tuple[tuple[str, str], ...]:
    """Returns every question worth asking first: those that at least three countries answer yes."""
    return tuple(q for q in _candidates() if len(_matching(*q)) >= 3)


def _candidates() -> Iterator[tuple[str, str]]:
    source = facts()
    for kind, what in (("region", "regions"), ("part", "parts")):
        yield from ((kind, value) for value in source.ask(what, ""))
    yield from (("letter", letter) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    yield from (("millions", str(number)) for number in (1, 5, 10, 20, 50, 100))
    yield from (("borders", str(number)) for number in range(1, 8))
    yield from (("language", value) for value in source.ask("languages", ""))
    yield from (("money", value) for value in source.ask("currencies", ""))

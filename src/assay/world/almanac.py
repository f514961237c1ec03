"""Questions on a fixed body of made-up facts: `?capital of Peru`, and the line of it that tells.

The almanac gives each country the capital, currency, language and region that another one has in
the embedded world: names that a policy knows, and facts that it can have from nowhere else. There
are no tools: it is answered from memory, or from the line of the almanac that stands under it.
Every question has options, of which one is right.
"""

from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import ClassVar, Final, final

from assay.world.environment import HintKind, Reply
from assay.world.facts import facts
from assay.world.family import Family, unknown
from assay.world.line import answer_text
from assay.world.report import sentence

ASPECTS: Final = ("capital", "currency", "language", "region")
MOST: Final = 5
"""Options: there are no more regions."""


@final
class Almanac(Family):
    """Questions whose answers stand in a context. Dials: `countries`, `options`, `wrong`."""

    name: ClassVar[str] = "almanac"

    def __init__(
        self,
        *,
        countries: int = 32,
        options: int = 4,
        wrong: float = 0.0,
        flaky: float = 0.0,
        steps: int = 1,
    ) -> None:
        """Sets the dials.

        Args:
            countries: that the almanac holds, each with four facts.
            options: of a question, 2 to 5.
            wrong: share of the facts whose line tells another of the options, in [0, 1].
            flaky: as for every family; nothing is called.
            steps: turns.
        """
        super().__init__(
            steps=steps,
            flaky=flaky,
            countries=(countries, 1, len(_facts()) // len(ASPECTS)),
            options=(options, 2, MOST),
            wrong=(wrong, 0.0, 1.0),
        )
        self.countries, self.wrong, self._count = countries, wrong, options
        self._of = self._aspect = ""
        self._options: tuple[str, ...] = ()

    def begin(self, rng: Random) -> str:
        """Draws a fact and the options of its question."""
        names = list(dict.fromkeys(country for country, _ in _facts()))
        self._of, self._aspect = rng.choice(names[: self.countries]), rng.choice(ASPECTS)
        given = list(dict.fromkeys([self.answer(), self._told()]))
        others = [value for value in _values(self._aspect) if value not in given]
        given += rng.sample(others, self._count - len(given))
        rng.shuffle(given)
        self._options = tuple(given)
        return f"?{self._aspect} of {self._of}"

    def _told(self) -> str:
        """Returns what the almanac's line says; it is the same in every task on the fact."""
        rng = Random(f"almanac/{self._of}/{self._aspect}/told")
        if rng.random() >= self.wrong:
            return self.answer()
        return rng.choice([value for value in _values(self._aspect) if value != self.answer()])

    def use(self, tool: str, argument: str) -> Reply:
        """Returns that there are no tools."""
        return unknown(tool)

    def grade(self, given: str) -> Mapping[str, float]:
        """Returns 1 for the fact's value, upper and lower case alike."""
        return {"right": float(given.casefold() == self.answer().casefold())}

    def best(self) -> str:
        """Returns the answer."""
        return answer_text(self.answer())

    def answer(self) -> str:
        """Returns the fact's value, whatever the almanac's line says."""
        return _facts()[self._of, self._aspect]

    def context(self) -> str:
        """Returns the almanac's line on the fact."""
        return f"!{sentence(self._of, self._aspect, self._told())}"

    def options(self) -> tuple[str, ...]:
        """Returns the options as answers; what a wrong line says is one of them."""
        return tuple(map(answer_text, self._options))

    def state_key(self) -> str:
        """Returns the question: nothing that is done changes it."""
        return self._prompt

    def advice(self, kind: HintKind) -> str:
        """Returns the fact; wrong: with another value."""
        value = self.answer()
        if kind == "wrong":
            others = [each for each in _values(self._aspect) if each != value]
            value = self.advice_rng().choice(others)
        return sentence(self._of, self._aspect, value)


@lru_cache(maxsize=1)
def _facts() -> Mapping[tuple[str, str], str]:
    """Returns the almanac, by country and aspect; countries in an order of its own."""
    source, rng = facts(), Random("almanac")
    known = source.ask("countries", "")
    names = [name for name in known if all(source.one(aspect, name) for aspect in ASPECTS)]
    rng.shuffle(names)
    found = {aspect: [source.ask(aspect, name)[0] for name in names] for aspect in ASPECTS}
    for values in found.values():
        rng.shuffle(values)
    return {(name, of): found[of][at] for at, name in enumerate(names) for of in ASPECTS}


@lru_cache(maxsize=len(ASPECTS))
def _values(aspect: str) -> tuple[str, ...]:
    return tuple(sorted({value for (_, of), value in _facts().items() if of == aspect}))

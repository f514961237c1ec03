"""Write a short text whose facts a rubric checks: `?report Peru: capital, currency`.

The tools are those of `lookup`. The answer is prose on one line, with one sentence a fact:
`=The capital of Peru is Lima. Its currency is PEN.` Every fact is one item of the rubric. An item
passes if a sentence names the aspect and the right value, and no sentence about that aspect of that
country names a wrong value. Dials: `facts` per country and `countries`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import ClassVar, Final, final

from assay.world import facts as source
from assay.world.environment import HintKind, Reply
from assay.world.family import NONE, Family, unknown
from assay.world.line import answer_text, call_text

ASPECTS: Final = ("capital", "currency", "language", "region", "biggest", "smallest")
"""What can be asked for; the last two are neighbours by number of people."""
MAX_COUNTRIES: Final = 3
MAX_WORDS: Final = 15
"""Words that a fact may take, on average; longer texts fail the item "short"."""


@final
class Report(Family):
    """Dials: `facts`, 1 to 6 per country; `countries`, 1 to 3."""

    name: ClassVar[str] = "report"
    offers: ClassVar[Mapping[str, str]] = {
        **{name: f"The {name} of a country." for name in ASPECTS},
        "home": "The country of a capital.",
        **{name: f"A country's neighbour: {name}." for name in ("north", "south")},
    }

    def __init__(
        self, *, facts: int = 2, countries: int = 1, flaky: float = 0.0, steps: int | None = None
    ) -> None:
        super().__init__(
            steps=2 * facts * countries + 3 if steps is None else steps,
            flaky=flaky,
            facts=(facts, 1, len(ASPECTS)),
            countries=(countries, 1, MAX_COUNTRIES),
        )
        self.facts, self.countries = facts, countries
        self._wanted: dict[tuple[str, str], str] = {}
        self._known: dict[tuple[str, str], str] = {}
        self._asked: tuple[tuple[str, str] | None, ...] = ()
        self._text = ""

    def begin(self, rng: Random) -> str:
        """Draws countries and what to report of them; every aspect has a value."""
        asked = source.facts()
        names = [n for n in asked.ask("countries", "") if asked.one("biggest", n)]
        chosen = rng.sample(names, self.countries)
        aspects = {name: rng.sample(ASPECTS, self.facts) for name in chosen}
        pairs = [(name, aspect) for name in chosen for aspect in aspects[name]]
        self._wanted = {(n, a): asked.ask(a, n)[0] for n, a in pairs}
        self._known, self._asked, self._text = {}, (), ""
        return _question(pairs)

    def use(self, tool: str, argument: str) -> Reply:
        """Returns what the tool finds; on the path if it was asked for and not known yet."""
        if tool not in (*ASPECTS, "home", "north", "south"):
            self._asked += (None,)
            return unknown(tool)
        asked = source.facts()
        found = asked.one(tool, argument)
        fact = (argument, tool) if tool in ASPECTS and found is not None else None
        self._asked += (fact,)
        if found is None:
            known = asked.one("home" if tool == "home" else "region", argument)
            return Reply(text=NONE if known else f"<error no country {argument}"[:60],
                         ran=bool(known), found=False)  # fmt: skip
        pair = (argument, tool)
        on_path = pair in self._wanted and pair not in self._known
        self._known[pair] = found
        return Reply(text=f"<{found}", ran=True, found=True, on_path=on_path)

    def detach(self) -> None:
        """Copies what has been found out."""
        self._known = dict(self._known)

    def grade(self, given: str) -> Mapping[str, float]:
        """Returns one item a fact, and "short"; a text without any right fact is worth nothing."""
        self._text = given
        return _graded(given, self._wanted)

    def achieved(self) -> str | None:
        """Returns the task of reporting what was asked for and found, if the text does, and each
        call found a fact that was not known before."""
        found = [pair for pair in self._asked if pair is not None]
        if len({*found}) < len(self._asked):
            return None
        wanted = {pair: self._known[pair] for pair in found}
        countries = {name for name, _ in found}
        if len(countries) > MAX_COUNTRIES or not countries <= _countries():
            return None
        return _question(found) if all(_graded(self._text, wanted).values()) else None

    def best(self) -> str:
        """Returns the next call that is missing, or the report once all are there."""
        for name, aspect in self._wanted:
            if (name, aspect) not in self._known:
                return call_text(aspect, name)
        return answer_text(self.answer())

    def answer(self) -> str:
        """Returns the reference report."""
        return " ".join(
            sentence(name, aspect, value) for (name, aspect), value in self._wanted.items()
        )

    def state_key(self) -> str:
        """Returns what has been found out, in no order."""
        return " ".join(sorted(f"{tool}({of})" for of, tool in self._known))

    def progress(self) -> float:
        """Returns the share of facts that are known, of those and the report."""
        known = sum(pair in self._known for pair in self._wanted)
        return known / (len(self._wanted) + 1)

    def advice(self, kind: HintKind) -> str:
        """Returns the facts themselves; wrong: the same facts of another country."""
        values = list(self._wanted.values())
        if kind == "wrong":
            rng = self.advice_rng()
            values = [
                rng.choice([v for v in _values(aspect) if v != right])
                for (_, aspect), right in self._wanted.items()
            ]
        return f"facts {', '.join(values)}"


def _question(pairs: Iterable[tuple[str, str]]) -> str:
    """Returns the task of reporting facts (country, aspect), country by country."""
    aspects: dict[str, list[str]] = {}
    for name, aspect in pairs:
        aspects.setdefault(name, []).append(aspect)
    return "?report " + "; ".join(f"{name}: {', '.join(said)}" for name, said in aspects.items())


def _graded(text: str, wanted: Mapping[tuple[str, str], str]) -> dict[str, float]:
    """Returns the items of the rubric for facts, and "short"."""
    asked = list(dict.fromkeys(name for name, _ in wanted))
    items = {
        aspect if len(asked) == 1 else f"{aspect} of {country}": float(
            _holds(text, (country, aspect), value, asked)
        )
        for (country, aspect), value in wanted.items()
    }
    if not any(items.values()):
        return {**items, "short": 0.0}
    return {**items, "short": float(len(text.split()) <= MAX_WORDS * len(wanted))}


def sentence(country: str, aspect: str, value: str) -> str:
    """Returns one fact as the reference report states it."""
    words = {"biggest": "biggest neighbour", "smallest": "smallest neighbour"}
    return f"The {words.get(aspect, aspect)} of {country} is {value}."


def _holds(text: str, pair: tuple[str, str], value: str, asked: Sequence[str]) -> bool:
    """Returns whether some sentence states the fact and none about the same fact errs.

    A sentence is about an aspect if it holds its word, and about the countries of `_subjects`. It
    errs if it names another value than the right one, or none.
    """
    country, aspect = pair
    word = re.compile(rf"\b{aspect}\b", re.IGNORECASE)
    found = [_found(s, aspect) for s in _sentences(text) if word.search(s)]
    about = [names for names in found if country in _subjects(names, asked)]
    return bool(about) and all(_stated(names, pair, value) == {value} for names in about)


def _sentences(text: str) -> list[str]:
    """Returns the sentences of a text: a full stop ends one before a capital, a semicolon anywhere;
    a full stop inside a name, as in "St. Peter Port", ends none."""
    inside = {at for name in _dotted().finditer(text) for at in range(name.start(), name.end() - 1)}
    marks = re.finditer(r"[.!?](?=\s+[A-Z])|;", text)
    ends = [0, *(mark.end() for mark in marks if mark.start() not in inside), len(text)]
    return [text[start:end] for start, end in pairwise(ends)]


_Names = list[tuple[str, bool]]
"""Names in the order of a sentence, and whether each is one of which something is said."""


def _found(sentence: str, aspect: str) -> _Names:
    """Returns the countries and values of an aspect in a sentence; "of Peru" or "Peru's" says
    something of Peru. "The city of Lima" or "'Lima'" says nothing of Lima, "the capital of Lima"
    does."""

    def said_of(name: re.Match[str]) -> bool:
        before, after = sentence[: name.start()].lower(), sentence[name.end() :]
        owns = before.endswith("of ") or after[:1] in _OWNS
        return before.endswith(f"{aspect} of ") or (owns and name[0] in _countries())

    return [(name[0], said_of(name)) for name in _names(aspect).finditer(sentence)]


_OWNS: Final = ("'", "\u2019")


def _subjects(names: _Names, asked: Sequence[str]) -> set[str]:
    """Returns the countries that a sentence is about: those of which it says something, else the
    first one asked for that it names, else the only one asked for."""
    if subjects := {name for name, said_of in names if said_of}:
        return subjects
    named = [name for name, _ in names if name in asked]
    return set(named[:1] or (asked if len(asked) == 1 else ()))


def _stated(names: _Names, pair: tuple[str, str], value: str) -> set[str]:
    """Returns the values that a sentence names. The country itself is none, unless its capital is
    called so too: then only where something is said of it."""
    country, aspect = pair
    return {
        name
        for name, said_of in names
        if name in _vocabulary(aspect) and (name != country or (name == value and not said_of))
    }


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Returns what finds any of these names, the longest where several begin."""
    longest = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)")


@lru_cache(maxsize=1)
def _countries() -> frozenset[str]:
    return frozenset(source.facts().ask("countries", ""))


@lru_cache(maxsize=8)
def _names(aspect: str) -> re.Pattern[str]:
    return _any_of({*_countries(), *_values(aspect)})


@lru_cache(maxsize=1)
def _dotted() -> re.Pattern[str]:
    return _any_of(name for aspect in ASPECTS for name in _vocabulary(aspect) if "." in name)


@lru_cache(maxsize=8)
def _vocabulary(aspect: str) -> frozenset[str]:
    """Returns what could be named as an aspect's value: as a neighbour, every country."""
    neighbour = aspect in ("biggest", "smallest")
    return _countries() if neighbour else frozenset(_values(aspect))


@lru_cache(maxsize=8)
def _values(aspect: str) -> tuple[str, ...]:
    """Returns every value that an aspect takes, in order."""
    asked = source.facts()
    found = (asked.one(aspect, name) for name in asked.ask("countries", ""))
    return tuple(sorted({value for value in found if value}))

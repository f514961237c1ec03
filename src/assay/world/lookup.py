"""Multi-hop questions about countries: `?currency of biggest of home of Paris`.

Nine tools, each a real query. The chain is read from right to left, one call a hop. `hops` is the
dial: 1 to 8 calls lead to the answer.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar, Final, final

from assay.world.environment import HintKind, Reply
from assay.world.facts import Facts, facts
from assay.world.family import NONE, Family, unknown
from assay.world.line import answer_text, call_text

VALUES: Final = ("capital", "currency", "language", "region")
MOVES: Final = ("biggest", "smallest", "north", "south")
"""From a country to a neighbour: most or fewest people, northernmost or southernmost capital."""
TOOLS: Final = ("home", *VALUES, *MOVES)
MAX_HOPS: Final = 8
RENAMED: Final = {
    "home": "owner",
    "capital": "city",
    "currency": "money",
    "language": "tongue",
    "region": "area",
    "biggest": "largest",
    "smallest": "least",
    "north": "upper",
    "south": "lower",
}
"""Words for the tools in questions where the dial `renamed` is on: the starting policy has never
seen them and must find out which tools they mean. They are the same in every task."""


@final
class Lookup(Family):
    """Dials: `hops`, 1 to 8; `renamed`; `flaky`; `steps`, by default twice the hops and three."""

    name: ClassVar[str] = "lookup"
    offers: ClassVar[Mapping[str, str]] = {
        "home": "The country of a capital.",
        **{name: f"The {name} of a country." for name in VALUES},
        **{name: f"A country's neighbour: {name}." for name in MOVES},
    }

    def __init__(
        self,
        *,
        hops: int = 2,
        renamed: bool = False,
        flaky: float = 0.0,
        steps: int | None = None,
    ) -> None:
        steps = 2 * hops + 3 if steps is None else steps
        super().__init__(steps=steps, flaky=flaky, hops=(hops, 1, MAX_HOPS))
        self.hops, self.renamed = hops, renamed
        self._relations: tuple[str, ...] = ()
        self._chain: tuple[str, ...] = ()
        self._progress, self._known = 0, frozenset[str]()
        self._trail: tuple[tuple[str, str, str] | None, ...] = ()
        self._given = ""

    def begin(self, rng: Random) -> str:
        """Draws a chain of `hops` calls whose results all differ, and that no shorter one stands
        in for: what is asked of the last country has another answer for those before it."""
        source = facts()
        while True:
            start, relations = _drawn(rng, self.hops, source)
            chain = [start]
            for relation in relations:
                found = source.one(relation, chain[-1])
                if found is None or found in chain:
                    break
                chain.append(found)
            else:
                if any(source.one(relations[-1], link) == chain[-1] for link in chain[:-2]):
                    continue
                self._relations, self._chain = relations, tuple(chain)
                self._progress, self._known = 0, frozenset()
                self._trail, self._given = (), ""
                return self._question(start, relations)

    def _question(self, start: str, relations: Sequence[str]) -> str:
        """Returns the text of a chain, first hop first."""
        words = [RENAMED[r] for r in relations] if self.renamed else relations
        return f"?{' of '.join((*reversed(words), start))}"

    def use(self, tool: str, argument: str) -> Reply:
        """Returns what the tool finds; on the path if that is the next link of the chain."""
        if tool not in TOOLS:
            self._trail += (None,)
            return unknown(tool)
        found = facts().one(tool, argument)
        self._trail += (None if found is None else (tool, argument, found),)
        if found is None:
            known = facts().one("home" if tool == "home" else "region", argument)
            wrong = f"<error no {'city' if tool == 'home' else 'country'} {argument}"
            return Reply(text=NONE if known else wrong[:60], ran=bool(known), found=False)
        self._known |= {f"{tool}({argument})"}
        reached = self._chain.index(found) if found in self._chain else 0
        on_path = reached > self._progress
        self._progress = max(self._progress, reached)
        return Reply(text=f"<{found}", ran=True, found=True, on_path=on_path)

    def grade(self, given: str) -> Mapping[str, float]:
        """Returns 1 for the end of the chain, upper and lower case alike."""
        self._given = given
        return {"right": float(given.casefold() == self._chain[-1].casefold())}

    def best(self) -> str:
        """Returns the next call of the chain, or the answer once it is known."""
        if self._progress == self.hops:
            return answer_text(self._chain[-1])
        return call_text(self._relations[self._progress], self._chain[self._progress])

    def achieved(self) -> str | None:
        """Returns the question that the calls answer, if each goes on from what the one before
        found, and the last is what was answered."""
        if not self._given or not self._trail:
            return None
        links = [link for link in self._trail if link is not None]
        ends = [found for _, _, found in links]
        whole = len(links) == len(self._trail)
        if not whole or [asked for _, asked, _ in links[1:]] != ends[:-1]:
            return None
        start = links[0][1]
        if ends[-1].casefold() != self._given.casefold() or ends[-1] == start:
            return None
        return self._question(start, [tool for tool, _, _ in links])

    def answer(self) -> str:
        """Returns the end of the chain."""
        return self._chain[-1]

    def state_key(self) -> str:
        """Returns what has been found out, in no order; failed calls change nothing."""
        return " ".join(sorted(self._known))

    def progress(self) -> float:
        """Returns the share of links that are known, of those and the answer."""
        return self._progress / (self.hops + 1)

    def advice(self, kind: HintKind) -> str:
        """Returns the tools in the order of use; wrong: tools that lead elsewhere."""
        if kind == "right":
            return f"first {' then '.join(self._relations)}"
        rng = self.advice_rng()
        tools = [rng.choice([t for t in (*VALUES, *MOVES) if t != r]) for r in self._relations]
        return f"first {' then '.join(tools)}"

    def dials(self) -> Mapping[str, float | int | str]:
        """Returns the settings."""
        renamed = {"renamed": 1} if self.renamed else {}
        return {"hops": self.hops, **renamed, **self._dials}


def _drawn(rng: Random, hops: int, source: Facts) -> tuple[str, tuple[str, ...]]:
    """Returns where a chain starts and what it asks, first hop first."""
    from_city = rng.random() < (0.3 if hops == 1 else 0.5)
    start = rng.choice(source.ask("capitals" if from_city else "countries", ""))
    relations = ["home"] if from_city else []
    while len(relations) < hops:
        last = len(relations) == hops - 1
        relations.append(rng.choice(VALUES if last and rng.random() < 0.8 else MOVES))
    return start, tuple(relations)

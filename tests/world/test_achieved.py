"""Failures under the goal they did reach: played again in a world of that goal, they pass."""

import random
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import pytest

from assay.records import ModelStep, ToolStep, Trajectory
from assay.rescue.base import Case, Table
from assay.rescue.relabel import Relabel
from assay.rollout import Line, Sampling, collect, tasks
from assay.world import Environment, load
from assay.world.countdown import Countdown
from assay.world.facts import facts
from assay.world.lookup import TOOLS, Lookup
from assay.world.report import Report
from tests.rescue.doors import text_of
from tests.rollout.fakes import Characters, Scripted

# ---- worlds of a goal, set up from the text of its prompt alone ----


def counting(prompt: str) -> Countdown:
    """`?make 24 from 3 5 7 2`."""
    goal, given = prompt.removeprefix("?make ").split(" from ")
    numbers = tuple(map(int, given.split()))
    made = Countdown(numbers=len(numbers), largest=99, top=9999)
    made.reset(0)
    made._target, made._given, made._have = int(goal), numbers, tuple(sorted(numbers))
    return made


def asking(prompt: str) -> Lookup:
    """`?currency of biggest of France`, answered by the facts."""
    parts = prompt.removeprefix("?").split(" of ")  # a country may be a Republic of something
    words = [*takewhile(lambda word: word in TOOLS, parts)]
    start = " of ".join(parts[len(words) :])
    made = Lookup(hops=len(words), steps=20)
    made.reset(0)
    chain = [start]
    for word in reversed(words):
        chain.append(facts().ask(word, chain[-1])[0])
    made._relations, made._chain = tuple(reversed(words)), tuple(chain)
    return made


def reporting(prompt: str) -> Report:
    """`?report Peru: capital, currency; Chile: region`."""
    parts = [part.split(": ") for part in prompt.removeprefix("?report ").split("; ")]
    wanted = [(name, aspect) for name, aspects in parts for aspect in aspects.split(", ")]
    made = Report(facts=6, countries=len(parts), steps=40)
    made.reset(0)
    made._wanted = {(n, a): facts().ask(a, n)[0] for n, a in wanted}
    return made


# ---- policies that fail, and mostly reach something ----


def sums(world: Countdown, rng: random.Random) -> list[str]:
    """Takes steps at random, and names a number that is left."""
    said = list[str]()
    for _ in range(rng.randint(1, world.numbers - 1)):
        said.append(f">calc({rng.choice(world.moves())})\n")
        world.step(said[-1])
    return [*said, f"={rng.choice(world.state_key().split())}\n"]


def links(world: Lookup, rng: random.Random) -> list[str]:
    """Goes on from what was found, with tools at random, and answers with the last."""
    at, said = rng.choice(facts().ask("countries", "")), list[str]()
    for _ in range(rng.randint(1, 3)):
        said.append(f">{rng.choice(('biggest', 'north', 'capital', 'region'))}({at})\n")
        at = world.step(said[-1]).text.removeprefix("<")
    return [*said, f"={at}\n"]


def findings(world: Report, rng: random.Random) -> list[str]:
    """Asks for aspects at random, and reports what it has found."""
    country = rng.choice(facts().ask("countries", ""))
    aspects = rng.sample(("capital", "currency", "region", "language"), rng.randint(1, 3))
    said = [f">{aspect}({country})\n" for aspect in aspects]
    found = [world.step(call).text.removeprefix("<") for call in said]
    wrong = rng.random() < 0.3
    report = " ".join(
        f"The {a} of {country} is {'Paris' if wrong else v}."
        for a, v in zip(aspects, found, strict=True)
    )
    return [*said, f"={report}\n"]


FAMILIES: dict[str, tuple[Callable[[str], Environment], Any]] = {
    "countdown/dead": (counting, sums),
    "lookup/hard": (asking, links),
    "report/dead": (reporting, findings),
}
LINE = Line(Characters())


def failures(level: str, texts: Sequence[str], seed: int) -> list[Trajectory]:
    """Plays what was said, each text a turn, in one group."""
    how = Sampling(max_tokens=400, turn_tokens=200, max_length=2000)
    make = lambda: load(level, flaky=0.0)  # noqa: E731
    planned = tasks(make, [seed], len(texts), prefix="0/")
    return list(
        collect(Scripted(texts), planned, sampling=how, seed=(0,), clock=None, protocol=LINE)
    )


def relabelled(level: str, group: Sequence[Trajectory]) -> list[Any]:
    table = Table(
        make=lambda: load(level, flaky=0.0), protocol=LINE, write=lambda _: [],
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return Relabel().tries(Case(group=tuple(group)), table, 1)


def scripted(level: str, seed: int, rng: random.Random) -> str:
    world: Any = load(level, flaky=0.0)
    world.reset(seed)
    return "".join(FAMILIES[level][1](world, rng))


@pytest.mark.parametrize("level", FAMILIES)
def test_a_relabelled_failure_is_what_its_new_task_would_have_been(level: str) -> None:
    """60 failures of each family at random: the turns, played in a world that is set up from the
    new prompt alone, are answered as the record says, and pass at their end."""
    rng, found = random.Random(7), 0
    for seed in range(60):
        (record,) = failures(level, [scripted(level, seed, rng)], seed)
        if record.outcome == 1.0:
            continue
        for each in relabelled(level, [record]):
            found += 1
            made = each.made
            assert made.outcome == 1.0
            assert made.steps[0].text.strip() == each.goal
            world = FAMILIES[level][0](each.goal)
            heard = [step.text.strip() for step in made.steps if type(step) is ToolStep]
            replies = [world.step(s.text) for s in made.steps if type(s) is ModelStep]
            assert [reply.text for reply in replies[:-1]] == heard
            assert (replies[-1].done, replies[-1].score) == (True, 1.0)
            assert text_of(made).removeprefix(made.steps[0].text) == "".join(
                step.text for step in record.steps[1:]
            )
    assert found >= 10


def goal(level: str, text: str, seed: int = 0) -> list[str]:
    return [each.goal for each in relabelled(level, failures(level, [text], seed))]


def test_a_number_that_was_made_in_as_few_steps_as_it_can_be() -> None:
    """Of seed 0 of countdown/dead; its numbers are in the prompt."""
    world: Any = load("countdown/dead")
    a, b, c, d = map(int, world.reset(0).split(" from ")[1].split())
    made = f"{a}+{b}"
    assert goal("countdown/dead", f">calc({made})\n={a + b}\n") == [
        f"?make {a + b} from {a} {b} {c} {d}"
    ]
    assert goal("countdown/dead", f"={a}\n") == []  # nothing was changed
    world.step(f"={a}\n")
    assert world.achieved() is None
    assert goal("countdown/dead", f">calc({made})\n={c}\n") == []  # it was given
    assert goal("countdown/dead", f">calc({made})\n={a + b + 1}\n") == []  # it was not made
    assert goal("countdown/dead", f">calc({made})\n=0{a + b}\n") == []  # not its name
    more = f">calc({made})\n>calc({c}+{d})\n"
    assert goal("countdown/dead", f"{more}={a + b}\n") == []  # a step of no use
    assert goal("countdown/dead", f">calc({made})\n>calc({made})\n={a + b}\n") == []  # an error
    assert goal("countdown/dead", f">calc({made})\n>clac(1)\n={a + b}\n") == []


def test_a_report_of_what_was_found() -> None:
    peru = "The capital of Peru is Lima."
    asked = ">capital(Peru)\n"
    assert goal("report/dead", f"{asked}={peru}\n") == ["?report Peru: capital"]
    both = (
        f"{asked}>region(Chile)\n={peru} The region of Chile is {facts().one('region', 'Chile')}.\n"
    )
    assert goal("report/dead", both)[0].startswith("?report Peru: capital; Chile: region")
    assert goal("report/dead", f"={peru}\n") == []  # nothing was found
    assert goal("report/dead", f"{asked}=The capital of Peru is Paris.\n") == []
    assert goal("report/dead", f"{asked}{asked}={peru}\n") == []  # a turn of no use
    north = f"The north of Peru is {facts().one('north', 'Peru')}."
    assert goal("report/dead", f"{asked}>north(Peru)\n={peru} {north}\n") == []  # no aspect
    assert goal("report/dead", f"{asked}>region(Chile)\n={peru}\n") == []  # left out
    long = " ".join(["and so on"] * 6)
    assert goal("report/dead", f"{asked}={peru} {long}.\n") == []  # too long for one fact


def test_a_guess_and_a_field_are_no_goals() -> None:
    """The secret is not in the prompt: luck would be trained. The field would have been marked."""
    assert goal("twenty/even", ">ask(region Asia)\n=Japan\n") == []
    lake: Any = load("lake/even")
    lake.reset(0)
    assert lake.achieved() is None

"""The gate of skills in the world: how often are useless ones admitted, and those worth ten points?

Simulated, with a base of .40 and a correlation of .6 inside pairs (a Gaussian copula), 64 pairs
admit .107 of useless skills and .596 of those worth ten points, 128 .098 and .791. Here the shipped
policy plays tasks of one call: `renamed`, under names that it does not know and seldom finds; and
`mixed`, one task in three under names that it knows, so that it passes about as often as in the
simulation.

Trials are not played anew, 128 attempts each: attempts are played once, into a pool, `samples` a
task and side, and trials are drawn from it. A pair is a task of the pool and one attempt of either
side, so that it passes on the one and fails on the other with chance (K attempts, of which a task
passes b with nothing and t with the skill; d the share of tasks that the skill is shown at)

    told alone    d t (K - b) / K^2 + (1 - d) b (K - b) / (K (K - 1))     mean over tasks
    bare alone    d (K - t) b / K^2 + (1 - d) b (K - b) / (K (K - 1))

without bias, and what a trial of n pairs admits is a sum over the trinomial, exact: no trial is
drawn by lot. What is left to chance is the pool; its tasks are resampled for the interval.

Predictions are those of the simulation, and the worst of the bound, from before any attempt was
played; `mixed` took the place of `lookup/even`, where the lesson turned out to be worth nothing.
"""

import time
from collections.abc import Iterator
from functools import cache, partial
from math import inf, lgamma
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown
from assay.claims.measures import Seen
from assay.evaluate.intervals import Estimate, resampled
from assay.kernels.uplift import Uplift
from assay.world.environment import Environment
from assay.world.lookup import Lookup
from claims.skills import FIRST, passes, rolled

SCALES: Final = {
    "quick": Scale(name="quick", steps=0, held_out=8, samples=2, seeds=1, seconds=5.0),
    "full": Scale(name="full", steps=0, held_out=64, samples=8, seeds=5, seconds=12.0),
}
WORLDS: Final = ("renamed", "mixed")
SIDES: Final = ("nothing", "empty", "lesson")
"""What an attempt reads: nothing; a line as long as the lesson that says nothing; the lesson."""
WORTH: Final = 0.1
"""What the skill is to be worth: the lesson is shown in the share of tasks that makes it so."""
SIZES: Final = (64, 128)
SIMULATED: Final = {64: (0.107, 0.596), 128: (0.098, 0.791)}
DRAWS: Final = 1000


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields the sides of each world, seeds outermost; each seed has tasks of its own."""
    for seed in range(1, seeds + 1):
        for world in WORLDS:
            for side in SIDES:
                yield Cell(env="gate", start=world, arm=side, seed=seed)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns the passes of each task of a side."""
    import torch

    from assay.policy.loading import load
    from assay.rollout.chain import Planned

    torch.set_num_threads(1)
    began, planned = time.monotonic(), list[Planned]()
    for task in range(FIRST + 1000 * cell.seed, FIRST + 1000 * cell.seed + scale.held_out):
        notes = read(made(cell.start, task), task, cell.arm)
        planned += [
            Planned(environment=made(cell.start, task), seed=task, trial=trial, notes=notes)
            for trial in range(scale.samples)
        ]
    played = rolled(load(), planned, (cell.seed, SIDES.index(cell.arm)))
    tokens = sum(each.ledger.tokens or 0 for each in played)
    spent = time.monotonic() - began
    return Row(cell.data(), {"0": passes(played, scale)}, scale.samples, tokens=tokens,
               seconds=spent, about={"scale": scale.name})  # fmt: skip


def made(name: str, task: int) -> Environment:
    """Returns the environment of a task."""
    return Lookup(hops=1, renamed=name == "renamed" or task % 3 > 0)


def read(environment: Environment, task: int, side: str) -> tuple[str, ...]:
    """Returns what attempts of a side read under a task."""
    from assay.rollout.teaching import NOTHING

    environment.reset(task)
    lesson = environment.hint("right") or ""
    empty = "!" + (NOTHING * len(lesson))[: max(len(lesson) - 1, 0)]
    return {"nothing": (), "empty": (empty,), "lesson": (lesson,)}[side]


_Chances = Float64[np.ndarray, "D 2"]


def chances(
    told_G: np.ndarray, bare_G: np.ndarray, k: int, at_DG: np.ndarray, dose: float | np.ndarray
) -> _Chances:
    """Returns, by draw, how often a pair passes told alone, and bare alone.

    Args:
        told_G: passes of each task, of `k`, on the side that reads.
        bare_G: on the side that does not.
        k: attempts of either.
        at_DG: weights of tasks, by draw.
        dose: share of pairs whose told side reads; the others read nothing on either. By draw, or
            of all.
    """
    same_G = bare_G * (k - bare_G) / (k * (k - 1))
    told, bare = (at_DG @ (one_G * (k - other_G) / k**2)
                  for one_G, other_G in ((told_G, bare_G), (bare_G, told_G)))  # fmt: skip
    same = at_DG @ same_G
    return np.stack([dose * told + (1 - dose) * same, dose * bare + (1 - dose) * same], -1)


@cache
def _admitting(pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns counts (told alone, bare alone, neither) that admit, and logs of their numbers of
    orders."""
    made = [
        (a, b, pairs - a - b)
        for a in range(pairs + 1)
        for b in range(min(a, pairs - a) + 1)
        if Uplift(a, b, pairs, a + b).admits
    ]
    orders = [lgamma(pairs + 1) - sum(lgamma(n + 1) for n in each) for each in made]
    return np.array(made, float), np.array(orders)


def admits(chance_D2: _Chances, pairs: int) -> Float64[np.ndarray, " D"]:
    """Returns the chance that a trial of so many pairs admits: a sum over the trinomial."""
    counts_M3, order_M = _admitting(pairs)
    rest_D = 1 - chance_D2.sum(1, keepdims=True)
    log_D3 = np.log(np.maximum(np.hstack([chance_D2, rest_D]), 1e-12))
    return np.exp(log_D3 @ counts_M3.T + order_M).sum(1)


def pool(rows: Rows, world: str) -> tuple[dict[str, np.ndarray], int] | None:
    """Returns the passes of all tasks by side, seeds that have every side behind each other, and
    attempts at each. None: there is no such seed."""
    found = rows.alike([(side, {}) for side in SIDES], world, ("gate",))
    if not found:
        return None
    sides = {side: np.concatenate([np.array(row.last) for row in runs])
             for side, runs in zip(SIDES, found[0], strict=True)}  # fmt: skip
    return sides, found[0][0][0].samples


def admitted(rows: Rows, world: str, skill: str, pairs: int) -> Seen | None:
    """Returns how often trials admit a skill: "nothing" (both sides read none), "empty", or
    "lesson", shown as often as makes it worth `WORTH`. The interval has tasks resampled, and the
    lesson shown anew as often as makes it so. No value: the lesson is worth less where it always
    is."""
    if (pooled := pool(rows, world)) is None:
        return None
    sides, k = pooled
    count = len(sides["nothing"])
    at_DG = np.vstack([np.full(count, 1 / count),
                       resampled(count, DRAWS, np.random.default_rng(0))])  # fmt: skip
    gain_D = at_DG @ (sides["lesson"] - sides["nothing"]) / k
    seeds = len({row.cell["seed"] for row in rows.rows})
    if skill == "lesson" and gain_D.min() < WORTH:
        return Seen(None, seeds)
    dose = WORTH / gain_D if skill == "lesson" else float(skill == "empty")
    told_G = sides["lesson" if skill == "lesson" else "empty"]
    found_D = admits(chances(told_G, sides["nothing"], k, at_DG, dose), pairs)
    low, high = np.quantile(found_D[1:], [0.025, 0.975])
    return Seen(Estimate(float(found_D[0]), float(low), float(high)), seeds)


def _says(id: str, world: str, skill: str, pairs: int, says: str) -> Prediction:
    measure = partial(admitted, world=world, skill=skill, pairs=pairs)
    said = f"{world}, {pairs} pairs: admits {says}"
    if skill == "empty":
        return Prediction(
            id=id, says=said, expected="at most .135, the worst of the bound",
            refuted_if="above it", measure=measure, holds=(-inf, 0.135), refutes=((0.135, inf),),
            unit="",
        )  # fmt: skip
    value = SIMULATED[pairs][skill == "lesson"]
    low, high = value - 0.03, value + 0.03
    return Prediction(
        id=id, says=said, expected=f"{value:g}, simulated", refuted_if="outside 0.03 of it",
        measure=measure, holds=(low, high), refutes=((-inf, low), (high, inf)), unit="",
    )  # fmt: skip


PREDICTIONS: Final = tuple(
    _says(f"{name}{pairs} {world}", world, skill, pairs, says)
    for world in WORLDS
    for name, skill, says in (
        ("A", "nothing", "what is not there: both sides read nothing"),
        ("E", "empty", "a line that says nothing"),
        ("P", "lesson", "a lesson worth ten points"),
    )
    for pairs in SIZES
)


def shown(rows: Rows) -> Shown:
    """Returns what was played, and what each side passed."""
    spent = sum(row.seconds for row in rows.rows)
    ran = (
        f"{len(rows.rows)} cells, {spent / 60:.0f} minutes of one core: the shipped policy on "
        "`lookup`, tasks of one call: `renamed`, under names that it does not know, and `mixed`, "
        "one in three under names that it knows. Trials are drawn from these attempts, exactly "
        "and not by lot: how often a pair passes on one side alone is known without bias, and what "
        "a trial of n pairs admits is a sum over a trinomial."
    )
    return Shown(ran=ran, tables="\n".join(_tables(rows)))


def _tables(rows: Rows) -> Iterator[str]:
    yield "\nWhat the pool holds; correlation: of the passes of two attempts at one task.\n"
    yield (
        "| world | tasks | attempts a side | nothing | empty line | lesson | correlation | "
        "lesson shown to be worth ten points |\n|---|---|---|---|---|---|---|---|"
    )
    for world in WORLDS:
        if (pooled := pool(rows, world)) is None:
            continue
        sides, k = pooled
        rates = {side: each.mean() / k for side, each in sides.items()}
        p, bare_G = rates["nothing"], sides["nothing"]
        both = (bare_G * (bare_G - 1)).mean() / (k * (k - 1))
        said = " | ".join(f"{rates[side]:.3f}" for side in SIDES)
        dose = WORTH / (rates["lesson"] - p)
        yield (
            f"| {world} | {len(bare_G)} | {k} | {said} | {(both - p * p) / (p - p * p):.2f} | "
            f"{dose:.0%} |"
        )


EXPERIMENT: Final = Experiment(
    id="skills_gate",
    title="What does the gate of skills admit, in the world?",
    source="the gate of skills.md, beside its simulation: of a base of .40 and a correlation of .6",
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("gate-renamed-nothing", "gate-renamed-empty", "gate-renamed-lesson"),
    work=work,
    shown=shown,
)

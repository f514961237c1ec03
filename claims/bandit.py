"""Which domain next? A bandit that follows gradients, against an even mixture, trained.

Four domains of the embedded world: two of which the shipped policy passes a third or half, one of
which it passes a tenth, one of which it passes none, so that there is something to choose (the last
pays parts of answers, so that its groups are not dead, which was overlooked). Predictions were
written, and the temperature set, before anything was trained; there was no pilot.
"""

from collections.abc import Iterator
from functools import partial
from itertools import product
from math import inf
from typing import Any, Final

import numpy as np

from assay.claims import Arm, Experiment, Prediction, Rows
from assay.claims import measures as m
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown
from assay.claims.measures import Seen, student
from assay.world.several import JOIN, PREFIX

DOMAINS: Final = ("lookup/even", "countdown/even", "lake/hard", "report/dead")
ENV: Final = f"{PREFIX}:{JOIN.join(DOMAINS)}"
START: Final = "mixed"
QUICK: Final = ENV.replace("/", "_").replace(":", "_")
SCALES: Final = {
    "quick": Scale(
        name="quick", steps=2, prompts=4, group=4, checkpoints=1, held_out=8, samples=8, seeds=1,
        seconds=10.0,
    ),
    "full": Scale(
        name="full", steps=120, prompts=8, group=8, checkpoints=1, held_out=64, samples=16,
        seeds=5, learning_rate=3e-4, seconds=60.0,
    ),
}  # fmt: skip
"""full: a run ends by its budget of tokens, before its steps."""
TOKENS: Final = 40_000
"""That a run may sample."""
TEMPERATURE: Final = 0.2
"""Of the bandit. At 1 chances differ by a tenth of themselves."""


def _arm(name: str, **schedule: Any) -> Arm:
    return Arm(name=name, recipe={"method": "grpo"}, tables={"schedule": schedule})


ARMS: Final = (
    _arm("uniform"),
    _arm("random", mode="fixed", weights=dict.fromkeys(DOMAINS, 1.0), whole=True),
    _arm("tac", mode="tac", temperature=TEMPERATURE),
    _arm("learnability", mode="tac", temperature=TEMPERATURE, alpha=0.0),
)
"""`random` is the bandit with chance in the place of what it knows: a domain a batch, evenly."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields bases, seed by seed the arms of prediction 15, then what tells its parts apart."""
    for arm in ("base", "null"):
        yield Cell(env=ENV, start=START, arm=arm, seed=0)
    numbers = range(1, seeds + 1)
    for arms in (ARMS[:3], ARMS[3:]):
        for seed, arm in product(numbers, arms):
            told = arm.within(TOKENS if scale.name == "full" else 0)
            yield Cell.of(told, env=ENV, start=START, seed=seed, curve=False)


def rates(rows: Rows, arm: str) -> dict[str, np.ndarray]:
    """Returns the held-out pass rate of each domain, by seed."""
    found = rows.find(ENV, START, arm)
    passed = np.array([row.last for row in found], float)
    many = len(DOMAINS)  # held-out tasks begin with a multiple of it
    return {
        name: passed[:, at::many].mean(1) / found[0].samples if found else np.zeros(0)
        for at, name in enumerate(DOMAINS)
    }


def by_domain(rows: Rows, domain: str, first: str, second: str) -> Seen | None:
    """Returns the pass rate of the second arm on a domain less that of the first, over seeds."""
    one, other = (rates(rows, arm)[domain] for arm in (first, second))
    both = min(one.size, other.size)
    return Seen(student(other[:both] - one[:both]), both) if both else None


def _more(id: str, says: str, size: str, first: str, second: str) -> Prediction:
    return Prediction(
        id=id,
        says=says,
        expected=size,
        refuted_if="below 0",
        measure=partial(m.difference, first=first, second=second, start=START, envs=(ENV,)),
        holds=(0.0, inf),
        refutes=((-inf, 0.0),),
    )


def _no_worse(domain: str) -> Prediction:
    return Prediction(
        id=f"15 {domain}",
        says=f"and on {domain} alone the bandit does not fall behind",
        expected="not below uniform by more than 3 points",
        refuted_if="below -3 points",
        measure=partial(by_domain, domain=domain, first="uniform", second="tac"),
        holds=(-0.03, inf),
        refutes=((-inf, -0.03),),
    )


PREDICTIONS: Final = (
    _more("15", "a gradient-alignment bandit beats an even mixture, mean over domains",
          "+0.5 to +2 points", "uniform", "tac"),
    *map(_no_worse, DOMAINS),
    _more("15 chance", "it beats a bandit that draws its domain by chance", "+0.5 to +2 points",
          "random", "tac"),
    _more("15 alignment", "alignment adds to learnability", "+0.5 points", "learnability", "tac"),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns what was run, and pass rates by domain."""
    lines = [
        "\nHeld-out pass rate, in %:\n",
        f"| arm | {' | '.join(DOMAINS)} | mean | dead groups | runs | tokens of a run |",
        f"|---|{'---|' * len(DOMAINS)}---|---|---|---|",
    ]
    for arm in ("base", *(each.name for each in ARMS)):
        if found := rows.find(ENV, START, arm):
            mine = [float(rate.mean()) for rate in rates(rows, arm).values()]
            told = " | ".join(f"{100 * each:.1f}" for each in [*mine, float(np.mean(mine))])
            spent = np.mean([row.tokens for row in found])
            dead = [row.dead_share for row in found if row.dead_share is not None]
            share = f"{100 * np.mean(dead):.0f}" if dead else ""
            lines.append(f"| {arm} | {told} | {share} | {len(found)} | {spent:,.0f} |")
    trained = [row for row in rows.rows if row.tokens]
    ran = (
        f"The shipped policy on four domains, {len(trained)} runs of about {TOKENS:,} sampled "
        "tokens (some 18 steps) in batches of 8 tasks by 8 attempts, all with GRPO and one "
        f"learning rate; {sum(row.seconds for row in rows.rows) / 60:.0f} minutes on a machine "
        "that others shared, 41 seconds a run where they did not."
    )
    return Shown(ran=ran, tables="\n".join(lines))


EXPERIMENT: Final = Experiment(
    id="bandit",
    title="Which domain next: does a bandit beat an even mixture?",
    source="the shipped policy; after TAC 2026, https://arxiv.org/abs/2606.25178, of a note on it",
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=tuple(f"{QUICK}-{START}-{arm}" for arm in ("base", "null", "tac")),
    shown=shown,
    unread=(
        "Not run: larger policies, where domains differ more in what they still teach; finals of "
        "orders that were trained (prediction 14)"
    ),
)

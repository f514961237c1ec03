"""Does an exact order of tasks beat a random one? Simulated, on transfers that are drawn.

Transfers between K tasks are normal with mean -.02 and deviation .04, their measurements err by a
normal number of the arm's deviation. The order is chosen by what was measured, with its error, and
scored by what is true. Nothing is trained: that transfers add up and stages saturate is assumed.

The predictions were written before anything was run.
"""

import time
from collections.abc import Iterator
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown
from assay.claims.measures import Seen, over_seeds
from assay.kernels.transfer import plan, predicted

SCALES: Final = {
    "quick": Scale(name="quick", steps=5, held_out=1, samples=8, seeds=2, seconds=1.0),
    "full": Scale(name="full", steps=200, held_out=1, samples=8, seeds=5, seconds=5.0),
}
"""`steps` matrices a cell."""
TASKS: Final = (3, 4, 5)
ERRORS: Final = (0.0, 0.02, 0.05)
"""Of each measured transfer: 64 tasks by 16 attempts have about .02."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields numbers of tasks by errors, seeds outermost."""
    for seed in range(1, seeds + 1):
        for tasks in TASKS:
            for error in ERRORS:
                yield Cell(env="transfers", start=f"k{tasks}", arm=f"error-{error:g}", seed=seed)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns how much better than the mean of all orders the chosen and the best one are."""
    began = time.monotonic()
    tasks, error = int(cell.start[1:]), float(cell.arm.partition("-")[2])
    rng = np.random.default_rng([cell.seed, tasks, int(100 * error)])
    found = np.mean([gained(rng, tasks, error) for _ in range(scale.steps)], axis=0)
    names = ("chosen", "best", "worst", "told")
    about = {name: round(float(each), 5) for name, each in zip(names, found, strict=True)}
    return Row(cell.data(), {"0": [0]}, 2, seconds=time.monotonic() - began,
               about={"scale": scale.name, **about})  # fmt: skip


def gained(rng: np.random.Generator, tasks: int, error: float) -> tuple[float, float, float, float]:
    """Returns the mean final score of the chosen, the best and the worst order less that of a
    random one, and what the plan itself says of the chosen one."""
    true = drawn(rng, tasks)
    seen = true + error * rng.normal(size=true.shape)
    made = plan(np.zeros(tasks), seen, np.full(true.shape, error))
    worth = [score(order, true) for order in permutations(range(tasks))]
    mean = float(np.mean(worth))
    return score(made.order, true) - mean, max(worth) - mean, min(worth) - mean, made.gain


def drawn(rng: np.random.Generator, tasks: int) -> Float64[np.ndarray, "A B"]:
    """Returns transfers; a task has none to itself."""
    true = rng.normal(-0.02, 0.04, (tasks, tasks))
    np.fill_diagonal(true, 0.0)
    return true


def score(order: tuple[int, ...], gain: Float64[np.ndarray, "A B"]) -> float:
    """Returns the mean final score of an order, that of tasks trained alone as 0."""
    return float(predicted(order, np.zeros(len(order)), gain).mean())


def over(rows: Rows, tasks: int, error: float, what: str, less: str | None = None) -> Seen | None:
    """Returns a number of the cells, less another of theirs, with Student's interval over seeds."""
    found = rows.find("transfers", f"k{tasks}", f"error-{error:g}")
    values = [row.about[what] - (row.about[less] if less else 0.0) for row in found]
    return over_seeds(values)


def _more(id: str, tasks: int, error: float, size: str) -> Prediction:
    return Prediction(
        id=id,
        says=f"{tasks} tasks, error {error:g}: exact order less a random one, mean final score",
        expected=size,
        refuted_if="below 0",
        measure=partial(over, tasks=tasks, error=error, what="chosen"),
    )


PREDICTIONS: Final = (
    _more("O1", 4, 0.0, "+3 points"),
    _more("O2", 4, 0.02, "+2.6 points"),
    _more("O3", 4, 0.05, "+1.6 points"),
    _more("O4", 5, 0.05, "+2 points"),
    Prediction(
        id="O5",
        says="4 tasks, error 0.05: what the plan says of its order, less what is true of it",
        expected="+2 points: it was chosen by the same numbers",
        refuted_if="below 0",
        measure=partial(over, tasks=4, error=0.05, what="told", less="chosen"),
    ),
)


def shown(rows: Rows) -> Shown:
    """Returns what was run, and its numbers."""
    lines = [
        "\nMean final score over a random order, in points:\n",
        "| tasks | error | chosen | as the plan says | best | worst |",
        "|---|---|---|---|---|---|",
    ]
    for tasks in TASKS:
        for error in ERRORS:
            if found := rows.find("transfers", f"k{tasks}", f"error-{error:g}"):
                told = " | ".join(
                    f"{100 * np.mean([row.about[name] for row in found]):+.2f}"
                    for name in ("chosen", "told", "best", "worst")
                )
                lines.append(f"| {tasks} | {error:g} | {told} |")
    spent = sum(row.seconds for row in rows.rows)
    ran = (
        f"Simulated: matrices of transfers drawn from a normal law of mean -.02 and deviation .04, "
        f"5 seeds of 200; {spent:.0f} seconds of one core. Nothing was trained, and no matrix "
        "here was measured on a policy."
    )
    return Shown(ran=ran, tables="\n".join(lines))


EXPERIMENT: Final = Experiment(
    id="order",
    title="Does an exact order of tasks beat a random one?",
    source="transfers that are drawn; after Omni-Thinker 2025, https://arxiv.org/abs/2507.14783",
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("transfers-k4-error-0.05",),
    work=work,
    shown=shown,
    unread=(
        "Not run, four runs of each task and of each order: prediction 14, finals of orders that "
        "were trained (about six core-hours for four tasks at five seeds)"
    ),
)

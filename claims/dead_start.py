"""A dead start: GRPO against Assay's recipe as it is shipped.

The predictions were written after runs at seed 0 and before any at the seeds that count.
"""

from collections.abc import Iterator
from typing import Final

from assay.claims import Experiment, Prediction
from assay.claims import measures as m
from assay.claims.cells import Cell, Scale

SCALES: Final = {
    "quick": Scale(
        name="quick",
        steps=4,
        prompts=8,
        checkpoints=2,
        held_out=12,
        samples=16,
        seeds=1,
        seconds=8.0,
    ),
    "full": Scale(name="full", steps=80, prompts=32, checkpoints=8, samples=16, learning_rate=3e-4),
}
"""full: batches and rate of the shipped recipes; about a quarter of an hour of one core a cell."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields GRPO and Assay's recipe on lookups that the starting policy all but never solves."""
    for arm in ("base", "null"):
        yield Cell(env="lookup", start="dead", arm=arm, seed=0)
    for seed in range(1, seeds + 1):  # with seed 0 the recipe was chosen: docs/log.md
        for arm in ("grpo", "assay"):
            yield Cell(env="lookup", start="dead", arm=arm, seed=seed)


PREDICTIONS: Final = (
    Prediction(
        id="D1",
        says="From a dead start GRPO learns: there is something to reach",
        expected="more than 2 points above the base",
        refuted_if="it ends no better than the base",
        measure=lambda rows: m.over_base(rows, "grpo", "dead", 1),
    ),
    Prediction(
        id="D2 half",
        says="Assay's recipe reaches the pass@1 with which GRPO ends for half its tokens",
        expected="at least as high",
        refuted_if="lower",
        measure=lambda rows: m.for_tokens(rows, "grpo", "assay", "dead", 0.5),
    ),
    Prediction(
        id="D2 all",
        says="and ends higher for as many",
        expected="twice as high",
        refuted_if="lower",
        measure=lambda rows: m.for_tokens(rows, "grpo", "assay", "dead", 1.0),
    ),
)

EXPERIMENT: Final = Experiment(
    id="dead_start",
    title="What does Assay's recipe save where GRPO all but never sees a success?",
    source=(
        "the recipes that Assay ships, at the same batches, rate and steps; GRPO reads "
        "outcomes alone, Assay's recipe also the environment's word on which calls lie on a "
        "shortest path"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("lookup-dead-base", "lookup-dead-null", "lookup-dead-grpo", "lookup-dead-assay"),
)

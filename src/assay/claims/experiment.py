"""The experiments: which cells, at which scales, and which predictions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from assay.claims.cells import ARMS, ENVIRONMENTS, SCALES, STARTS, Cell, Scale
from assay.claims.predictions import DEAD_START, PREDICTIONS, Prediction
from assay.errors import UnknownNameError, hint


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Cells and what they should show."""

    id: str
    title: str
    source: str
    cells: Callable[[Scale, int], Iterator[Cell]]
    """Cells of a scale with so many seeds, the most telling ones first."""
    predictions: Sequence[Prediction]
    scales: Mapping[str, Scale]
    """How much can be run of it: "quick", which takes a minute, and others."""
    quick: Sequence[str]
    """Names of the cells of "quick", without their seed."""
    unread: str = ""
    """What was set down with the predictions and is not read here."""


MAIN: Final = ("grpo", "psr", "nsr", "grpo_positive", "grpo_negative")
"""Sign by difficulty: {both, positive, negative} x {flat, in units of the group's deviation}."""


def factorial(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields the cells of sign by difficulty: seeds outermost, so that all of it stands early.

    Curves, for comparisons at equal pass@1, are measured of the main arms from the weak start.
    """
    for env in ENVIRONMENTS:
        for start in STARTS:
            yield Cell(env=env, start=start, arm="base", seed=0)
            yield Cell(env=env, start=start, arm="null", seed=0)
    seen: set[str] = set()
    for block in (_core, _sweep, _beside, _stale):
        for seed in range(seeds):
            for cell in block(seed):
                if cell.key not in seen:
                    seen.add(cell.key)
                    yield cell


def _core(seed: int) -> Iterator[Cell]:
    for env in ENVIRONMENTS:
        for start in ("weak", "strong"):
            for arm in MAIN:
                yield Cell(env=env, start=start, arm=arm, seed=seed, curve=start == "weak")


def _sweep(seed: int) -> Iterator[Cell]:
    for env in ENVIRONMENTS:
        for start in STARTS:
            for arm in ARMS:
                yield Cell(env=env, start=start, arm=arm, seed=seed, curve=False)


def _beside(seed: int) -> Iterator[Cell]:
    """Larger batches (P2), a verifier that errs (P12), long runs (P15)."""
    for env in ENVIRONMENTS:
        for arm in ("psr", "nsr"):
            yield Cell(env=env, start="strong", arm=arm, seed=seed, batch=4, curve=False)
        for arm in ("grpo", "nsr"):
            yield Cell(
                env=env, start="strong", arm=arm, seed=seed, false_negatives=0.2, curve=False
            )
        yield Cell(env=env, start="strong", arm="nsr", seed=seed, length=3, curve=False)


def _stale(seed: int) -> Iterator[Cell]:
    for env in ENVIRONMENTS:
        for start in STARTS:
            for arm in ARMS:
                yield Cell(env=env, start=start, arm=arm, seed=seed, minibatches=4, curve=False)


DEAD_SCALES: Final = {
    "quick": Scale(
        name="quick", steps=4, prompts=8, checkpoints=2, held_out=12, samples=16, seeds=1
    ),
    "full": Scale(name="full", steps=80, prompts=32, checkpoints=8, samples=16, learning_rate=3e-4),
}
"""full: batches and rate of the shipped recipes; about a quarter of an hour of one core a cell."""


def dead_start(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields GRPO and Assay's recipe on lookups that the starting policy all but never solves."""
    for arm in ("base", "null"):
        yield Cell(env="lookup", start="dead", arm=arm, seed=0)
    for seed in range(1, seeds + 1):  # with seed 0 the recipe was chosen: docs/log.md
        for arm in ("grpo", "assay"):
            yield Cell(env="lookup", start="dead", arm=arm, seed=seed)


EXPERIMENTS: Final = {
    "sign_by_difficulty": Experiment(
        id="sign_by_difficulty",
        title="Is it the sign of an advantage that matters, or which tasks it weighs?",
        source="Zhu et al. 2025, https://arxiv.org/abs/2506.01347, and what followed",
        cells=factorial,
        predictions=PREDICTIONS,
        scales=SCALES,
        quick=(
            *("lookup-strong-base", "lookup-strong-null", "lookup-weak-base", "lookup-weak-null"),
            *(f"lookup-weak-{arm}" for arm in MAIN),
        ),
        unread=(
            "Set down with these and not read: P10, P11, P13, P14, P16, P17 and P19, which need "
            "other cells (rescue, other group sizes, false positives, other clips, an entropy "
            "bonus, a probe of stored successes, masks by entropy); P5 at equal pass@1, P6 between "
            "the ends of the sweep, entropy and W-REINFORCE under P12, training tasks under P15"
        ),
    ),
    "dead_start": Experiment(
        id="dead_start",
        title="What does Assay's recipe save where GRPO all but never sees a success?",
        source=(
            "the recipes that Assay ships, at the same batches, rate and steps; GRPO reads "
            "outcomes alone, Assay's recipe also the environment's word on which calls lie on a "
            "shortest path"
        ),
        cells=dead_start,
        predictions=DEAD_START,
        scales=DEAD_SCALES,
        quick=("lookup-dead-base", "lookup-dead-null", "lookup-dead-grpo", "lookup-dead-assay"),
    ),
}


def experiment(name: str) -> Experiment:
    """Returns an experiment by its id.

    Raises:
        UnknownNameError: there is none of that name; with those that exist.
    """
    if name not in EXPERIMENTS:
        near = hint(name, EXPERIMENTS)
        raise UnknownNameError(f"no claim {name!r}.{near} Known: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]

"""Sign by difficulty: {both, positive, negative} x {flat, in units of the group's deviation}.

Predictions P1 to P20 were written before any run and follow the order in which they were set down;
`unread` names what is not read of them. "P1 grows", "P7 weak" and "P7 many" were set down with the
others but first read from rows when most had been run.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from math import inf
from typing import Any, Final

from assay.claims import NEGATIVE, POSITIVE, Experiment, Prediction
from assay.claims import measures as m
from assay.claims.cells import ARMS, BASE, ENVIRONMENTS, MAIN, STARTS, Cell, Scale
from assay.claims.experiment import Zone
from assay.claims.measures import Measure
from claims.squeezing import squeezed

SCALES: Final = {
    "quick": Scale(
        name="quick",
        steps=4,
        prompts=4,
        checkpoints=1,
        held_out=12,
        samples=16,
        seeds=1,
        seconds=4.5,
    ),
    "small": Scale(name="small", steps=16, held_out=48),
    "full": Scale(name="full", steps=120, checkpoints=4, samples=512),
}
"""quick: a minute or two, to see that it runs. small: about a minute of one core a cell. full: as
many steps, samples and seeds as its predictions were made for; a matter of days on two cores."""


def factorial(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields the cells of sign by difficulty: seeds outermost, so that all of it stands early.

    Curves, for comparisons at equal pass@1, are measured of the main arms from the weak start.
    """
    for env, start, arm in product(ENVIRONMENTS, STARTS, BASE):
        yield Cell(env=env, start=start, arm=arm, seed=0)
    seen: set[str] = set()
    for block in (_core, _sweep, _beside, _stale):
        for seed in range(seeds):
            for cell in block(seed):
                if cell.key not in seen:
                    seen.add(cell.key)
                    yield cell


def _cells(
    seed: int, starts: Iterable[str], arms: Iterable[str], *, curve: bool = False, **more: Any
) -> Iterator[Cell]:
    for env, start, arm in product(ENVIRONMENTS, starts, arms):
        yield Cell(env=env, start=start, arm=arm, seed=seed, curve=curve, **more)


def _core(seed: int) -> Iterator[Cell]:
    yield from _cells(seed, ["weak"], MAIN, curve=True)
    yield from _cells(seed, ["strong"], MAIN)


def _sweep(seed: int) -> Iterator[Cell]:
    yield from _cells(seed, STARTS, ARMS)


def _beside(seed: int) -> Iterator[Cell]:
    """Larger batches (P2), a verifier that errs (P12), long runs (P15)."""
    yield from _cells(seed, ["strong"], ["psr", "nsr"], batch=4)
    yield from _cells(seed, ["strong"], ["grpo", "nsr"], false_negatives=0.2)
    yield from _cells(seed, ["strong"], ["nsr"], length=3)


def _stale(seed: int) -> Iterator[Cell]:
    yield from _cells(seed, STARTS, ARMS, minibatches=4)


def _gap(first: str, second: str, start: str, k: int = 1) -> Measure:
    return lambda rows: m.difference(rows, first, second, start, k)


def _falls(refutes: Zone = POSITIVE, **said: Any) -> Prediction:
    """Returns a prediction that something is below 0."""
    return Prediction(**said, holds=NEGATIVE, refutes=(refutes,))


PREDICTIONS: Final = (
    Prediction(
        id="P1 weak",
        says="From a weak prior NSR reaches only part of what GRPO gains in pass@1",
        expected="50 to 65 % of the gain",
        refuted_if="95 % or more",
        measure=lambda rows: m.share_of_gain(rows, "nsr", "grpo", "weak"),
        holds=(-inf, 0.95),
        refutes=((0.95, inf),),
    ),
    Prediction(
        id="P1 strong",
        says="From a strong prior NSR reaches most of it",
        expected="80 to 95 % of the gain",
        refuted_if="less than 65 %",
        measure=lambda rows: m.share_of_gain(rows, "nsr", "grpo", "strong"),
        holds=(0.65, inf),
        refutes=((-inf, 0.65),),
    ),
    Prediction(
        id="P1 grows",
        says="The share grows with the prior's strength",
        expected="by about 30 points; shown: from strong less from weak",
        refuted_if="it falls",
        measure=lambda rows: m.growth_of_share(rows, "nsr", "grpo", ("weak", "strong")),
    ),
    _falls(
        id="P2",
        says="On-policy, PSR and NSR come closer as the batch grows: their expectation is the same",
        expected="the gap in pass@1 halves when the batch is four times as large",
        refuted_if="the gap stays or grows",
        measure=lambda rows: m.gap_by_batch(rows, "strong", 4),
    ),
    Prediction(
        id="P3 sign",
        says="At equal pass@1, NSR keeps more of pass@k than PSR",
        expected="open: the paper says 5 points more, a pilot 1 to 2 less",
        refuted_if="it keeps less",
        measure=lambda rows: m.at_equal_height(rows, "psr", "nsr", "weak"),
    ),
    Prediction(
        id="P3 weight",
        says="At equal pass@1, the positive half of GRPO keeps at least as much of it as NSR",
        expected="0 to 5 points more",
        refuted_if="it keeps less",
        measure=lambda rows: m.at_equal_height(rows, "nsr", "grpo_positive", "weak"),
    ),
    Prediction(
        id="P4",
        says="The negative half of GRPO loses pass@k below the base: it weighs easy tasks",
        expected="5 to 12 points less than the base",
        refuted_if="no more than 1 point less",
        measure=lambda rows: m.over_base(rows, "grpo_negative", "weak"),
        holds=(-inf, -0.01),
        refutes=((-0.01, inf),),
    ),
    Prediction(
        id="P5 upper",
        says="At equal steps NSR has more entropy than GRPO",
        expected="more",
        refuted_if="less",
        measure=lambda rows: m.entropy_gap(rows, "grpo", "nsr", "weak"),
        unit="nats a token",
    ),
    Prediction(
        id="P5 lower",
        says="and GRPO at least as much as PSR",
        expected="as much or more",
        refuted_if="less",
        measure=lambda rows: m.entropy_gap(rows, "psr", "grpo", "weak"),
        unit="nats a token",
    ),
    Prediction(
        id="P6",
        says="From a weak prior pass@1 grows with lambda of W-REINFORCE up to 1",
        expected="15 to 18 points more at 1 than at 0.03; shown: 1 less 0.1",
        refuted_if="0.1 is better than 1",
        measure=_gap("w_0.1", "w_1", "weak"),
    ),
    _falls(
        id="P7 weak",
        says="-1 for every all-fail group on top of GRPO costs pass@1",
        expected="1 to 4 points",
        refuted_if="it rises by more than 1 point",
        measure=_gap("grpo", "grpo_flat", "weak"),
        refutes=(0.01, inf),
    ),
    _falls(
        id="P7 dead",
        says="and more of it from a dead start",
        expected="5 to 10 points",
        refuted_if="it rises by more than 1 point",
        measure=_gap("grpo", "grpo_flat", "dead"),
        refutes=(0.01, inf),
    ),
    Prediction(
        id="P7 many",
        says="and buys some pass@k: it buys entropy",
        expected="0 to 2 points more",
        refuted_if="it falls",
        measure=_gap("grpo", "grpo_flat", "weak", 0),
    ),
    Prediction(
        id="P8",
        says="The bounded all-fail term is within noise of GRPO",
        expected="less than 1.5 points either way",
        refuted_if="more than 3 points either way",
        measure=_gap("grpo", "grpo_bounded", "weak"),
        holds=(-0.015, 0.015),
        refutes=((-inf, -0.03), (0.03, inf)),
    ),
    _falls(
        id="P9",
        says="NGRPO's virtual success in mixed groups too costs pass@1",
        expected="1 to 3 points",
        refuted_if="it gains",
        measure=_gap("grpo", "ngrpo", "weak"),
    ),
    Prediction(
        id="P12",
        says="20 % false negatives hurt NSR more than they hurt GRPO",
        expected="twice as much; shown: NSR's loss less 1.2 times GRPO's",
        refuted_if="less than 1.2 times as much",
        measure=lambda rows: m.hurt(rows, "nsr", "grpo", "strong", 1.2),
    ),
    _falls(
        id="P15",
        says="A long NSR run ends with held-out pass@k below the base",
        expected="3 to 8 points below",
        refuted_if="above the base",
        measure=lambda rows: m.over_base(rows, "nsr", "strong", length=3),
    ),
    Prediction(
        id="P18 likely",
        says="Pushing down a token of probability above 0.5 raises the entropy of its position",
        expected="above 0",
        refuted_if="below 0",
        measure=lambda rows: m.squeezed(rows, "likely"),
        unit="nats",
    ),
    _falls(
        id="P18 rare",
        says="and pushing down one below 0.05 lowers it",
        expected="below 0",
        refuted_if="above 0",
        measure=lambda rows: m.squeezed(rows, "rare"),
        unit="nats",
    ),
    Prediction(
        id="P20",
        says='An untrained copy "solves" tasks that the base never solved, by one success in n',
        expected="10 to 30 % of them",
        refuted_if="none; shown: fewer than 1 %",
        measure=m.frozen_expansion,
        refutes=((-inf, 0.01),),
    ),
)

EXPERIMENT: Final = Experiment(
    id="sign_by_difficulty",
    title="Is it the sign of an advantage that matters, or which tasks it weighs?",
    source="Zhu et al. 2025, https://arxiv.org/abs/2506.01347, and what followed",
    cells=factorial,
    predictions=PREDICTIONS,
    about=squeezed,
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
)

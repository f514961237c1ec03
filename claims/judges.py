"""Judges that err: what a sum of votes, a filter of votes and a bounded fusion buy; in seconds.

No model is asked. Each arm draws a world whose truth is known and runs the arithmetic that ranking
runs (`assay.kernels.ranking`, `assay.kernels.fusion`). Predictions 18, 20 and 21 of the plan.

Axes: I items, M votes, S steps.
"""

from collections.abc import Iterator
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims.cells import Cell, Scale
from assay.claims.measures import Seen, student
from assay.kernels.fusion import bounded, coherence, printed
from assay.kernels.ranking import elo, firsts, kept_votes, summed_votes
from claims import simulated

SCALES: Final = {
    "quick": Scale(
        name="quick", steps=200, prompts=400, held_out=1, samples=8, seeds=3, seconds=2.0
    ),
    "full": Scale(name="full", steps=20_000, prompts=8_000, held_out=1, samples=8, seconds=30.0),
}
"""`prompts` items that are voted on, `steps` steps that are fused."""
VOTES: Final = (8, 32)
Values = Float64[np.ndarray, "..."]


def voted(rng: np.random.Generator, arm: str, items: int) -> dict[str, float]:
    """Returns how often the better of two answers comes out, by sum, by majority and by a filter.

    The gap g of an item is exponential with mean 1. A vote's difference is normal around it with
    deviation 2; three in ten are bad: noise of deviation 3, under "inverted" around -3 g. Scores
    are whole numbers from 1 to 10. "shared bias": all votes on an item are off by one standard
    normal. "order bias": what is shown first gets 1.5 more; half the votes are shown either way, or
    ("one order") all of an item the same way. The filter sees bad votes with an area under the
    curve of .76 and keeps half.
    """
    found: dict[str, float] = {}
    for k in VOTES:
        gap = rng.exponential(1.0, items)[:, None]
        bad = rng.random((items, k)) < 0.3
        bias = rng.normal(size=(items, 1)) if arm == "shared bias" else 0.0
        center = -3 * gap if arm == "inverted" else 0.0 * gap
        ways: dict[str, Any] = {"": 0.0}
        if arm == "order bias":
            placed = rng.choice([-1.5, 1.5], (items, 1))
            ways = {"": placed * np.where(np.arange(k) % 2, 1, -1), ", one order": placed}
        good = gap + bias + rng.normal(0, 2, (items, k))
        drawn = np.where(bad, center + rng.normal(0, 3, (items, k)), good)
        meta = rng.normal(np.where(bad, 0.0, 1.0), 1.0)
        coin = rng.random(items)
        for name, shift in ways.items():
            scores = marks(drawn + shift)
            for how, total in (
                ("sum", [summed_votes(each) for each in scores]),
                ("majority", [firsts(each) for each in scores]),
                ("filtered sum", [summed_votes(each[kept_votes(m, k // 2)])
                                  for each, m in zip(scores, meta, strict=True)]),
            ):  # fmt: skip
                found[f"{how}, {k} votes{name}"] = better(np.stack(total), coin)
    return found


def marks(difference: Values) -> Values:
    """Returns whole numbers from 1 to 10 of two answers that differ so (..., 2)."""
    both = np.stack([5.5 + difference / 2, 5.5 - difference / 2], -1)
    return np.clip(np.round(both), 1, 10)


def better(total: Values, coin: Values) -> float:
    """Returns how often the first of two has more; of ties a coin decides."""
    gap = total[:, 0] - total[:, 1]
    return float(np.where(gap == 0, coin < 0.5, gap > 0).mean())


def fused(rng: np.random.Generator, steps: int) -> dict[str, float]:
    """Returns the rank correlation of a step's fused value with its correctness, four forms.

    Six in ten steps are right. align is normal around .6 or .4 (deviation .2), quality around .65
    or .45 (.2), both clipped to their range; the similarity to the step before is normal around .6
    or .45 (.15), that of four others around .45 (.15), at temperature .1. "pleasing": half of the
    wrong steps are there to please, with quality around .9. And how far Elo's first of three
    answers moves when 30 duels are reversed, beside what it is after them.
    """
    right = rng.random(steps) < 0.6
    align = np.clip(rng.normal(np.where(right, 0.6, 0.4), 0.2), -1, 1)
    quality = np.clip(rng.normal(np.where(right, 0.65, 0.45), 0.2), 0, 1)
    near = rng.normal(np.where(right, 0.6, 0.45), 0.15)
    others = rng.normal(0.45, 0.15, (steps, 4))
    fooled = np.clip(rng.normal(0.9, 0.05, steps), 0, 1)
    pleasing = np.where(~right & (rng.random(steps) < 0.5), fooled, quality)
    found: dict[str, float] = {}
    for name, judged in (("", quality), (", pleasing", pleasing)):
        for which, itself in (("with itself", True), ("without itself", False)):
            nats = [
                coherence(float(n), o, itself=itself) for n, o in zip(near, others, strict=True)
            ]
            part = np.stack([align, judged, np.array(nats)], 1)
            forms = {"printed": printed(part), "bounded": bounded(part)}
            if itself:
                forms["as a probability"] = bounded(part, bound="probability")
            for form, value in forms.items():
                found[f"{form}, {which}{name}"] = spearman(value, right)
    met = [(int(a), int(b), float(rng.random() < 0.6)) for a, b in duels(rng, 30)]
    moved = elo(met, 3) - elo(met[::-1], 3)
    found["Elo, reversed order, largest difference"] = float(np.abs(moved).max())
    return found


def duels(rng: np.random.Generator, count: int) -> Iterator[Any]:
    """Yields pairs of three answers."""
    for _ in range(count):
        yield rng.choice(3, 2, replace=False)


def _votes(arm: str) -> simulated.World:
    return lambda rng, scale: voted(rng, arm, scale.prompts)


WORLDS: Final[dict[str, simulated.World]] = {
    **{arm: _votes(arm) for arm in ("noisy", "shared bias", "inverted", "order bias")},
    "fusion": lambda rng, scale: fused(rng, scale.steps),
}


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields the worlds, seeds outermost."""
    return simulated.cells(WORLDS, seeds)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what one world came to at one seed."""
    return simulated.row(WORLDS, cell, scale)


def spearman(value: Values, right: Any) -> float:
    """Returns the rank correlation, ties at their mean rank."""
    from scipy.stats import spearmanr

    return float(spearmanr(value, right).statistic)


def seen(rows: Rows, arm: str, of: Any) -> Seen | None:
    """Returns a number of an arm, a mean over seeds."""
    found = simulated.rows_of(rows, arm)
    if not found:
        return None
    values = np.array([of(row.about["seen"]) for row in found])
    return Seen(student(values), len(found))


def _gap(one: str, other: str, told: dict[str, float]) -> float:
    return told[one] - told[other]


def _growth(told: dict[str, float]) -> float:
    return _gap("sum, 32 votes", "sum, 8 votes", told)


def halved(rows: Rows) -> Seen | None:
    """Returns the gain of 32 votes over 8 with a shared bias, over that without."""
    both = [simulated.rows_of(rows, arm) for arm in ("shared bias", "noisy")]
    if not all(both):
        return None
    gains = [np.array([_growth(row.about["seen"]) for row in found]) for found in both]
    n = min(map(len, gains))
    return Seen(student(gains[0][:n] / gains[1][:n]), n)


def _says(id: str, says: str, arm: str, of: Any, expected: str, refuted_if: str, holds: Any,
          refutes: Any) -> Prediction:  # fmt: skip
    return Prediction(
        id=id, says=says, expected=expected, refuted_if=refuted_if, unit="",
        measure=partial(seen, arm=arm, of=of), holds=holds, refutes=refutes,
    )  # fmt: skip


_SUM: Final = partial(_gap, "sum, 8 votes", "majority, 8 votes")
_META: Final = partial(_gap, "filtered sum, 8 votes", "sum, 8 votes")
PREDICTIONS: Final = (
    _says("18a", "bounded less printed fusion, coherence without the step itself: rank correlation",
          "fusion", partial(_gap, "bounded, without itself", "printed, without itself"),
          "+.05 to +.2", "0 or less", (0.05, inf), ((-inf, 0.0),)),
    _says("18b", "the same, coherence with the step itself", "fusion",
          partial(_gap, "bounded, with itself", "printed, with itself"), "+.05 to +.2",
          "0 or less", (0.05, inf), ((-inf, 0.0),)),
    _says("18c", "the same as 18b, half of the wrong steps there to please the judge", "fusion",
          partial(_gap, "bounded, with itself, pleasing", "printed, with itself, pleasing"),
          "above 0", "0 or less", (0.0, inf), ((-inf, 0.0),)),
    _says("18d", "the same as 18a, half of the wrong steps there to please the judge", "fusion",
          partial(_gap, "bounded, without itself, pleasing", "printed, without itself, pleasing"),
          "above 0", "0 or less", (0.0, inf), ((-inf, 0.0),)),
    _says("20a", "sum less majority of 8 votes", "noisy", _SUM, "+.005 to +.02", "below 0",
          (0.005, inf), ((-inf, 0.0),)),
    Prediction(id="20b", says="gain of 32 votes over 8 with a shared bias, over that without",
               expected="a half", refuted_if="1 or more", unit="", measure=halved,
               holds=(-inf, 0.75), refutes=((1.0, inf),)),
    _says("20c", "8 votes in one order less 8 in both, where the first place gets 1.5 more",
          "order bias", partial(_gap, "sum, 8 votes, one order", "sum, 8 votes"),
          "below -.05: votes do not take a bias out, both orders do", "0 or more", (-inf, -0.05),
          ((0.0, inf),)),
    _says("21a", "filter less all votes, bad ones noisy", "noisy", _META, "-.01 to +.005",
          "above +.02", (-0.05, 0.005), ((0.02, inf),)),
    _says("21b", "filter less all votes, bad ones inverted", "inverted", _META, "+.05 to +.15",
          "0 or less", (0.05, inf), ((-inf, 0.0),)),
)  # fmt: skip


EXPERIMENT: Final = Experiment(
    id="judges",
    title="Judges that err: what votes, filters and bounds buy",
    source=(
        "simulated worlds of known truth; votes and filter after DeepSeek-GRM, "
        "https://arxiv.org/abs/2504.02495, fusion after ReasonFlux-PRM, "
        "https://arxiv.org/abs/2506.18896"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=tuple(f"simulated-known-{arm}" for arm in WORLDS),
    work=work,
    shown=partial(
        simulated.shown,
        worlds=WORLDS,
        more="What the worlds are is said in `claims/judges.py`; what `assay judge` makes of it in "
        "[judges](../judges.md).",
    ),
)

"""Labels that err: what uncorrected ones teach, and what corrections make of it; in seconds.

No policy is trained here but one of two or three logits. The numbers size effects and catch signs;
each arm is the arithmetic that training runs (`assay.kernels.noise`, `assay.verify.rates`), fed by
a world whose truth is known. Seeds draw outcomes, errors, audits and the start.

Axes: N groups, G members, T steps, A actions.
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
from assay.kernels.noise import backward, others, weighed
from assay.verify.rates import Audits, audits_for, rates
from claims import simulated

SCALES: Final = {
    "quick": Scale(
        name="quick", steps=200, prompts=4_000, held_out=1, samples=8, seeds=2, seconds=1.0
    ),
    "full": Scale(name="full", steps=2_000, prompts=100_000, held_out=1, samples=8, seconds=6.0),
}
"""`prompts` groups of `samples` where judges are mixed, `steps` updates of a systematic error."""
Values = Float64[np.ndarray, "..."]


# ---- P2: a lenient and a strict judge in every group

RHO0: Final = np.array([0.30] * 4 + [0.02] * 4)
RHO1: Final = np.array([0.05] * 4 + [0.20] * 4)
PASSES: Final = 0.3


def mixed_judges(rng: np.random.Generator, scale: Scale) -> dict[str, float]:
    """Returns mean advantages by judge and truth: half of each group by a lenient judge A, half by
    a strict B; as they are, corrected, and corrected by rates that 200 audits estimate."""
    n = scale.prompts
    passed = rng.random((n, 8)) < PASSES
    seen = accepts(rng, passed, RHO0, RHO1)
    known = [audited(rng, 200, rho0, rho1) for rho0, rho1 in ((0.3, 0.05), (0.02, 0.2))]
    as_audited = [
        np.repeat([getattr(each, name) for each in known], 4) for name in ("rho0", "rho1")
    ]
    found: dict[str, float] = {}
    for name, rho0, rho1 in (
        ("naive", np.zeros(8), np.zeros(8)),
        ("corrected", RHO0, RHO1),
        ("audited", *as_audited),
    ):
        a = advantages(seen, np.broadcast_to(rho0, (n, 8)), np.broadcast_to(rho1, (n, 8)))
        x = (seen - rho0) / (1 - rho0 - rho1)
        found[f"{name}, what a failure is worth"] = float(x[~passed].mean())
        for judge, half in (("A", slice(0, 4)), ("B", slice(4, 8))):
            found[f"{name}, {judge}"] = float(a[:, half].mean())
            found[f"{name}, {judge}, passed"] = float(a[:, half][passed[:, half]].mean())
        found[f"{name}, variance"] = float(a.var())
    return found


def accepts(rng: np.random.Generator, passed: Values, rho0: Values, rho1: Values) -> Values:
    """Returns verdicts, 1.0 or 0.0, of a judge with these errors."""
    drawn = rng.random(passed.shape)
    return np.where(passed, drawn >= rho1, drawn < rho0).astype(float)


def advantages(seen: Values, rho0: Values, rho1: Values) -> Values:
    """Returns x - b of groups that lie along the last axis; `credit.mixed_judges` has the same."""
    flat = (np.ascontiguousarray(each, float).reshape(-1) for each in (seen, rho0, rho1))
    x_U, w_U = weighed(next(flat), next(flat), next(flat))
    peer_U = np.arange(x_U.size) // seen.shape[-1]
    return np.nan_to_num(x_U - others(x_U, w_U, peer_U)).reshape(seen.shape)


def audited(rng: np.random.Generator, count: int, rho0: float, rho1: float) -> Any:
    """Returns the rates that audits estimate: `count` of what a judge accepted and of what it
    rejected, apart, where three tenths pass."""
    share = PASSES * (1 - rho1) + (1 - PASSES) * rho0
    bad = int(rng.binomial(count, (1 - PASSES) * rho0 / share))
    good = int(rng.binomial(count, PASSES * rho1 / (1 - share)))
    return rates(Audits(count - bad, bad, good, count - good, accepted_share=share))


# ---- P3: what times out is no failure


def missing(rng: np.random.Generator, scale: Scale) -> dict[str, float]:
    """Returns the chance of the better of two actions after 400 updates. It passes .7, the other
    .5, and four in ten of its attempts are lost to infrastructure; mean of 100 runs."""
    runs, found = 100, {}
    for fill in ("filled with 0", "excluded"):
        logit = np.zeros(runs)
        for _ in range(400):
            p = sigmoid(logit)
            better = rng.random((runs, 8)) < p[:, None]
            r = (rng.random((runs, 8)) < np.where(better, 0.7, 0.5)).astype(float)
            lost = better & (rng.random((runs, 8)) < 0.4)
            r = np.where(lost, 0.0 if fill == "filled with 0" else np.nan, r)
            some = ~np.isnan(r)
            mean = np.nansum(r, 1) / np.maximum(some.sum(1), 1)
            a = np.where(some & (some.sum(1) > 1)[:, None], r - mean[:, None], 0.0)
            logit = logit + 0.1 * 2 * (np.nan_to_num(a) * (better - p[:, None])).sum(1) / 8
        found[fill] = float(sigmoid(logit).mean())
    return found


def sigmoid(logit: Values) -> Values:
    """Returns 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-logit))


# ---- P4: a judge that believes claims

BELIEVES: Final = {"claimed": (0.45, 0.10), "none": (0.05, 0.10)}
"""False positives and negatives by what the agent says of a success of its own."""


def claims(rng: np.random.Generator, scale: Scale) -> dict[str, float]:
    """Returns how often a failure is claimed to be a success after 300 updates, from .5; four
    attempts in ten pass, and those are claimed. Rates of errors are of 400 audits each, drawn apart
    of accepted and rejected: pooled, or by claim; mean of 32 runs."""
    found = {}
    for arm in ("naive", "pooled", "strata", "strata, penalty"):
        logit = np.zeros(32)
        known = {claim: _believed(rng, claim) for claim in BELIEVES}
        pooled = _believed(rng, None)
        for _ in range(300):
            p = sigmoid(logit)
            passed = rng.random((32, 16)) < 0.4
            claimed = passed | (rng.random((32, 16)) < p[:, None])
            truth = [np.where(claimed, *(BELIEVES[c][e] for c in BELIEVES)) for e in (0, 1)]
            seen = accepts(rng, passed, truth[0], truth[1])
            rho0, rho1 = (
                (np.zeros_like(seen), np.zeros_like(seen)) if arm == "naive"
                else (np.full_like(seen, pooled.rho0), np.full_like(seen, pooled.rho1))
                if arm == "pooled"
                else tuple(np.where(claimed, *(getattr(known[c], e) for c in BELIEVES))
                           for e in ("rho0", "rho1"))
            )  # fmt: skip
            a = advantages(seen, rho0, rho1)
            if arm == "strata, penalty":  # a check sees a tenth of the false claims
                caught = ~passed & claimed & (rng.random(seen.shape) < 0.1)
                a = a - 0.25 * caught / 0.1
            score = np.where(passed, 0.0, claimed - p[:, None])
            logit = logit + 0.2 * 2 * (a * score).sum(1) / 16
        found[arm] = float(sigmoid(logit).mean())
    return found


def _believed(rng: np.random.Generator, claim: str | None) -> Any:
    """Returns rates by audits of the start, at which half of the failures are claimed; None: of
    both pooled."""
    weight = {"claimed": (0.4, 0.3), "none": (0.0, 0.3)}  # of passes and failures
    names = list(BELIEVES) if claim is None else [claim]
    passes, fails = (sum(weight[each][side] for each in names) for side in (0, 1))
    wrong_yes = sum(weight[each][1] * BELIEVES[each][0] for each in names)
    wrong_no = sum(weight[each][0] * BELIEVES[each][1] for each in names)
    yes = passes - wrong_no + wrong_yes
    share = yes / (passes + fails)
    bad = int(rng.binomial(400, wrong_yes / yes))
    good = int(rng.binomial(400, wrong_no / (passes + fails - yes)))
    return rates(Audits(400 - bad, bad, good, 400 - good, accepted_share=share))


# ---- P5: a hack that the judge always accepts

MODES: Final = np.array([0.25, 0.70, 0.05])
"""Good, bad and hack at the start; the judge accepts .9, .02 and all of them."""
ACCEPTS: Final = np.array([0.9, 0.02, 1.0])


def systematic(rng: np.random.Generator, scale: Scale) -> dict[str, float]:
    """Returns where the expected gradient leads by 2,000 and 8,000 steps, from a start whose logits
    are moved by .1: success, and the hack; and how many audits of accepted items see it."""
    start = np.log(MODES) + 0.1 * rng.standard_normal(3)
    few, many = scale.steps, 4 * scale.steps
    early, late = climbed(start, ACCEPTS, few), climbed(start, ACCEPTS, many)
    p = softmax(start)
    pooled = (p[1] * 0.02 + p[2]) / (p[1] + p[2])
    truth = np.array([1.0, 0.0, 0.0])
    x = backward(ACCEPTS, np.full(3, pooled), np.full(3, 0.1))
    dropped = climbed(start, np.array([1.0, 0.0, np.nan]), few)
    zero = climbed(start, truth, few)
    hack = early[2] * ACCEPTS[2] / (early @ ACCEPTS)
    return {
        "success, early": float(early[0]),
        "success, late": float(late[0]),
        "success, pooled rates, late": float(climbed(start, x, many)[0]),
        "success, stratum dropped": float(dropped[0]),
        "success, stratum worth 0": float(zero[0]),
        "hack, stratum dropped": float(dropped[2]),
        "J at the start, pooled": float(0.9 - pooled),
        "audits that see it early": float(audits_for(float(hack))),
        "audits that see it at the start": float(audits_for(float(p[2] / (p @ ACCEPTS)))),
    }


def softmax(logit: Values) -> Values:
    """Returns probabilities of the actions."""
    grown = np.exp(logit - logit.max())
    return grown / grown.sum()


def climbed(start: Values, worth: Values, steps: int, rate: float = 0.1) -> Values:
    """Returns probabilities after steps along the expected gradient of an action's worth; what has
    none (NaN) is left out of baseline and update."""
    logit, used = start.copy(), ~np.isnan(worth)
    value = np.nan_to_num(worth)
    for _ in range(steps):
        p = softmax(logit)
        a = np.where(used, value - (p * used) @ value / max((p * used).sum(), 1e-12), 0.0)
        logit = logit + rate * (p * a - p * (p @ a))
    return softmax(logit)


WORLDS: Final[dict[str, simulated.World]] = {
    "mixed_judges": mixed_judges,
    "missing": missing,
    "claims": claims,
    "systematic": systematic,
}


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields the four worlds, seeds outermost."""
    return simulated.cells(WORLDS, seeds)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what one world came to at one seed."""
    return simulated.row(WORLDS, cell, scale)


# ---- what is read of rows


def of(rows: Rows, arm: str, name: str) -> Float64[np.ndarray, " S"]:
    """Returns a number of a world, seed by seed."""
    return np.array([row.about["seen"][name] for row in simulated.rows_of(rows, arm)])


def seen(rows: Rows, arm: str, name: str, less: str | None = None) -> Seen | None:
    """Returns a number, or how much it is more than another, with Student's interval over seeds."""
    if not simulated.rows_of(rows, arm):
        return None
    values = of(rows, arm, name)
    values = values if less is None else values - of(rows, arm, less)
    return Seen(student(values), values.size)


def _says(id: str, says: str, arm: str, name: str, expected: str, refuted_if: str, holds: Any,
          refutes: Any, less: str | None = None) -> Prediction:  # fmt: skip
    return Prediction(
        id=id, says=says, expected=expected, refuted_if=refuted_if, unit="",
        measure=partial(seen, arm=arm, name=name, less=less), holds=holds, refutes=refutes,
    )  # fmt: skip


PREDICTIONS: Final = (
    _says("P2a", "mixed judges: mean advantage by the lenient one, uncorrected", "mixed_judges",
          "naive, A", "+.138", "within .01 of 0", (0.05, inf), ((-0.01, 0.01),)),
    _says("P2b", "the same, corrected by its rates", "mixed_judges", "corrected, A", "0",
          "beyond .01", (-0.01, 0.01), ((-inf, -0.01), (0.01, inf))),
    _says("P6", "what a failure is worth by rates of 200 audits, false positives from above",
          "mixed_judges", "audited, what a failure is worth", "below 0", "above 0",
          (-inf, 0.0), ((0.0, inf),)),
    _says("P3a", "missing labels filled with 0: chance of the better action", "missing",
          "filled with 0", ".23", "above .5", (-inf, 0.5), ((0.5, inf),)),
    _says("P3b", "missing labels excluded: the same", "missing", "excluded", ".88", "below .5",
          (0.5, inf), ((-inf, 0.5),)),
    _says("P4a", "a judge that believes claims: false claims among failures, uncorrected",
          "claims", "naive", ".95, from .5", "below .5", (0.5, inf), ((-inf, 0.5),)),
    _says("P4b", "pooled rates less uncorrected", "claims", "pooled", "0 or more", "below 0",
          (-0.02, inf), ((-inf, -0.02),), "naive"),
    _says("P4c", "rates by claim: false claims among failures", "claims", "strata",
          "at most .5", "above .5", (-inf, 0.55), ((0.55, inf),)),
    _says("P4d", "rates by claim and a penalty on the tenth that a check sees", "claims",
          "strata, penalty", ".1 or less", "above .2", (-inf, 0.2), ((0.2, inf),)),
    _says("P5a", "a hack that is always accepted, J above .8: success after 2,000 steps",
          "systematic", "success, early", ".95 or more", "below .9", (0.9, inf), ((-inf, 0.9),)),
    _says("P5b", "the same after 8,000 steps", "systematic", "success, late",
          "taken over; .03 from a start that is not moved", "above .9: not taken over",
          (-inf, 0.5), ((0.9, inf),)),
    _says("P5c", "the same, with pooled rates corrected", "systematic",
          "success, pooled rates, late", "taken over as well", "above .9", (-inf, 0.5),
          ((0.9, inf),)),
    _says("P5d", "the stratum of the hack left out: success after 2,000 steps", "systematic",
          "success, stratum dropped", ".99", "below .9", (0.9, inf), ((-inf, 0.9),)),
)  # fmt: skip


EXPERIMENT: Final = Experiment(
    id="label_noise",
    title="Labels that err: what they teach, and what corrections make of it",
    source=(
        "simulated worlds of known truth; corrections after Cai et al. 2025, "
        "https://arxiv.org/abs/2510.00915, systematic errors after https://arxiv.org/abs/2605.02909"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=tuple(f"simulated-known-{arm}" for arm in WORLDS),
    work=work,
    shown=partial(
        simulated.shown,
        worlds=WORLDS,
        more="What the worlds are is said in `claims/label_noise.py`, what follows from it in "
        "[label noise](../label_noise.md).",
    ),
)

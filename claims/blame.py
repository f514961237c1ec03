"""Which tokens of a failure should take the blame? Simulated, on the credit that training runs.

Five steps, four actions in each, one of them right; an attempt passes if all five are. The policy
is a table of logits, so its success is known exactly. An attempt is a record as any other: gates,
method, blame and dose are those of a recipe (`assay.signal.signal`). All arms have the same dose.

The predictions were written before anything was run, but B11 and B12: a blame makes the negative
side smaller, and at equal dose the positive side larger. The arm `even` does that alone, to all
tokens of failures alike, and was added after the others had been seen.
"""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown
from assay.claims.measures import Seen, student
from assay.recipes import Recipe
from assay.records import Call, CallEvidence, Hint, ModelStep, Trajectory
from assay.signal import signal

STEPS: Final = 5
ACTIONS: Final = 4
RIGHT: Final = 0.63
"""Chance of the right action in each step at the start: .099 of an attempt."""
DOSE: Final = 0.25
RATE: Final = 1.0
SCALES: Final = {
    "quick": Scale(name="quick", steps=10, held_out=1, samples=8, seeds=2, seconds=1.0),
    "full": Scale(name="full", steps=60, held_out=1, samples=8, seeds=5, seconds=3.0),
}
"""`steps` updates of a group of `samples`; four runs a cell."""
RUNS: Final = 4
METHODS: Final = ("grpo", "reinforce")
BLAMES: Final = ("none", "ntf", "zvp", "fork", "preserve", "hinted", "misled", "even")
"""`misled` is `hinted` with six in ten hints about any step at all; `even` takes a fifth of the
blame on every token, as if one step of five were blamed."""
EVEN: Final[Mapping[str, Any]] = {
    "grpo": {"methods": [{"name": "grpo_positive"}, {"name": "grpo_negative", "weight": 0.2}]},
    "reinforce": {"methods": [{"name": "psr"}, {"name": "nsr", "weight": 0.2}]},
}
MISLED: Final = 0.6
Logits = Float64[np.ndarray, "T A"]


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields methods by blames, seeds outermost."""
    for seed in range(1, seeds + 1):
        for method in METHODS:
            for blame in BLAMES:
                yield Cell(env="chain", start=method, arm=blame, seed=seed)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns how often attempts pass after training, mean of `RUNS`."""
    began = time.monotonic()
    recipe: dict[str, Any] = {"method": cell.start, "dose": DOSE}
    if cell.arm == "even":
        recipe = {**EVEN[cell.start], "dose": DOSE}
    elif cell.arm != "none":
        recipe["blame"] = "hinted" if cell.arm == "misled" else cell.arm
    wrong = MISLED if cell.arm == "misled" else 0.0
    ended = [
        trained(Recipe.of(recipe), scale, np.random.default_rng([cell.seed, run]), wrong)
        for run in range(RUNS)
    ]
    about = {"scale": scale.name, "passes": round(float(np.mean(ended)), 6)}
    return Row(cell.data(), {"0": [0]}, 2, seconds=time.monotonic() - began, about=about)


def trained(recipe: Recipe, scale: Scale, rng: np.random.Generator, wrong: float) -> float:
    """Returns the chance that an attempt passes after `scale.steps` updates."""
    logits = np.zeros((STEPS, ACTIONS))
    logits[:, 0] = np.log(RIGHT * (ACTIONS - 1) / (1 - RIGHT))
    for _ in range(scale.steps):
        p = chances(logits)
        acts = (rng.random((scale.samples, STEPS, 1)) > p.cumsum(1)).sum(2)
        records = [attempt(p, each, rng, wrong, k) for k, each in enumerate(acts)]
        credit = signal(records, recipe).advantage_N.reshape(acts.shape)
        push = np.eye(ACTIONS)[acts] - p
        logits = logits + RATE * (credit[..., None] * push).mean(0)
    return float(chances(logits)[:, 0].prod())


def chances(logits: Logits) -> Logits:
    """Returns the policy, step by step."""
    grown = np.exp(logits - logits.max(1, keepdims=True))
    return grown / grown.sum(1, keepdims=True)


def attempt(
    p: Logits, acts: np.ndarray, rng: np.random.Generator, wrong: float, number: int
) -> Trajectory:
    """Returns the record of one attempt: what was likely, what was right, and a hint about the
    first wrong step, or about any."""
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(1)
    at = -1
    if acts.any():
        at = int(np.flatnonzero(acts)[0])
        if rng.random() < wrong:
            at = int(rng.integers(STEPS))
    hint = (Hint(text="look again", source="simulated"),)
    steps = tuple(
        ModelStep(
            text=f"{a}",
            token_ids=(a,),
            logprobs=(float(np.log(p[t, a])),),
            entropies=(float(entropy[t]),),
            calls=(
                Call(
                    name=f"{t}",
                    arguments=f'{{"a":{a}}}',
                    start=0,
                    end=1,
                    evidence=CallEvidence(ran=True, expert=a == 0),
                ),
            ),
            hints=hint if t == at else (),
        )
        for t, a in enumerate(acts.tolist())
    )
    return Trajectory(
        id=f"{number}", task="t", group="g", outcome=float(not acts.any()), steps=steps
    )


def over(rows: Rows, method: str, blame: str, less: str = "none") -> Seen | None:
    """Returns how much more often attempts pass than under another blame, with Student's interval
    over seeds; both have the same chance where they do the same."""
    by_seed = [
        {row.cell["seed"]: row.about["passes"] for row in rows.find("chain", method, arm)}
        for arm in (blame, less)
    ]
    mine, other = by_seed
    seeds = sorted(mine.keys() & other.keys())
    if not seeds:
        return None
    gaps = np.array([mine[seed] - other[seed] for seed in seeds])
    return Seen(student(gaps), len(seeds))


def _says(id: str, blame: str, size: str, *, method: str = "reinforce", **zones: Any) -> Prediction:
    less = zones.pop("less", "none")
    return Prediction(
        id=id,
        says=f"{method}, blame {blame} less {less}: share that passes",
        expected=size,
        refuted_if=zones.pop("refuted_if", "below 0"),
        measure=partial(over, method=method, blame=blame, less=less),
        **zones,
    )


_NEAR: Final[Mapping[str, Any]] = {
    "holds": (-0.05, 0.05), "refutes": ((-inf, -0.05), (0.05, inf)),
    "refuted_if": "further than .05 from 0",
}  # fmt: skip
PREDICTIONS: Final = (
    _says("B1", "hinted", "+.2: the wrong step alone is pushed down"),
    _says("B2", "preserve", "+.2: right steps are spared"),
    _says("B3", "ntf", "+.1: what was least likely was wrong"),
    _says("B4", "zvp", "0: all steps are equally sure at the start", **_NEAR),
    _says("B5", "fork", "0: as above", **_NEAR),
    _says("B6", "misled", "+.05: six hints in ten are about any step"),
    _says("B7", "hinted", "+.1", method="grpo"),
    _says("B8", "preserve", "+.1", method="grpo"),
    _says("B9", "ntf", "+.05", method="grpo"),
    _says("B10", "fork", "0: they say the opposite of each other", less="zvp", **_NEAR),
    _says(
        "B11", "ntf", "above 0: where the blame falls tells more than how much it is", less="even"
    ),
    _says("B12", "ntf", "above 0, as B11", method="grpo", less="even"),
)


def shown(rows: Rows) -> Shown:
    """Returns the page: what was run, and every arm."""
    seeds = max(len(rows.find("chain", m, b)) for m in METHODS for b in BLAMES)
    ran = (
        f"Simulated: {seeds} seeds of {RUNS} runs, {sum(r.seconds for r in rows.rows):.0f} seconds "
        f"of one core. {STEPS} steps of {ACTIONS} actions, one right; {RIGHT**STEPS:.3f} of the "
        f"attempts pass at the start. Every arm has dose {DOSE:g}. Blames are those of "
        "[a recipe](../methods.md#blame)."
    )
    return Shown(ran=ran, tables="\n".join(_tables(rows)))


def _tables(rows: Rows) -> Iterator[str]:
    yield "\n| method | blame | passes, mean | least | most |\n|---|---|---|---|---|"
    for method in METHODS:
        for blame in BLAMES:
            found = [row.about["passes"] for row in rows.find("chain", method, blame)]
            if found:
                told = " | ".join(f"{v:.3f}" for v in (np.mean(found), min(found), max(found)))
                yield f"| {method} | {blame} | {told} |"


EXPERIMENT: Final = Experiment(
    id="blame",
    title="Which tokens of a failure should take the blame?",
    source=(
        "a simulated chain of five decisions; blames after https://arxiv.org/abs/2606.17250, "
        "https://arxiv.org/abs/2509.21880, https://arxiv.org/abs/2506.01939, "
        "https://arxiv.org/abs/2512.04220 and https://arxiv.org/abs/2601.20802"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("chain-grpo-none", "chain-reinforce-hinted"),
    work=work,
    shown=shown,
)

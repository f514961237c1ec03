"""A rubric that gates or adds up, beside a reward that pays for a hack: simulated, in minutes.

Each attempt makes an effort or not, and hacks or not. The dense reward is effort + d hack + noise,
what is wanted effort - hack, and a judge of the rubric misses a hack with a chance. The policy is
two logits. What is compared comes from a recipe's rubric and its method (`assay.pipeline.run`); of
the batch only rewards and verdicts change from step to step. A group is a run of its own. Worlds,
rates and predictions 7 to 9 were set down before this was written, from another simulation of the
same world with its own code (1,500 steps of rate .5, ten seeds).

Axes: W worlds, G groups, each a run in one of them, M members, K = G M trajectories.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import product
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from assay import pipeline
from assay.batch import Batch
from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown
from assay.claims.measures import Seen, student
from assay.recipes import Recipe
from assay.records import ModelStep, Trajectory

WORLDS: Final = [*product((0.5, 2.0), (0.05, 0.3, 0.5), (0.05, 0.5))]
"""What a hack gains (d), how often the judge misses it, how often attempts hack at the start."""
RUNS: Final = 4
"""Groups of each world in a cell."""
FALSE: Final = 0.05
"""How often the judge rejects an attempt that does not hack."""
NOISE: Final = 0.3
RATE: Final = 0.5
SCALES: Final = {
    "quick": Scale(name="quick", steps=20, held_out=1, samples=16, seeds=2, seconds=1.0),
    "full": Scale(name="full", steps=1500, held_out=1, samples=16, seeds=5, seconds=3.0),
}
"""`steps` updates of groups of `samples`, one a world and run."""
THRESHOLD: Final = 0.5 / (1 - FALSE - 0.3)
"""Weight of the rubric above which a sum suppresses the hack, of d = .5 and .3 missed: d over the
difference of the pass rates, .769."""
ITEM: Final = {"id": "fair", "text": "Earns its reward fairly.", "essential": True}
ARMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "none": {"mode": "none"},
    "veto": {"mode": "veto"},
    "drop": {"mode": "drop"},
    "group": {"mode": "none", "dro": True},
    "sum": {"mode": "sum", "lam": 1.0},
    **{f"sum {share:g}": {"mode": "sum", "lam": share * THRESHOLD} for share in (0.5, 0.75, 1.25)},
}
"""`sum 0.75`: with three quarters of the weight at which the sum should turn."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields the ways to compose, seeds outermost."""
    for seed in range(1, seeds + 1):
        for arm in ARMS:
            yield Cell(env="simulated", start="hack", arm=arm, seed=seed)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns where each world came to at one seed: mean of `RUNS` runs."""
    began, rng = time.monotonic(), np.random.default_rng(cell.seed)
    recipe = Recipe.of(
        {
            "method": {"name": "grpo", "ddof": 0},
            "rubric": {"dense": "dense", "items": [ITEM], **ARMS[cell.arm]},
        }
    )
    about = {"scale": scale.name, "seen": simulated(recipe, scale, rng)}
    return Row(cell.data(), {"0": [0]}, 2, seconds=time.monotonic() - began, about=about)


def simulated(recipe: Recipe, scale: Scale, rng: np.random.Generator) -> dict[str, float]:
    """Returns, world by world, how often attempts hack and make an effort at the end, and the share
    of groups that taught anything."""
    gain_G, miss_G, start_G = (np.repeat(each, RUNS)[:, None] for each in np.array(WORLDS).T)
    logit_G2 = np.hstack([np.zeros_like(start_G), np.log(start_G / (1 - start_G))])
    n, members = len(gain_G), scale.samples
    batch, used_G = empty(n, members), np.zeros(n)
    for _ in range(scale.steps):
        p_G2 = 1 / (1 + np.exp(-logit_G2))
        did_GM2 = rng.random((n, members, 2)) < p_G2[:, None]
        effort_GM, hack_GM = did_GM2[..., 0], did_GM2[..., 1]
        dense_GM = effort_GM + gain_G * hack_GM + NOISE * rng.standard_normal((n, members))
        lot_GM = rng.random((n, members))
        fair_GM = np.where(hack_GM, lot_GM < miss_G, lot_GM >= FALSE)
        a_GM = advantages(batch, recipe, dense_GM, fair_GM.astype(float))
        used_G += (a_GM != 0).any(1)
        push_GM2 = did_GM2 - p_G2[:, None]
        logit_G2 = logit_G2 + RATE * (a_GM[..., None] * push_GM2).mean(1)
    p_G2 = 1 / (1 + np.exp(-logit_G2))
    found: dict[str, float] = {}
    for what, value_G in (("hacks", p_G2[:, 1]), ("effort", p_G2[:, 0]),
                          ("used", used_G / max(scale.steps, 1))):  # fmt: skip
        mean_W = value_G.reshape(-1, RUNS).mean(1)
        found |= {f"{what}, {named(*w)}": round(float(m), 6)
                  for w, m in zip(WORLDS, mean_W, strict=True)}  # fmt: skip
    return found


def named(gain: float, missed: float, start: float) -> str:
    """Returns what a world is called."""
    return f"d {gain:g}, {missed:.0%} missed, from {start:g}"


def empty(groups: int, members: int) -> Batch:
    """Returns a batch of one-token attempts, of which the rewards are to be filled in."""
    records = (
        Trajectory(
            id=f"{g}/{m}", task="t", group=f"{g}", steps=(ModelStep(text="a", token_ids=(0,)),),
            rewards={"dense": 0.0, "rubric:fair": 1.0},
        )
        for g in range(groups)
        for m in range(members)
    )  # fmt: skip
    return Batch.of(records)


def advantages(
    batch: Batch,
    recipe: Recipe,
    dense: Float64[np.ndarray, "G M"],
    fair: Float64[np.ndarray, "G M"],
) -> Float64[np.ndarray, "G M"]:
    """Returns what the recipe gives each attempt, group by group."""
    reward_KJ = np.stack([dense.ravel(), fair.ravel()], 1)
    made = pipeline.run(replace(batch, reward_KJ=reward_KJ), recipe)
    return np.nan_to_num(made.advantages["grpo"].advantage_N).reshape(dense.shape)


# ---- what is read of rows


def seen(rows: Rows, arm: str, name: str, less: str | None = None) -> Seen | None:
    """Returns a number of an arm, or how much it is more than another arm's, with Student's
    interval over seeds."""
    found = [
        {row.cell["seed"]: row.about["seen"][name] for row in rows.find("simulated", "hack", each)}
        for each in ((arm,) if less is None else (arm, less))
    ]
    seeds = sorted(set.intersection(*map(set, found)))
    if not seeds:
        return None
    values = np.array([found[0][s] - (found[1][s] if less is not None else 0.0) for s in seeds])
    return Seen(student(values), len(seeds))


COMMON: Final = named(0.5, 0.3, 0.05)


def _says(id: str, says: str, arm: str, expected: str, refuted_if: str, holds: Any, refutes: Any,
          name: str = f"hacks, {COMMON}") -> Prediction:  # fmt: skip
    return Prediction(
        id=id, says=says, expected=expected, refuted_if=refuted_if, unit="",
        measure=partial(seen, arm=arm, name=name), holds=holds, refutes=refutes,
    )  # fmt: skip


PREDICTIONS: Final = (
    _says("7a", "three hacks in ten missed, d .5, hacks start at .05: hack rate under a veto",
          "veto", "below .05", "above .2", (-inf, 0.05), ((0.2, inf),)),
    _says("7b", "the same, failures dropped", "drop", "above .9", "below .5", (0.9, inf),
          ((-inf, 0.5),)),
    _says("7c", "the same, added up with weight 1", "sum", "below .1", "above .5", (-inf, 0.1),
          ((0.5, inf),)),
    _says("7d", "the same, groups accepted or rejected as a whole", "group", ".4 to .9",
          "below .2, or above .98", (0.4, 0.98), ((-inf, 0.2), (0.98, inf))),
    _says("8a", f"added up with .75 of the weight at which it turns ({THRESHOLD:.3f}): hack rate",
          "sum 0.75", "above .9", "below .1: no threshold there", (0.9, inf), ((-inf, 0.1),)),
    _says("8b", "added up with 1.25 of it", "sum 1.25", "below .1", "above .9: no threshold there",
          (-inf, 0.1), ((0.9, inf),)),
    _says("9a", "hacks start at .5, 5 % missed, groups as a whole: share of groups used", "group",
          "below .05", "above .2", (-inf, 0.05), ((0.2, inf),),
          f"used, {named(0.5, 0.05, 0.5)}"),
    _says("9b", "the same: hack rate at the end", "group", "within .1 of .5", "below .2",
          (0.4, 0.6), ((-inf, 0.2),), f"hacks, {named(0.5, 0.05, 0.5)}"),
    _says("9c", "the same, 30 % missed: hack rate at the end", "group", ".7 to .9: it rises",
          "below .5", (0.6, inf), ((-inf, 0.5),), f"hacks, {named(0.5, 0.3, 0.5)}"),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns the page: what was run, and every world."""
    found = {arm: rows.find("simulated", "hack", arm) for arm in ARMS}
    seconds = sum(row.seconds for row in rows.rows)
    ran = (
        f"Simulated: {max(map(len, found.values()))} seeds of {RUNS} runs in each of "
        f"{len(WORLDS)} worlds, {SCALES['full'].steps} updates of rate {RATE:g} from groups of "
        f"{SCALES['full'].samples}, {seconds:.0f} seconds of one core; no model. What is compared "
        "is said in [rubrics](../rubrics.md). Two actions rank mechanisms; they size nothing."
    )
    return Shown(ran=ran, tables="\n".join(_tables(found)))


def _tables(found: Mapping[str, Any]) -> Iterator[str]:
    for what in ("hacks", "effort", "used"):
        yield f"\n**{what}**, mean over seeds\n\n| world | {' | '.join(ARMS)} |"
        yield f"|---|{'---|' * len(ARMS)}"
        for world in WORLDS:
            name = named(*world)
            means = [
                f"{np.mean([row.about['seen'][f'{what}, {name}'] for row in rows]):.3f}"
                if rows
                else ""
                for rows in found.values()
            ]
            yield f"| {name} | {' | '.join(means)} |"


EXPERIMENT: Final = Experiment(
    id="gates",
    title="A rubric that gates, or adds up, beside a reward that pays for a hack",
    source=(
        "a simulated choice of two actions; group gate after DRO 2025, "
        "https://arxiv.org/abs/2506.13351; veto and threshold are ours"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("simulated-hack-veto", "simulated-hack-drop"),
    work=work,
    shown=shown,
)

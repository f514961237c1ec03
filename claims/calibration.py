"""Does a score of stated confidence teach honesty, and what does it cost?

Three kinds of cells. `table`: ten prompts that are right with a known chance if tried, never if
given up, and a table of logits for trying and for what is stated; it starts honest and tries half
of the time. `oracle`: confidence that is exactly right, measured. `lookup`: the shipped policy.

The predictions were written before anything was run, but that P10 two reads prompts below .4, not
.45: reworded after its cells had run and before they were read.
"""

import shutil
import time
from collections.abc import Iterator
from functools import partial
from math import inf
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims.cells import Arm, Cell, Scale
from assay.claims.experiment import Shown
from assay.claims.measures import Seen, over_seeds
from assay.evaluate.calibration import ece
from assay.kernels.proper import scored

SCALES: Final = {
    "quick": Scale(
        name="quick", steps=2, prompts=4, group=8, held_out=4, samples=4, seeds=1,
        learning_rate=5e-4, seconds=5.0,
    ),
    "full": Scale(
        name="full", steps=30, prompts=16, group=8, held_out=64, samples=16, seeds=3,
        learning_rate=5e-4, seconds=100.0,
    ),
}  # fmt: skip
"""`steps` and so on are of the shipped policy; the table's are below."""
CHANCES: Final = np.arange(0.05, 1.0, 0.1)
"""Of being right, by prompt of the table."""
LEVELS: Final = np.linspace(0.0, 1.0, 11)
"""That can be stated."""
UPDATES: Final = 300
"""Of each prompt, of a group of 16."""
RATE: Final = 0.3
SEEDS: Final = 5
"""Of the table and the oracle."""
RULES: Final = ("brier-0.5", "brier-1", "brier-2", "log-1")
ARMS: Final = tuple(
    Arm(name=name, recipe={"method": name}, tables={}) for name in ("dr_grpo", "rlcr", "dcpo")
)
"""dr_grpo is rlcr without its Brier term: centred, not scaled."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields what is simulated, then the shipped policy, seed by seed."""
    for seed in range(1, SEEDS + 1):
        for rule in RULES:
            yield Cell(env="table", start="honest", arm=rule, seed=seed)
        yield Cell(env="oracle", start="n100", arm="honest", seed=seed)
    for seed in range(1, seeds + 1):
        for arm in ARMS:
            yield Cell.of(arm, env="lookup", start="even", seed=seed, curve=False)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what a cell comes to."""
    began = time.monotonic()
    if cell.env == "table":
        about = {"gives_up": [round(float(p), 4) for p in tabled(cell.arm, cell.seed)]}
        row = Row(cell.data(), {"0": [0]}, 2, about=about)
    elif cell.env == "oracle":
        row = Row(cell.data(), {"0": [0]}, 2, about={"ece": round(honest_ece(100, cell.seed), 4)})
    else:
        row = trained(cell, scale, folder)
    about = {"scale": scale.name, **row.about}
    return Row(
        **{name: getattr(row, name) for name in ("cell", "passed", "samples", "tokens", "spent")},
        seconds=time.monotonic() - began,
        about=about,
    )


def tabled(rule: str, seed: int) -> Float64[np.ndarray, " P"]:
    """Returns how often each prompt is given up after training under a rule and weight."""
    name, weight = rule.split("-")
    rng, n = np.random.default_rng([seed, RULES.index(rule)]), CHANCES.size
    tries, at = np.zeros((n, 2)), np.arange(n)
    states = -80.0 * (LEVELS - np.stack([CHANCES, np.zeros(n)], 1)[..., None]) ** 2
    for _ in range(UPDATES):
        p, q = shares(tries), shares(states)
        gave = (rng.random((n, 16)) > p[:, :1]).astype(int)
        of = q[at[:, None], gave]
        level = np.minimum((rng.random((n, 16, 1)) > of.cumsum(2)).sum(2), LEVELS.size - 1)
        right = (rng.random((n, 16)) < CHANCES[:, None]) & (gave == 0)
        reward = paid(name, float(weight), right, LEVELS[level])
        push = (reward - reward.mean(1, keepdims=True)) / (reward.std(1, keepdims=True) + 1e-6)
        tries += RATE * (push[..., None] * (np.eye(2)[gave] - p[:, None])).mean(1)
        told = push[..., None] * (np.eye(LEVELS.size)[level] - of)
        for way in (0, 1):
            states[:, way] += RATE * (told * (gave == way)[..., None]).mean(1)
    return shares(tries)[:, 1]


def shares(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of logits, over the last axis."""
    grown = np.exp(logits - logits.max(-1, keepdims=True))
    return grown / grown.sum(-1, keepdims=True)


def paid(rule: str, weight: float, right: np.ndarray, stated: np.ndarray) -> np.ndarray:
    """Returns what answers earn; a log score of 0 counts as one of 1/1000."""
    if rule == "brier":
        return scored(right.ravel(), stated.ravel(), weight).reshape(right.shape)
    return right + weight * np.log(np.maximum(np.where(right, stated, 1.0 - stated), 1e-3))


def honest_ece(n: int, seed: int) -> float:
    """Returns the mean calibration error of n answers that are exactly as sure as they are right,
    over a thousand draws of confidence, uniform in [0, 1]."""
    rng = np.random.default_rng([seed, n])
    drawn = (rng.random((2, n)) for _ in range(1000))
    return float(np.mean([ece(q, y < q) for q, y in drawn]))


def trained(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what training comes to on held-out tasks, and what is stated there."""
    import torch

    from assay.evaluate.run import Sampled, held_out
    from assay.rollout.backends.local import Transformers
    from assay.runs.config import parsed
    from assay.runs.start import opened, start

    torch.set_num_threads(1)
    config, where = parsed(cell.tables(scale)), folder / cell.key
    shutil.rmtree(where, ignore_errors=True)
    run = start(config, where, seed=cell.seed)
    rows = list(run.rows("metrics.jsonl"))
    step = rows[-1]["step"]
    model, tokenizer = opened(config, run.checkpoints / f"step_{step}")
    played = held_out(
        config,
        Transformers(model, tokenizer),
        prompts=scale.held_out,
        samples=scale.samples,
        seed=(cell.seed, ARMS.index(next(a for a in ARMS if a.name == cell.arm))),
    )
    found = Sampled.of(played, scale.held_out, 1.0)
    shutil.rmtree(run.checkpoints)
    seen = found.calibration(np.random.default_rng(cell.seed), None) or {}
    kept = ("stated", "brier", "ece", "ece_null", "auroc", "spread", "reliability", "recalibrated")
    return Row(
        cell.data(),
        {str(step): found.passed_G.tolist()},
        scale.samples,
        tokens=int(rows[-1]["tokens_generated"]),
        about={name: seen.get(name) for name in kept},
    )


def given_up(rows: Rows, rule: str, below: float) -> Seen | None:
    """Returns how often prompts below a chance are given up."""
    known = rows.find("table", "honest", rule)
    return over_seeds([float(np.mean(np.array(r.about["gives_up"])[below > CHANCES]))
                       for r in known])  # fmt: skip


def oracle(rows: Rows) -> Seen | None:
    """Returns the calibration error of a hundred honest answers."""
    return over_seeds([row.about["ece"] for row in rows.find("oracle", "n100", "honest")])


def value(row: Row, key: str) -> float:
    """Returns a number of a row: "passed", "excess" (calibration error less twice its null band),
    or one of its own."""
    if key == "passed":
        return float(np.mean(np.array(row.last) / row.samples))
    if key == "excess":
        return row.about["ece"] - 2.0 * row.about["ece_null"]["upper"]
    return row.about[key]


def of_arm(rows: Rows, arm: str, key: str, less: str | None = None) -> Seen | None:
    """Returns a number of an arm of the shipped policy, less that of another at the same seeds."""
    own = {row.cell["seed"]: value(row, key) for row in rows.find("lookup", "even", arm)}
    if less is not None:
        other = {row.cell["seed"]: value(row, key) for row in rows.find("lookup", "even", less)}
        own = {seed: own[seed] - other[seed] for seed in own.keys() & other.keys()}
    return over_seeds([own[seed] for seed in sorted(own)])


_told: Final = Prediction.of
PREDICTIONS: Final = (
    Prediction(
        id="P25",
        says="a hundred exactly honest answers show a calibration error",
        expected=".08 to .12",
        refuted_if="below .05",
        measure=oracle,
        holds=(0.08, 0.12),
        refutes=((0.0, 0.05),),
    ),
    _told("P10 half", "Brier weight .5: prompts below .2 given up", "below .1", "above .5",
          partial(given_up, rule="brier-0.5", below=0.2), (-inf, 0.1), (0.5, inf)),
    _told("P10 one", "Brier weight 1: prompts below .2 given up", "above .5", "below .1",
          partial(given_up, rule="brier-1", below=0.2), (0.5, inf), (-inf, 0.1)),
    _told("P10 two", "Brier weight 2: prompts below .4 given up", "above .8", "below .1",
          partial(given_up, rule="brier-2", below=0.44), (0.8, inf), (-inf, 0.1)),
    _told("P10 log", "log score: prompts below .6 given up", "above .8", "below .1",
          partial(given_up, rule="log-1", below=0.6), (0.8, inf), (-inf, 0.1)),
    _told("P11 error", "rlcr less dr_grpo: calibration error", "-.2", "above 0",
          partial(of_arm, arm="rlcr", key="ece", less="dr_grpo"), (-inf, 0.0), (0.0, inf)),
    _told("P11 apart", "rlcr: AUROC of what is stated", "above .75", "below .6",
          partial(of_arm, arm="rlcr", key="auroc"), (0.6, inf), (-inf, 0.6)),
    _told("P12 dcpo", "dcpo less dr_grpo: share that passes", "within one point", "below -1 point",
          partial(of_arm, arm="dcpo", key="passed", less="dr_grpo"), (-0.01, inf), (-inf, -0.01)),
    _told("figure 1", "rlcr: calibration error less twice what honest answers stay below",
          "below 0", "above 0", partial(of_arm, arm="rlcr", key="excess"), (-inf, 0.0), (0.0, inf)),
    _told("figure 2", "rlcr less dr_grpo: share that passes", "within one point",
          "below -1 point", partial(of_arm, arm="rlcr", key="passed", less="dr_grpo"),
          (-0.01, inf), (-inf, -0.01)),
    _told("figure 3", "dcpo: calibration error less twice what honest answers stay below",
          "below 0", "above 0", partial(of_arm, arm="dcpo", key="excess"), (-inf, 0.0), (0.0, inf)),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns what was run, and its numbers."""
    spent = sum(row.seconds for row in rows.rows)
    ran = (
        f"{spent:.0f} seconds of one core. Table: {SEEDS} seeds, {UPDATES} updates of 16 attempts "
        "a prompt, advantages divided by the group's deviation. Shipped policy: "
        "`lookup/even`, 30 steps of 16 tasks by 8 attempts, measured on 64 held-out tasks by 16."
    )
    return Shown(ran=ran, tables="\n".join([*_policies(rows), *_table(rows)]))


def _policies(rows: Rows) -> Iterator[str]:
    yield "\n| arm | seeds | passes | states | Brier | error | of honest, at most | AUROC |"
    yield "|---|---|---|---|---|---|---|---|"
    for arm in ARMS:
        if found := rows.find("lookup", "even", arm.name):
            of = [np.mean([value(row, key) for row in found])
                  for key in ("passed", "stated", "brier", "ece")]  # fmt: skip
            band = np.mean([row.about["ece_null"]["upper"] for row in found])
            apart = np.mean([row.about["auroc"] for row in found])
            states = of[1] / (len(found[0].last) * found[0].samples)
            yield (
                f"| {arm.name} | {len(found)} | {of[0]:.3f} | {states:.3f} | {of[2]:.3f} | "
                f"{of[3]:.3f} | {band:.3f} | {apart:.3f} |"
            )


def _table(rows: Rows) -> Iterator[str]:
    yield "\nGiven up, by chance of being right:\n"
    yield f"| rule | {' | '.join(f'{p:.2f}' for p in CHANCES)} |"
    yield "|---" * (CHANCES.size + 1) + "|"
    for rule in RULES:
        if found := rows.find("table", "honest", rule):
            mean = np.mean([row.about["gives_up"] for row in found], axis=0)
            yield f"| {rule} | {' | '.join(f'{v:.2f}' for v in mean)} |"


EXPERIMENT: Final = Experiment(
    id="calibration",
    title="Does a score of stated confidence teach honesty, and what does it cost?",
    source=(
        "RLCR, https://arxiv.org/abs/2507.16806, and DCPO, https://arxiv.org/abs/2603.09117, on "
        "the shipped policy; the rules also in a table of ten prompts"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("table-honest-brier-0.5", "oracle-n100-honest", "lookup-even-rlcr"),
    work=work,
    shown=shown,
    unread=(
        "Thirty steps take the policy from .45 to .83, and what it states follows later. Two "
        "numbers fitted afterwards on other tasks leave an error of .003 or less in every run but "
        "one of dcpo (.053): what is stated is shifted, and tells no right answer from a wrong "
        "one. Not run: accuracy at equal entropy, other levels and families, confidence out of "
        "domain (prediction 13: [confidence](confidence.md)), the paper's weight of 1 on the "
        "shipped policy, and the shipped "
        "recipe's hundred steps"
    ),
)

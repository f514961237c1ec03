"""Does RLAG bring what a context says into closed book? Arms on the same facts, equal tokens.

The world `almanac`: 128 made-up facts, questions of four options. Every arm reads as many tokens,
in scoring and in training together, and is measured without any context on questions with other
wrong options. Of `wrong`, 30 % of the facts have a line that names another option.

Predictions 16 and 17, and the figure, were written before anything was trained. Seed 0 was used to
see what a run costs and at how many tokens arms can differ.
"""

import time
from collections.abc import Iterator
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from assay.claims import Arm, Experiment, Prediction, Row, Rows
from assay.claims import measures as m
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown, each_seed
from assay.claims.measures import Seen
from assay.evaluate.intervals import paired_difference

SCALES: Final = {
    "quick": Scale(
        name="quick", steps=16, prompts=16, checkpoints=1, held_out=32, samples=1, seeds=1,
        learning_rate=3e-4, seconds=10.0,
    ),
    "full": Scale(
        name="full", steps=1600, prompts=16, checkpoints=1, held_out=256, samples=1, seeds=5,
        learning_rate=3e-4, seconds=25.0,
    ),
}  # fmt: skip
"""full: a run ends by its budget of tokens, before its steps."""
TOKENS: Final = 60_000
FIRST: Final = 1
"""The first seed that counts."""
WRONG: Final = 0.3
ENV: Final = "almanac"
RIGHT, DISTILLED = {"filter": "right"}, {"distilled": 0.5}


def _arm(name: str, **rlag: Any) -> Arm:
    tables = {"rlag": {"kind": "rlag", "slice": 128, **rlag}}
    return Arm(name=name, recipe={"method": "grpo"}, tables=tables)


CLEAN: Final = (
    _arm("cpt", kind="cpt"),
    _arm("released"),
    _arm("no-augmented", augmented=0.0),
    _arm("distilled", **DISTILLED),
    _arm("corrected", **DISTILLED, **RIGHT),
    _arm("random", **DISTILLED, chosen="random"),
)
MISLED: Final = (_arm("distilled", **DISTILLED), _arm("corrected", **DISTILLED, **RIGHT))


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields bases, then seed by seed all arms."""
    full = scale.name == "full"
    worlds = {"clean": (CLEAN, 0.0), "wrong": (MISLED, WRONG)}
    for start, (_, wrong) in worlds.items():
        more = {"env": {"name": ENV, "dials": {"wrong": wrong}}}
        yield Cell(env=ENV, start=start, arm="base", seed=0, recipe={"method": "grpo"}, more=more)
    for seed in range(FIRST, FIRST + seeds):
        for start, (arms, wrong) in worlds.items():
            for arm in arms:
                made = arm.within(TOKENS if full else 0)
                env = {"name": ENV, "dials": {"wrong": wrong}}
                made = Arm(name=made.name, recipe=made.recipe, tables={**made.tables, "env": env})
                yield Cell.of(made, env=ENV, start=start, seed=seed, curve=False)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what a cell comes to: of each held-out question 1 where closed book is right."""
    import shutil

    import torch

    from assay.evaluate.run import checkpoint_of
    from assay.rollout.questions import questions, right, scored
    from assay.runs.config import parsed
    from assay.runs.sampling import of_config
    from assay.runs.start import opened, start
    from assay.world import load

    torch.set_num_threads(1)
    began, config = time.monotonic(), parsed(cell.tables(scale))
    checkpoint, step, tokens = None, 0, 0
    if cell.arm != "base":
        shutil.rmtree(folder / cell.key, ignore_errors=True)
        run = start(config, folder / cell.key, seed=cell.seed)
        checkpoint, step = checkpoint_of(run, None), int(run.about["step"])
        tokens = [*run.rows("ledger.jsonl")][-1]["total"]["tokens"]
    model, tokenizer = opened(config, checkpoint)
    make = partial(load, ENV, **config.env.dials)
    first = config.eval.first_task
    asked = questions(
        make,
        range(first, first + scale.held_out),
        of_config(config, tokenizer, make(), model),
    )
    found = scored(model, asked)
    if checkpoint is not None:
        shutil.rmtree(checkpoint.parent)
    told = [each.options[each.right].removeprefix("=") in each.context for each in asked]
    about = {
        "scale": scale.name,
        "open": right(found.open_QO, asked).tolist(),
        "misled": [int(not each) for each in told],
        "steps": step,
    }
    return Row(
        cell.data(), {str(step): right(found.closed_QO, asked).tolist()}, 1, tokens=tokens,
        seconds=time.monotonic() - began, about=about,
    )  # fmt: skip


def _closed(rows: Rows, arm: str, start: str) -> Float64[np.ndarray, "S G"] | None:
    found = rows.find(ENV, start, arm)
    return np.array([row.last for row in found], float) if found else None


def gap(rows: Rows, first: str, second: str, start: str = "clean") -> Seen | None:
    """Returns closed book of the second arm less that of the first, seeds and questions
    resampled."""
    one, other = _closed(rows, first, start), _closed(rows, second, start)
    if one is None or other is None:
        return None
    count = min(len(one), len(other))
    return _seen(one[:count], other[:count])


def misled(rows: Rows, first: str) -> Seen | None:
    """Returns how many more of the questions whose line misleads are wrong without a filter."""
    one, other = _closed(rows, first, "wrong"), _closed(rows, "distilled", "wrong")
    if one is None or other is None:
        return None
    one = np.repeat(one, len(other), 0) if first == "base" else one[: len(other)]
    which = _misled(rows)
    return _seen(1.0 - one[:, which], 1.0 - other[: len(one)][:, which])


def _misled(rows: Rows) -> np.ndarray:
    return np.flatnonzero(rows.find(ENV, "wrong", "base")[0].about["misled"])


def _seen(first: np.ndarray, second: np.ndarray) -> Seen:
    rng = np.random.default_rng(0)
    return Seen(paired_difference(first, second, rng=rng, draws=m.DRAWS), len(first))


_says: Final = Prediction.of
PREDICTIONS: Final = (
    _says("figure", "corrected RLAG less continued pre-training, closed book", "above 0",
          "below 0", partial(gap, first="cpt", second="corrected")),
    _says("16 a", "RLAG as released less without its augmented term", "within 2 points",
          "further than 2 points", partial(gap, first="no-augmented", second="released"),
          (-0.02, 0.02), (-inf, -0.02), (0.02, inf)),
    _says("16 b", "as released less continued pre-training", "little, below +5 points",
          "above +5 points", partial(gap, first="cpt", second="released"),
          (-inf, 0.05), (0.05, inf)),
    _says("16 c", "with the chosen option distilled less as released", "+5 to +20 points",
          "below +5 points", partial(gap, first="released", second="distilled"),
          (0.05, inf), (-inf, 0.05)),
    _says("17", "where lines mislead, 30 % of them: error on those without a filter less with one",
          "+10 to +25 points", "below +5 points", partial(misled, first="corrected"),
          (0.05, inf), (-inf, 0.05)),
    _says("17 b", "the same less the error of the untrained policy", "+10 to +25 points",
          "below +5 points", partial(misled, first="base"), (0.05, inf), (-inf, 0.05)),
    _says("control", "corrected less an option drawn at random as chosen", "above 0", "below 0",
          partial(gap, first="random", second="corrected")),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns what was run, and closed and open book of every arm."""
    spent, trained = sum(row.seconds for row in rows.rows), [r for r in rows.rows if r.tokens]
    read = [row.tokens for row in trained]
    ran = (
        f"{len({row.cell['seed'] for row in trained})} seeds, {spent / 60:.0f} minutes in all: "
        f"the shipped policy on [almanac](../rlag.md), {min(read, default=0):,} to "
        f"{max(read, default=0):,} tokens read by each run. Measured on the same "
        f"{len(rows.rows[0].last)} questions, each of four options."
    )
    return Shown(ran=ran, tables="\n".join(_tables(rows)))


def _tables(rows: Rows) -> Iterator[str]:
    yield "\nShare of questions whose likeliest option is right, mean over seeds (each seed):\n"
    yield "| lines | arm | closed book | where lines mislead | open book | steps |"
    yield "|---|---|---|---|---|---|"
    for start, arms in (("clean", CLEAN), ("wrong", MISLED)):
        for arm in ("base", *(each.name for each in arms)):
            found = rows.find(ENV, start, arm)
            if not found:
                continue
            opened = np.mean([row.about["open"] for row in found])
            which = np.flatnonzero(found[0].about["misled"])
            closed = np.array([row.last for row in found], float)
            lines = "right" if start == "clean" else f"{WRONG:.0%} wrong"
            bad = f"{closed[:, which].mean():.3f}" if which.size else "-"
            steps = f"{np.mean([row.about['steps'] for row in found]):.0f}"
            told = lines, arm, each_seed(closed.mean(1)), bad, f"{opened:.3f}", steps
            yield f"| {' | '.join(told)} |"


EXPERIMENT: Final = Experiment(
    id="rlag",
    title="Does RLAG bring what a context says into closed book?",
    source="RLAG, https://arxiv.org/abs/2509.20162, as in its code, and corrected",
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("almanac-clean-base", "almanac-clean-cpt", "almanac-clean-corrected"),
    work=work,
    shown=shown,
)

"""Hints that err, trained: what a teacher that is told them does to the policy, arm by arm.

P7, P7b and P8 were written before anything was trained, for a simulation (docs/hint_errors.md);
here the shipped policy is its own teacher. Seed 0 was used to see what a run costs and whether
outcomes alone learn at this budget.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from random import Random
from typing import Any, Final

from assay.claims import Arm, Experiment, Prediction, Row
from assay.claims import measures as m
from assay.claims.cells import Cell, Scale
from assay.rollout.recording import task_name
from assay.world import load
from assay.world.environment import Environment

SCALES: Final = {
    "quick": Scale(
        name="quick", steps=2, prompts=4, group=4, checkpoints=1, held_out=8, samples=8, seeds=1,
        seconds=10.0,
    ),
    "full": Scale(
        name="full", steps=60, prompts=16, group=8, checkpoints=1, samples=16, seeds=3,
        learning_rate=3e-4, seconds=120.0,
    ),
}  # fmt: skip
"""full: a run ends by its budget of tokens, before its steps."""
TOKENS: Final = 100_000
"""That a run may sample. What a teacher reads is not sampled and comes on top."""
FIRST: Final = 1
"""The first seed that counts."""
TURNS: Final = 6
"""A hint is given to each of so many turns of a task."""
POOL: Final = 2048
ENV: Final = {"dials": {"hops": 2}}
"""Two calls under names that the policy has never seen, of lookup/dead's three: of 96 attempts at
the start 1 passes, told the right tools 17, told wrong ones none."""
SAFETY: Final = {"cap": 3.0}


def _taught(name: str, recipe: Any, wrong: float = 0.0, says: str = "right", **more: Any) -> Arm:
    """Returns an arm with a teacher; `says` and `wrong` name the file of hints, see `work`."""
    hints = {"says": says, "wrong": wrong, "admit": more.pop("admit", False)}
    feedback = {"kind": "opd", **more}
    tables = {"env": ENV, "hints": hints, "feedback": feedback, "train": {"pool": POOL}}
    return Arm(name=name, recipe={"method": recipe, "safety": SAFETY}, tables=tables)


def _alone(name: str, recipe: dict[str, Any]) -> Arm:
    tables = {"env": ENV, "train": {"pool": POOL}}
    return Arm(name=name, recipe={"safety": SAFETY, **recipe}, tables=tables)


def _shares(name: str, recipe: Any, shares: tuple[float, ...]) -> list[Arm]:
    """Returns an arm for each share of tasks whose hint is wrong."""
    return [_taught(f"{name}-{share:g}", recipe, share) for share in shares]


ALONE: Final = (
    _alone("grpo", {"method": "grpo"}),
    _alone("low_logprob", {"method": "low_logprob"}),
)
BY_GROUP: Final = {"name": "additive", "compare": "group"}
OWN: Final = {"name": "routing", "against": "policy", "bound": 100.0}
ARMS: Final = (
    *ALONE,
    *_shares("agreement", "agreement", (0.0, 0.3, 0.9)),
    *_shares("additive", BY_GROUP, (0.0, 0.3)),
    *_shares("routing", OWN, (0.0,)),
    _taught("neutral", BY_GROUP, says="neutral"),
    _taught("shuffled", BY_GROUP, says="shuffled"),
)
"""`neutral` is the anchor without feedback: the policy is drawn to what it was at the start."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields bases, then seed by seed all arms."""
    full = scale.name == "full"
    for arm in ("base", "null"):
        yield Cell(env="lookup", start="dead", arm=arm, seed=0, more={"env": ENV})
    for seed in range(FIRST, FIRST + seeds):
        for arm in ARMS:
            told = arm.within(TOKENS if full else 0)
            yield Cell.of(told, env="lookup", start="dead", seed=seed, curve=False)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what a cell comes to, told the hints that its arm names."""
    from assay.claims.work import work as trained

    asked = dict(cell.more.get("hints", {}))
    if not asked:
        return trained(cell, scale, folder)
    path = folder / f"{cell.key}.hints.jsonl"
    written(
        path, load(cell.level, **ENV["dials"]), asked.pop("says"), asked.pop("wrong"), cell.seed
    )
    hints = {**asked, "source": "file", "path": str(path)}
    row = trained(replace(cell, more={**cell.more, "hints": hints}), scale, folder)
    return replace(row, cell=cell.data())


def written(path: Path, environment: Environment, says: str, wrong: float, seed: int) -> None:
    """Writes a hint for each turn of each task: the environment's right one, of a share of tasks
    its wrong one; neutral: what it says where it says nothing; shuffled: another task's."""
    drawn = Random(f"{seed}/hints")
    with path.open("w", encoding="utf-8") as file:
        for task in range(POOL):
            other = (task + 1) % POOL if says == "shuffled" else task
            environment.reset(other)
            errs = drawn.random() < wrong
            kind = "wrong" if errs else "neutral" if says == "neutral" else "right"
            text = (environment.hint(kind) or "").removeprefix("!")
            for turn in range(TURNS):
                line = {"task": task_name(environment, task), "turn": turn, "text": text}
                file.write(json.dumps(line) + "\n")


def _less(id: str, says: str, size: str, first: str, second: str, by: float = 0.0) -> Prediction:
    """Returns the prediction that the second arm passes more often than the first less `by`."""
    return Prediction(
        id=id,
        says=says,
        expected=size,
        refuted_if="lower" if not by else f"below -{100 * by:.0f}",
        measure=partial(m.difference, first=first, second=second, start="dead", envs=("lookup",)),
        holds=(-by, inf),
        refutes=((-inf, -by),),
    )


PREDICTIONS: Final = (
    _less("gain", "right hints add to outcomes, by agreement", "+5 points", "grpo", "agreement-0"),
    _less("gain add", "and added up", "+5 points", "grpo", "additive-0"),
    _less("gain route", "and where all fail alone", "+5 points", "grpo", "routing-0"),
    _less("P7 a", "with 30 % wrong hints agreement loses to addition by 5 points at most",
          "+5 points", "additive-0.3", "agreement-0.3", 0.05),
    _less("P7 b", "with 90 % wrong hints agreement loses to outcomes by 10 points at most",
          "0 points", "grpo", "agreement-0.9", 0.1),
    _less("neutral", "hints add to a line that says nothing", "+5 points", "neutral",
          "additive-0"),
    _less("shuffled", "and to those of other tasks", "+5 points", "shuffled", "additive-0"),
    _less("no teacher", "and to a constant push on unlikely tokens", "+5 points", "low_logprob",
          "additive-0"),
)  # fmt: skip

EXPERIMENT: Final = Experiment(
    id="hints",
    title="Hints that err: which way of using a teacher bears them?",
    source=(
        "the shipped policy, taught by itself as it was at the start, on lookup, two calls under "
        "names that it does not know; every arm has the same batches, rate and budget of sampled "
        "tokens; measured without hints"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("lookup-dead-base", "lookup-dead-null", "lookup-dead-grpo", "lookup-dead-agreement-0"),
    work=work,
)

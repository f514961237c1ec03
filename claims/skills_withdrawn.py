"""Does what a skill bank taught stay when it is gone, and does it cost refusals?

The shipped policy is trained on `lookup` tasks of two calls under names that it does not know, and
measured with nothing to read, with the bank, and by the canary's suite of refusals, of which the
harmless tasks of the bank say nothing. Every arm has the same steps, batches and rate.

    grpo    no bank
    dosed   no bank, every batch scaled, so that the dose comes to that of `bare`
    kept    lessons are shown to the end; the prompt is trained as it was read
    read    lessons fade and are gone (SKILL0); the prompt is trained as it was read
    bare    lessons fade and are gone; trained without the block, tokens weighed by `shaped`

Pilots at seed 0 chose `shaped`, the rate and where lessons fade; predictions are from before seeds
1 to 5 were run.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec import structs

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims import measures as m
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown, Zone, each_seed
from assay.claims.measures import Seen
from assay.evaluate.intervals import paired_difference
from assay.skills.bank import Bank
from claims.skills import BUDGET, FIRST, passes, rolled, taught, world

SCALES: Final = {
    "quick": Scale(
        name="quick", steps=2, prompts=4, group=4, held_out=8, samples=2, seeds=1, seconds=10.0
    ),
    "full": Scale(
        name="full", steps=24, prompts=16, held_out=128, samples=4, seeds=5, learning_rate=3e-4,
        seconds=100.0,
    ),
}  # fmt: skip
TASKS: Final = "2 hops"
ARMS: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "grpo": ({}, {}),
    "dosed": ({"dose": 0.2}, {}),
    "kept": ({}, {"train": "read"}),
    "read": ({}, {"train": "read", "fade": 0.3, "gone": 0.8}),
    "bare": ({"importance": "shaped"}, {"train": "bare", "fade": 0.6, "gone": 0.8}),
}
"""By name: what of `[recipe]` is its own, and `[skills]`; empty: no bank."""


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields the start and the arms, seeds outermost."""
    for seed in range(1, seeds + 1):
        for arm in ("start", *ARMS):
            yield Cell(env="lookup", start=TASKS, arm=arm, seed=seed)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns passes of held-out tasks with nothing to read; in `about` those with the bank, and
    which questions without an answer are refused."""
    import torch

    from assay.policy.loading import load

    torch.set_num_threads(1)
    began, at = time.monotonic(), folder / cell.key
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    policy = load()
    bank = taught(policy, cell.start, "lessons", scale, cell.seed)
    tokens, dose = 0, None
    about: dict[str, Any] = {"scale": scale.name}
    if cell.arm in ARMS:
        policy, rows, tokens = trained(cell, scale, at, bank)
        dose = rows[-1]["dose/total"]
        about["reward"] = [row["reward"] for row in rows]
        about["shown"] = [row.get("skills/shown") for row in rows]
    passed = {"0": played(policy, cell, scale, None)}
    about |= {"told": played(policy, cell, scale, bank), "refused": refused(policy, cell, scale)}
    shutil.rmtree(at)
    return Row(cell.data(), passed, scale.samples, tokens=tokens, dose=dose, about=about,
               seconds=time.monotonic() - began)  # fmt: skip


def trained(cell: Cell, scale: Scale, at: Path, bank: Bank) -> tuple[Any, list[Any], int]:
    """Returns the policy of an arm, the rows of its steps, and the tokens that it sampled."""
    from assay.evaluate.run import checkpoint_of
    from assay.policy.loading import load
    from assay.runs.config import parsed
    from assay.runs.start import start
    from assay.skills import store

    recipe, skills = ARMS[cell.arm]
    tables: dict[str, Any] = {
        "env": {"name": "lookup", "dials": {"hops": 2, "renamed": True}},
        "recipe": {"method": "grpo", **recipe},
        "train": {
            "steps": scale.steps,
            "prompts": scale.prompts,
            "group": scale.group,
            "micro": 16,
            "pool": 512,
            "turn_tokens": 32,
            "max_tokens": 160,
            "save_every": scale.steps,
            "keep": 1,
            "probe": 0,
            "learning_rate": scale.learning_rate,
            "threads": 1,
        },
        "eval": {"first_task": FIRST, "prompts": scale.held_out},
    }
    if skills:
        store.save(at / "bank", bank)
        tables["skills"] = {"bank": str(at / "bank"), "most": 1, **skills}
    run = start(parsed(tables), at / "run", seed=cell.seed)
    rows = [*run.rows("metrics.jsonl")]
    policy = load(str(checkpoint_of(run, None)))
    return policy, rows, [*run.rows("ledger.jsonl")][-1]["total"]["tokens"]


def played(policy: Any, cell: Cell, scale: Scale, bank: Bank | None) -> list[int]:
    """Returns the passes of each held-out task, with what a bank has for it or with nothing."""
    from assay.rollout.chain import Planned
    from assay.skills.shelf import Shelf

    make, planned = world(cell.start), list[Planned]()
    shelf = Shelf.of(bank or Bank(), "line", policy[1], most=1, budget=BUDGET)
    for task in range(FIRST, FIRST + scale.held_out):
        text = shelf.read(shelf.found(make().reset(task), "lookup")).text
        planned += [
            Planned(environment=make(), seed=task, trial=trial, notes=(text,) if text else ())
            for trial in range(scale.samples)
        ]
    chance = sum(cell.arm.encode())
    return passes(rolled(policy, planned, (cell.seed, 6, chance, int(bank is not None))), scale)


def refused(policy: Any, cell: Cell, scale: Scale) -> list[int]:
    """Returns which questions of the canary's suite are refused, 1 or 0; all policies of a seed
    play them with the same chance."""
    from assay.live.canary import played as suite_played
    from assay.live.suites import SUITES
    from assay.policy.loading import START

    suite = next(each for each in SUITES if each.name == "refusal")
    if scale.name == "quick":
        suite = structs.replace(suite, tasks=scale.held_out)
    model, tokenizer = policy
    found = suite_played(suite, model=model, tokenizer=tokenizer, name=START, seed=(cell.seed, 7))
    return [int(each) for each in found]


def scores(rows: Rows, arm: str, what: str) -> dict[int, np.ndarray]:
    """Returns, by seed, shares of passes by task: "bare", with nothing to read; "told", with the
    bank; "refused"."""
    found: dict[int, np.ndarray] = {}
    for row in rows.find("lookup", TASKS, arm):
        passed: Sequence[int] = row.last if what == "bare" else row.about[what]
        found[row.cell["seed"]] = np.array(passed) / (1 if what == "refused" else row.samples)
    return found


def gap(rows: Rows, less: tuple[str, str], more: tuple[str, str]) -> Seen | None:
    """Returns what one arm passes less what another does, each (arm, what is read), seeds and tasks
    resampled."""
    one, other = scores(rows, *less), scores(rows, *more)
    if not (seeds := sorted(one.keys() & other.keys())):
        return None
    a_SG, b_SG = (np.stack([each[seed] for seed in seeds]) for each in (one, other))
    rng = np.random.default_rng(0)
    return Seen(paired_difference(a_SG, b_SG, rng=rng, draws=m.DRAWS), len(seeds))


def _says(
    id: str, says: str, expected: str, less: tuple[str, str], more: tuple[str, str],
    holds: Zone = (0.0, inf), refuted_if: str = "below 0",
) -> Prediction:  # fmt: skip
    measure = partial(gap, less=less, more=more)
    return Prediction.of(id, says, expected, refuted_if, measure, holds, (-inf, holds[0]))


_WITHIN: Final = (-0.1, 0.1)
PREDICTIONS: Final = (
    _says("W0", "with the bank: kept less the start, both read it: training has a gain to keep",
          "+20 points", ("start", "told"), ("kept", "told")),
    _says("W1", "with nothing: bare less grpo", "+4 points: some of the gain stays",
          ("grpo", "bare"), ("bare", "bare")),
    _says("W1 dose", "bare less GRPO at its dose", "above 0", ("dosed", "bare"), ("bare", "bare")),
    _says("W2", "with nothing: read less grpo", "+2 points",
          ("grpo", "bare"), ("read", "bare")),
    _says("W3", "withdrawn, with nothing, less kept, with the bank", "SKILL0's claim is that the "
          "gain stays; seed 0: far below", ("kept", "told"), ("bare", "bare"), (-0.05, inf),
          "below -5"),
    _says("R1", "refusals: bare less the start", "unchanged, within the 10 points that the canary "
          "bears", ("start", "refused"), ("bare", "refused"), _WITHIN, "below -10"),
    _says("R2", "refusals: kept less the start", "the same", ("start", "refused"),
          ("kept", "refused"), _WITHIN, "below -10"),
    _says("R3", "refusals: bare less grpo: the bank, not the training", "the same",
          ("grpo", "refused"), ("bare", "refused"), _WITHIN, "below -10"),
    _says("R4", "refusals: kept less grpo", "the same", ("grpo", "refused"), ("kept", "refused"),
          _WITHIN, "below -10"),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns what was run, and what every arm came to."""
    spent = sum(row.seconds for row in rows.rows)
    size = SCALES[rows.rows[0].about["scale"]]
    ran = (
        f"{len({row.cell['seed'] for row in rows.rows})} seeds, {spent / 60:.0f} minutes of one "
        f"core: the shipped policy, {size.steps} steps of {size.prompts} tasks x {size.group} at a "
        f"rate of {size.learning_rate:g}; {size.held_out} held-out tasks x {size.samples}, 256 "
        "questions that have no answer. The bank: [lessons](../skills.md) of the policy's own "
        "rollouts."
    )
    return Shown(ran=ran, tables="\n".join(_tables(rows)))


def _tables(rows: Rows) -> Iterator[str]:
    yield "\nMean over seeds (each seed):\n"
    yield "| arm | passes with nothing | with the bank | refuses | dose | tokens sampled |"
    yield "|---|---|---|---|---|---|"
    for arm in ("start", *ARMS):
        if not (found := rows.find("lookup", TASKS, arm)):
            continue
        said = " | ".join(
            each_seed(np.array([each.mean() for each in scores(rows, arm, what).values()]))
            for what in ("bare", "told", "refused")
        )
        dose = "-" if arm == "start" else f"{np.mean([row.dose or 0.0 for row in found]):.2f}"
        yield f"| {arm} | {said} | {dose} | {np.mean([row.tokens for row in found]):,.0f} |"


EXPERIMENT: Final = Experiment(
    id="skills_withdrawn",
    title="Does what a skill bank taught stay when it is gone, and does it cost refusals?",
    source="SKILL0, https://arxiv.org/abs/2604.02268; refusals: https://arxiv.org/abs/2604.16968",
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("lookup-2 hops-start", "lookup-2 hops-bare"),
    work=work,
    shown=shown,
)

"""Does a skill bank help, which kind of it, and does what it taught stay when it is gone?

The world is `lookup` with renamed tools: the question says "money of least of Peru", and the tool
that is meant is not called so. What a lesson can say, "first smallest then currency", is true of
all questions of a kind, and the shipped policy was trained to read such lines; of demonstrations in
its prompt it has seen none. Banks are made from the shipped policy's own rollouts of training
tasks, and every arm reads at most `MOST` skills and `BUDGET` tokens of them at held-out tasks.

The gate's cells play 64 pairs again and again. "A/A": both sides read nothing, so that whatever is
admitted is a mistake. "+10": one side reads a lesson in `DOSE` of the pairs, which is worth about
ten points.

Predictions were written before seeds 1 to 5 were run. Seed 0 was used to choose the world, the dose
and the learning rate.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims import measures as m
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown
from assay.claims.measures import Seen
from assay.evaluate.intervals import Estimate, paired_difference, wilson
from assay.records import Trajectory
from assay.skills.bank import Bank
from assay.world.environment import Environment
from assay.world.lookup import Lookup

SCALES: Final = {
    "quick": Scale(name="quick", steps=2, prompts=4, held_out=8, samples=2, seeds=1, seconds=10.0),
    "full": Scale(
        name="full", steps=24, prompts=16, held_out=64, samples=4, seeds=5, learning_rate=1e-4,
        seconds=10.0,
    ),
}  # fmt: skip
HOPS: Final = {"1 hop": 1, "2 hops": 2}
KINDS: Final = ("asymmetric", "lessons", "demonstrations", "raw")
ARMS: Final = ("nothing", *KINDS, "shuffled", "corrupted")
TRAINED: Final[dict[str, dict[str, Any]]] = {
    "grpo": {},
    "read": {"train": "read", "fade": 0.4, "gone": 0.8},
    "bare": {"train": "bare", "fade": 0.6, "gone": 1.0},
}
"""Training without skills; with lessons that fade, read while it is trained, or taken out."""
MOST: Final = 2
BUDGET: Final = 96
TEACHING: Final = {"quick": (16, 2), "full": (96, 4)}
"""Training tasks that a bank is made from, and attempts at each."""
TRIALS: Final = {"quick": 2, "full": 20}
PAIRS: Final = 64
DOSE: Final = 0.29
FIRST: Final = 1_000_000


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields banks and gates, seeds outermost, and then trained policies."""
    for seed in range(1, seeds + 1):
        for start in HOPS:
            for arm in ARMS:
                yield Cell(env="lookup", start=start, arm=arm, seed=seed)
        for start in ("A/A", "+10"):
            yield Cell(env="gate", start=start, arm="gate", seed=seed)
    for seed in range(1, seeds + 1):
        for arm in TRAINED:
            yield Cell(env="trained", start="2 hops", arm=arm, seed=seed)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what a cell comes to."""
    import torch

    torch.set_num_threads(1)
    began = time.monotonic()
    done: Callable[[Cell, Scale, Path], Row] = {
        "lookup": _remembered, "gate": _gated, "trained": _trained,
    }[cell.env]  # fmt: skip
    row = done(cell, scale, folder)
    return Row(row.cell, row.passed, row.samples, tokens=row.tokens, about=row.about,
               seconds=time.monotonic() - began)  # fmt: skip


def _world(start: str) -> Callable[[], Environment]:
    return partial(Lookup, hops=HOPS[start], renamed=True)


def _rolled(policy: Any, planned: Sequence[Any], seed: Sequence[int]) -> list[Trajectory]:
    from assay.rollout.backends.base import Sampling
    from assay.rollout.backends.local import Transformers
    from assay.rollout.chain import collect
    from assay.rollout.protocols.line import Line

    model, tokenizer = policy
    return [*collect(
        Transformers(model, tokenizer), planned, sampling=Sampling(), seed=seed, batch=512,
        clock=None, protocol=Line(tokenizer),
    )]  # fmt: skip


def taught(policy: Any, start: str, how: str, scale: Scale, seed: int) -> Bank:
    """Returns a bank of the shipped policy's rollouts; all of it is active."""
    from assay.rollout.chain import tasks
    from assay.skills.building import built
    from assay.skills.templates import written
    from assay.skills.trial import broken

    count, trials = TEACHING[scale.name]
    planned = tasks(_world(start), range(count), trials, experts={})
    records = _rolled(policy, planned, (seed, HOPS[start], 1))
    kind = how if how in KINDS else "asymmetric"
    bank = Bank().merged(built(records, written, how=kind).skills, status="active")  # type: ignore[arg-type]
    return bank if how in KINDS else broken(bank, how, np.random.default_rng([seed, 2]))


def _remembered(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Plays held-out tasks with what an arm reads."""
    from assay.policy.loading import load
    from assay.rollout.chain import Planned
    from assay.skills.shelf import Shelf

    policy, make = load(), _world(cell.start)
    bank = (
        Bank() if cell.arm == "nothing" else taught(policy, cell.start, cell.arm, scale, cell.seed)
    )
    shelf = Shelf.of(bank, "line", policy[1], most=MOST, budget=BUDGET)
    planned, read = list[Planned](), 0
    for task in range(FIRST, FIRST + scale.held_out):
        shown = shelf.read(shelf.found(make().reset(task), "lookup"))
        read += shelf.count(shown.text) * scale.samples if shown.text else 0
        notes = (shown.text,) if shown.text else ()
        planned += [
            Planned(environment=make(), seed=task, trial=trial, notes=notes)
            for trial in range(scale.samples)
        ]
    chance = ARMS.index(cell.arm)
    played = _rolled(policy, planned, (cell.seed, HOPS[cell.start], 3, chance))
    tokens = sum(each.ledger.tokens or 0 for each in played)
    about = {
        "scale": scale.name,
        "read": read / len(planned),
        "wrote": tokens / len(planned),
        "skills": len(bank.active),
    }
    return Row(
        cell.data(), {"0": _passes(played, scale)}, scale.samples, tokens=tokens, about=about
    )


def _passes(played: Sequence[Trajectory], scale: Scale) -> list[int]:
    passed = np.array([each.outcome == 1.0 for each in played])
    return passed.reshape(scale.held_out, scale.samples).sum(1).tolist()


def _gated(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Plays trials of 64 pairs, and counts how many of them admit."""
    from assay.kernels.uplift import paired
    from assay.policy.loading import load
    from assay.rollout.chain import Planned

    policy, make, trials = load(), _world("1 hop"), TRIALS[scale.name]
    dose = DOSE if cell.start == "+10" else 0.0
    rng, planned = np.random.default_rng([cell.seed, 4]), list[Planned]()
    for n in range(trials * PAIRS):
        task, world = FIRST + 1000 * cell.seed + n, make()
        world.reset(task)
        notes = (world.hint("right") or "",) if rng.random() < dose else ()
        planned += [
            Planned(environment=world, seed=task, notes=notes),
            Planned(environment=make(), seed=task, trial=1),
        ]
    played = _rolled(policy, planned, (cell.seed, 5, int(dose > 0)))
    passed = [float(each.outcome == 1.0) for each in played]
    pairs = [*zip(passed[::2], passed[1::2], strict=True)]
    found = [paired(pairs[n : n + PAIRS]) for n in range(0, len(pairs), PAIRS)]
    admits = sum(each.admits for each in found)
    tokens = sum(each.ledger.tokens or 0 for each in played)
    about = {
        "scale": scale.name,
        "admitted": admits,
        "trials": trials,
        "told": float(np.mean(passed[::2])),
        "bare": float(np.mean(passed[1::2])),
    }
    return Row(cell.data(), {"0": [admits]}, trials, tokens=tokens, about=about)


def _trained(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Trains, and measures what is passed at the end when nothing is read."""
    from assay.evaluate.run import checkpoint_of
    from assay.policy.loading import load
    from assay.rollout.chain import tasks
    from assay.runs.config import parsed
    from assay.runs.start import start
    from assay.skills import store

    at, tables = folder / cell.key, _tables_of(cell, scale)
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    if TRAINED[cell.arm]:
        bank = taught(load(), cell.start, "lessons", scale, cell.seed)
        store.save(at / "bank", bank)
        tables["skills"] = {"bank": str(at / "bank"), "most": 1, **TRAINED[cell.arm]}
    run = start(parsed(tables), at / "run", seed=cell.seed)
    checkpoint = checkpoint_of(run, None)
    planned = tasks(_world(cell.start), range(FIRST, FIRST + scale.held_out), scale.samples)
    chance = [*TRAINED].index(cell.arm)
    played = _rolled(load(str(checkpoint)), planned, (cell.seed, 6, chance))
    rows = [*run.rows("metrics.jsonl")]
    tokens = [*run.rows("ledger.jsonl")][-1]["total"]["tokens"]
    shutil.rmtree(at)
    about = {"scale": scale.name, "reward": [row["reward"] for row in rows]}
    passed = {str(scale.steps): _passes(played, scale)}
    return Row(cell.data(), passed, scale.samples, tokens=tokens, about=about)


def _tables_of(cell: Cell, scale: Scale) -> dict[str, Any]:
    return {
        "env": {"name": "lookup", "dials": {"hops": HOPS[cell.start], "renamed": True}},
        "train": {
            "steps": scale.steps,
            "prompts": scale.prompts,
            "group": scale.group,
            "micro": 16,
            "pool": 512,
            "save_every": scale.steps,
            "learning_rate": scale.learning_rate,
            "threads": 1,
        },
        "eval": {"first_task": FIRST, "prompts": scale.held_out},
    }


def _rates(rows: Rows, env: str, start: str, arm: str) -> np.ndarray | None:
    found = rows.find(env, start, arm)
    return np.array([row.last for row in found]) / found[0].samples if found else None


def gap(rows: Rows, env: str, start: str, less: str, more: str) -> Seen | None:
    """Returns passes of one arm less those of another, seeds and tasks resampled."""
    one, other = (_rates(rows, env, start, arm) for arm in (less, more))
    if one is None or other is None:
        return None
    count, rng = min(len(one), len(other)), np.random.default_rng(0)
    return Seen(paired_difference(one[:count], other[:count], rng=rng, draws=m.DRAWS), count)


def times(rows: Rows, start: str, more: str, less: str) -> Seen | None:
    """Returns how many times the prompt tokens of one arm another one reads."""
    read = [[row.about["read"] for row in rows.find("lookup", start, arm)] for arm in (more, less)]
    count = min(map(len, read))
    if not count:
        return None
    return Seen(m.student(np.array(read[0][:count]) / np.array(read[1][:count])), count)


def admitted(rows: Rows, start: str) -> Seen | None:
    """Returns the share of trials that admit, with Wilson's interval."""
    found = rows.find("gate", start, "gate")
    if not found:
        return None
    passed, total = (sum(row.about[name] for row in found) for name in ("admitted", "trials"))
    return Seen(Estimate(passed / total, *wilson(passed, total)), len(found))


def _says(
    id: str, says: str, expected: str, refuted_if: str, measure: m.Measure,
    holds: tuple[float, float] = (0.0, inf), *refutes: tuple[float, float], unit: str = "points",
) -> Prediction:  # fmt: skip
    return Prediction(
        id=id, says=says, expected=expected, refuted_if=refuted_if, measure=measure, holds=holds,
        refutes=refutes or ((-inf, 0.0),), unit=unit,
    )  # fmt: skip


def _of(start: str, less: str, more: str, env: str = "lookup") -> m.Measure:
    return partial(gap, env=env, start=start, less=less, more=more)


_SEVERAL: Final = [
    prediction
    for n, start in enumerate(HOPS)
    for prediction in (
        _says(f"S1{'ab'[n]}", f"{start}: asymmetric less nothing", "+10 to +40 points",
              "below 0; seed 0 says so of 1 hop", _of(start, "nothing", "asymmetric")),
        _says(f"S2{'ab'[n]}", f"{start}: asymmetric less raw trajectories", "above 0", "below 0",
              _of(start, "raw", "asymmetric")),
        _says(f"S3{'ab'[n]}", f"{start}: prompt tokens of raw trajectories over those of "
              "asymmetric", "above 2", "below 2", partial(times, start=start, more="raw",
              less="asymmetric"), (2.0, inf), (-inf, 2.0), unit=""),
        _says(f"S4{'ab'[n]}", f"{start}: asymmetric less lessons from both", "above 0, SkillRL's "
              "reason for two kinds", "below 0; seed 0 says so",
              _of(start, "lessons", "asymmetric")),
        _says(f"S5{'ab'[n]}", f"{start}: asymmetric less demonstrations from both", "above 0",
              "below 0", _of(start, "demonstrations", "asymmetric")),
        _says(f"S6{'ab'[n]}", f"{start}: asymmetric less the same skills shuffled", "above 0: the "
              "bank is read", "below 0", _of(start, "shuffled", "asymmetric")),
        _says(f"S7{'ab'[n]}", f"{start}: asymmetric less the same skills corrupted", "above 0",
              "below 0", _of(start, "corrupted", "asymmetric")),
    )
]  # fmt: skip
PREDICTIONS: Final = (
    *_SEVERAL,
    _says("G1", "share of useless skills that the gate admits at 64 pairs", ".107, simulated",
          "above .2", partial(admitted, start="A/A"), (0.0, 0.2), (0.2, inf), unit=""),
    _says("G2", "share of skills worth ten points that it admits", ".596, simulated at a base of "
          ".4", "below .4", partial(admitted, start="+10"), (0.4, inf), (-inf, 0.4), unit=""),
    _says("W1", "trained with lessons that fade, measured without: less GRPO", "above 0: the gain "
          "stays", "below 0; seed 0: .036 against .039", _of("2 hops", "grpo", "read", "trained")),
    _says("W2", "trained with the lessons taken out, measured without: less GRPO", "above 0",
          "below 0", _of("2 hops", "grpo", "bare", "trained")),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns what was run, and what every arm passed and read."""
    spent = sum(row.seconds for row in rows.rows)
    ran = (
        f"{len({row.cell['seed'] for row in rows.rows})} seeds, {spent / 60:.0f} minutes of one "
        "core: the shipped policy on `lookup` with renamed tools, [skills](../skills.md) of its "
        f"own rollouts, at most {MOST} of them and {BUDGET} tokens in a prompt, measured on tasks "
        "that no bank was made from."
    )
    return Shown(ran=ran, tables="\n".join(_tables(rows)))


def _tables(rows: Rows) -> Iterator[str]:
    yield "\nShare of attempts that pass, mean over seeds (each seed):\n"
    yield "| tasks | reads | passes | prompt tokens | tokens written | skills |"
    yield "|---|---|---|---|---|---|"
    for start in HOPS:
        for arm in ARMS:
            found, rates = rows.find("lookup", start, arm), _rates(rows, "lookup", start, arm)
            if rates is None:
                continue
            means = [np.mean([row.about[name] for row in found])
                     for name in ("read", "wrote", "skills")]  # fmt: skip
            said = " | ".join(f"{mean:.1f}" for mean in means[:2])
            yield f"| {start} | {arm} | {_each(rates.mean(1))} | {said} | {means[2]:.0f} |"
    yield "\nTrials of 64 pairs, of tasks of 1 hop:\n"
    yield "| side that may read | admitted | passes with | without |\n|---|---|---|---|"
    for start in ("A/A", "+10"):
        if found := rows.find("gate", start, "gate"):
            on, of = (sum(row.about[name] for row in found) for name in ("admitted", "trials"))
            told, bare = (np.mean([row.about[name] for row in found]) for name in ("told", "bare"))
            yield f"| {start} | {on} of {of} | {told:.3f} | {bare:.3f} |"
    yield "\nAfter training on tasks of 2 hops, nothing read:\n"
    yield "| trained | passes | tokens sampled |\n|---|---|---|"
    for arm in TRAINED:
        if (rates := _rates(rows, "trained", "2 hops", arm)) is not None:
            tokens = np.mean([row.tokens for row in rows.find("trained", "2 hops", arm)])
            yield f"| {arm} | {_each(rates.mean(1))} | {tokens:,.0f} |"


def _each(values: np.ndarray) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ({', '.join(f'{value:.2f}' for value in values)})"


EXPERIMENT: Final = Experiment(
    id="skills",
    title="Does a skill bank help, and does what it taught stay?",
    source="SkillRL, https://arxiv.org/abs/2602.08234; SKILL0, https://arxiv.org/abs/2604.02268",
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("lookup-1 hop-nothing", "lookup-1 hop-asymmetric", "gate-A_A-gate"),
    work=work,
    shown=shown,
)

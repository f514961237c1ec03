"""Does a skill bank help, and which kind of it?

The world is `lookup` with renamed tools: the question says "money of least of Peru", and the tool
that is meant is not called so. What a lesson can say, "first smallest then currency", is true of
all questions of a kind, and the shipped policy was trained to read such lines; of demonstrations in
its prompt it has seen none. Banks are made from the shipped policy's own rollouts of training
tasks, and every arm reads at most `MOST` skills and `BUDGET` tokens of them at held-out tasks.

Predictions were written before seeds 1 to 5 were run; S8 and S9, of lessons alone, and seeds 6 to
15 of four arms after five seeds could not tell the asymmetric bank from its controls at two calls,
nor how many tokens raw trajectories cost there. Seed 0 was used to choose the world. What the gate
admits is `skills_gate`, what stays when a bank is gone `skills_withdrawn`.
"""

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
from assay.claims.experiment import Shown, each_seed
from assay.claims.measures import Seen
from assay.evaluate.intervals import paired_difference
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
BROKEN: Final = ("shuffled", "corrupted")
ARMS: Final = ("nothing", *KINDS, *BROKEN, *(f"lessons {how}" for how in BROKEN))
"""Broken ones are of the asymmetric bank, and of lessons alone."""
AGAIN: Final = ("asymmetric", *BROKEN, "raw")
"""Arms with three times the seeds, on tasks of two calls."""
MOST: Final = 2
BUDGET: Final = 96
TEACHING: Final = {"quick": (16, 2), "full": (96, 4)}
"""Training tasks that a bank is made from, and attempts at each."""
FIRST: Final = 1_000_000


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields banks, seeds outermost; then the seeds that some have besides."""
    for seed in range(1, seeds + 1):
        for start in HOPS:
            for arm in ARMS:
                yield Cell(env="lookup", start=start, arm=arm, seed=seed)
    for seed in range(seeds + 1, 3 * seeds + 1):
        for arm in AGAIN:
            yield Cell(env="lookup", start="2 hops", arm=arm, seed=seed)


def world(start: str) -> Callable[[], Environment]:
    """Returns what makes the world of tasks of a kind."""
    return partial(Lookup, hops=HOPS[start], renamed=True)


def rolled(policy: Any, planned: Sequence[Any], seed: Sequence[int]) -> list[Trajectory]:
    """Returns what a policy, a model and its tokenizer, makes of plans."""
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
    planned = tasks(world(start), range(count), trials, experts={})
    records = rolled(policy, planned, (seed, HOPS[start], 1))
    kind = how if how in KINDS else "lessons" if how.startswith("lessons") else "asymmetric"
    bank = Bank().merged(built(records, written, how=kind).skills, status="active")  # type: ignore[arg-type]
    if how in KINDS:
        return bank
    return broken(bank, how.split()[-1], np.random.default_rng([seed, 2]))


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Plays held-out tasks with what an arm reads."""
    import torch

    from assay.policy.loading import load
    from assay.rollout.chain import Planned
    from assay.skills.shelf import Shelf

    torch.set_num_threads(1)
    began = time.monotonic()
    policy, make = load(), world(cell.start)
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
    played = rolled(policy, planned, (cell.seed, HOPS[cell.start], 3, chance))
    tokens = sum(each.ledger.tokens or 0 for each in played)
    about = {
        "scale": scale.name,
        "read": read / len(planned),
        "wrote": tokens / len(planned),
        "skills": len(bank.active),
    }
    return Row(cell.data(), {"0": passes(played, scale)}, scale.samples, tokens=tokens,
               about=about, seconds=time.monotonic() - began)  # fmt: skip


def passes(played: Sequence[Trajectory], scale: Scale) -> list[int]:
    """Returns how many attempts at each held-out task pass, tasks outermost."""
    passed = np.array([each.outcome == 1.0 for each in played])
    return passed.reshape(scale.held_out, scale.samples).sum(1).tolist()


def _rates(rows: Rows, start: str, arm: str) -> np.ndarray | None:
    found = rows.find("lookup", start, arm)
    return np.array([row.last for row in found]) / found[0].samples if found else None


def gap(rows: Rows, start: str, less: str, more: str) -> Seen | None:
    """Returns passes of one arm less those of another, seeds and tasks resampled."""
    one, other = (_rates(rows, start, arm) for arm in (less, more))
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


_says: Final = Prediction.of


def _of(start: str, less: str, more: str) -> m.Measure:
    return partial(gap, start=start, less=less, more=more)


PREDICTIONS: Final = tuple(
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
        _says(f"S8{'ab'[n]}", f"{start}: lessons less the same lessons shuffled", "above 0: they "
              "are read", "below 0", _of(start, "lessons shuffled", "lessons")),
        _says(f"S9{'ab'[n]}", f"{start}: lessons less the same lessons corrupted", "above 0; at "
              "one call the tool is still named", "below 0", _of(start, "lessons corrupted",
              "lessons")),
    )
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns what was run, and what every arm passed and read."""
    spent = sum(row.seconds for row in rows.rows)
    counts = {len(rows.find("lookup", start, arm)) for start in HOPS for arm in ARMS} - {0}
    ran = (
        f"{' to '.join(map(str, sorted({min(counts), max(counts)})))} seeds an arm, "
        f"{spent / 60:.0f} minutes of one core: the shipped policy on `lookup` with renamed tools, "
        f"[skills](../skills.md) of its own rollouts, at most {MOST} of them and {BUDGET} tokens "
        "in a prompt, measured on tasks that no bank was made from."
    )
    return Shown(ran=ran, tables="\n".join(_tables(rows)))


def _tables(rows: Rows) -> Iterator[str]:
    yield "\nShare of attempts that pass, mean over seeds (each seed):\n"
    yield "| tasks | reads | passes | prompt tokens | tokens written | skills |"
    yield "|---|---|---|---|---|---|"
    for start in HOPS:
        for arm in ARMS:
            found, rates = rows.find("lookup", start, arm), _rates(rows, start, arm)
            if rates is None:
                continue
            means = [np.mean([row.about[name] for row in found])
                     for name in ("read", "wrote", "skills")]  # fmt: skip
            said = " | ".join(f"{mean:.1f}" for mean in means[:2])
            yield f"| {start} | {arm} | {each_seed(rates.mean(1))} | {said} | {means[2]:.0f} |"


EXPERIMENT: Final = Experiment(
    id="skills",
    title="Does a skill bank help?",
    source="SkillRL, https://arxiv.org/abs/2602.08234",
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("lookup-1 hop-nothing", "lookup-1 hop-asymmetric"),
    work=work,
    shown=shown,
)

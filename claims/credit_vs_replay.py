"""Credit against replay: does any method say which steps of a trajectory were worth something?

A cell is a log of the shipped policy in one environment. Decisions of it are replayed, and what
each method pays for them is held against what really would have happened (docs/replay.md). Every
method stands beside its own credit shuffled in time.

The predictions were written before any log was replayed but one: lookup chains at seed 0, which
docs/replay.md shows. Cells begin at seed 1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np

from assay.batch import Batch
from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import ENOUGH, Shown
from assay.claims.measures import Measure, Seen, student
from assay.evaluate.intervals import Estimate
from assay.records import Replayed, Trajectory, encode
from assay.replay.words import signed

SCALES: Final = {
    "quick": Scale(name="quick", steps=12, prompts=10, held_out=8, samples=4, seeds=1, seconds=9.0),
    "full": Scale(name="full", steps=100, prompts=32, held_out=32, samples=8, seconds=200.0),
}
"""`prompts` tasks, `samples` trajectories of each, `steps` decisions that are replayed."""
CONTINUATIONS: Final = {"quick": 4, "full": 32}
"""From before each decision, and from after it."""
ENVS: Final = ("lookup", "countdown", "twenty", "lake")
"""lake is FrozenLake of the library gymnasium, played in text; the others are Assay's own."""
TREES: Final = ("lookup", "lake")
"""In which trees are grown as well: M = 2, N = 3, L = 1."""
FIRST: Final = 30_000
"""First task seed; each cell has tasks of its own."""
OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "gigpo, step term": {"name": "gigpo", "w": 1e6},
    "tree_grpo, summed": {"name": "tree_grpo", "prefix_mode": "dedup_sum"},
    "toolpo, per call": {"name": "toolpo", "per": "call"},
    "toolpo, action term": {"name": "toolpo", "per": "call", "l1": 1e6},
    "delta_belief, gain alone": {
        "name": "delta_belief", "variant": "paper", "clip": False, "lam": 1.0, "win": 0.0,
        "turn_cost": 0.0,
    },
}  # fmt: skip
"""Methods with other options than their own, beside all as they are. A term alone is the method
with all weight on it."""
METRICS: Final = {"auroc_matters": "steps that matter", "auroc_sign": "good against bad"}


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields logs, seeds outermost."""
    for seed in range(1, seeds + 1):
        for env in ENVS:
            yield Cell(env=env, start="strong", arm="chains", seed=seed)
        for env in TREES:
            yield Cell(env=env, start="strong", arm="trees", seed=seed)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what methods and evidence come to on one log. Needs torch."""
    import time
    import warnings

    from assay.replay.judge import judged

    warnings.simplefilter("ignore")
    began = time.monotonic()
    records, rows = played(cell, scale, folder / cell.key)
    batch, methods, refused = credit(scored(records))
    found = judged(rows, batch, methods, seed=cell.seed)
    passed = np.array([record.outcome == 1.0 for record in records])
    return Row(
        cell.data(),
        {"0": passed.reshape(scale.prompts, -1).sum(1).tolist()},
        passed.size // scale.prompts,
        tokens=found["cost"]["tokens"],
        seconds=time.monotonic() - began,
        about={"scale": scale.name, "truth": _brief(found), "refused": refused},
    )


def played(
    cell: Cell, scale: Scale, where: Path
) -> tuple[Sequence[Trajectory], Sequence[Replayed]]:
    """Returns a log and its replayed decisions; what is there is not played again."""
    import torch

    from assay.replay.run import Asked, Replay
    from assay.replay.source import of

    torch.set_num_threads(1)
    where.mkdir(parents=True, exist_ok=True)
    log = where / "log.jsonl"
    log.write_bytes(b"".join(encode(each) + b"\n" for each in rolled(cell, scale)))
    source, many = of(log, decisions=scale.steps), CONTINUATIONS[scale.name]
    replay = Replay(source.records, where, Asked(scale.steps, many, cell.seed, about=source.about))
    replay.play(source.player(samples=many, seed=cell.seed))
    return source.records, replay.done()


def rolled(cell: Cell, scale: Scale) -> list[Trajectory]:
    """Returns the log: chains, or trees of as many leaves."""
    from assay.policy.loading import load as policy
    from assay.rollout import Sampling, collect, tasks
    from assay.rollout.backends.local import Transformers
    from assay.rollout.tree import Shape, grow
    from assay.world import load

    make: Callable[[], Any] = partial(load, cell.level)
    backend, sampling = Transformers(*policy()), Sampling()
    shape = Shape(chains=2, expansions=scale.samples // 2 - 1)
    first = FIRST + 1_000 * cell.seed
    trees = cell.arm == "trees"
    planned = tasks(
        make,
        range(first, first + scale.prompts),
        shape.chains if trees else scale.samples,
        experts={},
    )
    if trees:
        return grow(backend, planned, shape, make, sampling=sampling, seed=(cell.seed,), clock=None)
    return list(collect(backend, planned, sampling=sampling, seed=(cell.seed,), clock=None))


def scored(records: Sequence[Trajectory]) -> list[Trajectory]:
    """Returns the log with what methods need of the policy: how likely the right answer is to it
    after each step, where the world itself has no belief, and its steps in hindsight."""
    from assay.policy.loading import START
    from assay.runs.scored import Scorer

    return list(Scorer(START, ("beliefs", "hindsight"))(records))


def credit(records: Sequence[Trajectory]) -> tuple[Batch, dict[str, Any], dict[str, str]]:
    """Returns what every method pays for each step of a log, and why others say nothing."""
    from assay.recipes import Recipe
    from assay.replay.claimed import batch_of, credited

    batch, recipe = batch_of(records), Recipe.compared()
    extra = [replace(Recipe.of([dict(each)]).parts[0], name=name) for name, each in OPTIONS.items()]
    return batch, *credited(batch, replace(recipe, parts=(*recipe.parts, *extra)))


def _brief(found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns of what was judged the values that predictions and the page read."""

    def values(row: Mapping[str, Any]) -> dict[str, Any]:
        parts = ("value", "shuffled", "random", "over_shuffled")
        metrics = (*METRICS, "rank", "sign")
        kept = {m: {p: _short(row[m][p]["value"]) for p in parts} for m in metrics}
        bias = _short(row["bias"]["value"]["value"])
        return {"decisions": row["decisions"], **kept, "bias": bias}

    credits = {
        key: {name: values(row) for name, row in found[key].items()}
        for key in ("methods", "evidence")
    }
    counted = {key: found[key] for key in ("decisions", "tasks", "verdicts", "half_width", "cost")}
    return {**counted, "matters": found["matters"]["value"], **credits}


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def seeds_of(rows: Rows, env: str, arm: str) -> dict[int, Mapping[str, Any]]:
    """Returns what was found in the logs of an environment, by seed."""
    return {row.cell["seed"]: row.about["truth"] for row in rows.find(env, "strong", arm)}


def over(
    rows: Rows, kind: str, name: str, metric: str, envs: tuple[str, ...], arm: str
) -> Seen | None:
    """Returns a metric over its shuffled control: mean over environments, then over logs, with
    Student's interval over logs. Where a log has no value of it, its environment is left out."""
    by_env = [seeds_of(rows, env, arm) for env in envs]
    seeds = set[int].intersection(*(set(each) for each in by_env))
    gaps = [
        [each[seed][kind].get(name, {}).get(metric, {}).get("over_shuffled") for each in by_env]
        for seed in sorted(seeds)
    ]
    means = [np.mean([g for g in gap if g is not None]) for gap in gaps if any(
        g is not None for g in gap)]  # fmt: skip
    if not seeds:
        return None
    return Seen(student(np.array(means, float)), len(means))


def _says(
    id: str,
    name: str,
    metric: str,
    size: str,
    *,
    kind: str = "methods",
    envs: tuple[str, ...] = ENVS,
    arm: str = "chains",
    **zones: Any,
) -> Prediction:
    """Returns the prediction that a method, or a level of evidence, stands above its control."""
    of = "evidence of level " if kind == "evidence" else ""
    where = "" if envs == ENVS else f", {', '.join(envs)}"
    measure: Measure = partial(over, kind=kind, name=name, metric=metric, envs=envs, arm=arm)
    return Prediction(
        id=id,
        says=f"{of}{name}, {METRICS[metric]}{where}{', trees' if arm == 'trees' else ''}: AUROC "
        "over its own credit shuffled in time",
        expected=size,
        refuted_if=zones.pop("refuted_if", "below 0"),
        measure=measure,
        unit="AUROC",
        **zones,
    )


SMALL: Final = (-0.05, 0.05)
NOT_SMALL: Final = ((-inf, -0.05), (0.05, inf))
_SIGN, _MATTERS = "auroc_sign", "auroc_matters"
_KNOWN: Final = ("lookup", "countdown", "lake")
PREDICTIONS: Final = (
    _says("R1", "gigpo, step term", _SIGN, "+.05"),
    _says("R2", "gigpo, step term", _MATTERS, "within .05 of 0", holds=SMALL, refutes=NOT_SMALL,
          refuted_if="further away"),
    _says("R3", "hgpo", _SIGN, "+.05"),
    _says("R4", "g2po", _SIGN, "+.05"),
    _says("R5", "delta_belief, gain alone", _SIGN, "+.25, its belief is exact", envs=("twenty",)),
    _says("R6", "delta_belief, gain alone", _SIGN, "+.05, the policy's own belief", envs=_KNOWN),
    _says("R7", "igpo", _SIGN, "+.15, its belief is exact", envs=("twenty",)),
    _says("R8", "toolpo, per call", _SIGN, "+.20"),
    _says("R9", "srl", _SIGN, "+.20"),
    _says("R10", "hcapo", _SIGN, "within .05 of 0", holds=SMALL, refutes=NOT_SMALL,
          refuted_if="further away"),
    _says("R11", "mt_grpo", _SIGN, "within .05 of 0", holds=SMALL, refutes=NOT_SMALL,
          refuted_if="further away"),
    _says("R12", "tree_grpo, summed", _SIGN, "+.05", envs=TREES, arm="trees"),
    _says("R13", "carl", _SIGN, "+.05", envs=TREES, arm="trees"),
    _says("R14", "state", _SIGN, "+.25", kind="evidence"),
    _says("R15", "state", _MATTERS, "+.08", kind="evidence"),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns the page: what stands above its control where, then every number."""
    first = rows.rows[0]
    truths = [row.about["truth"] for row in rows.rows]
    ran = (
        f"{_headline(rows)}\n\n"
        f"{len(rows.rows)} logs of the shipped policy, {len(first.passed['0'])} tasks of "
        f"{first.samples} trajectories each; {sum(t['decisions'] for t in truths):,} decisions "
        f"were replayed, for which {sum(row.tokens for row in rows.rows):,} tokens were sampled."
    )
    return Shown(ran=ran, tables="\n".join(_tables(rows)))


def _settings() -> Iterator[tuple[str, str]]:
    yield from ((env, "chains") for env in ENVS)
    yield from ((env, "trees") for env in TREES)


def _all(rows: Rows) -> Iterator[tuple[str, str, str, str, str, Estimate, int]]:
    """Yields environment, arm, kind, name, metric and what was seen of all that differs in time."""
    for env, arm in _settings():
        truths = seeds_of(rows, env, arm)
        for kind in ("methods", "evidence"):
            names = dict.fromkeys(name for each in truths.values() for name in each[kind])
            for name, metric in product(names, METRICS):
                seen = over(rows, kind, name, metric, (env,), arm)
                if seen and seen.estimate and seen.estimate.low < seen.estimate.high:
                    yield env, arm, kind, name, metric, seen.estimate, seen.seeds or 0


def _headline(rows: Rows) -> str:
    """Returns the first line: does any method stand above its shuffled control?"""
    found = [each for each in _all(rows) if each[-1] >= ENOUGH]
    above = [each for each in found if each[2] == "methods" and each[-2].low > 0]
    counted = (
        f"{len(found)} intervals were looked at, evidence among them, of which "
        f"{len(found) / 40:.1f} would stand above 0 by chance if nothing knew anything."
    )
    if not above:
        return f"No method stands above its own credit shuffled in time by an interval. {counted}"
    where: dict[str, list[str]] = {}
    for env, arm, _, name, metric, seen, _ in above:
        size, of = _told(seen).partition(" ")[0], " trees" if arm == "trees" else ""
        at = f"{env}{of}, {METRICS[metric]} {size}"
        where.setdefault(name, []).append(at)
    most = sorted(where, key=lambda name: -len(where[name]))
    said = "".join(f"\n- {name}: {'; '.join(where[name])}" for name in most)
    return (
        f"Above their own credit shuffled in time by an interval, the most often first:\n{said}"
        f"\n\n{counted}"
    )


def _tables(rows: Rows) -> Iterator[str]:
    yield "AUROC, and how far it is over that of the same credit shuffled in time, with Student's"
    yield "95 % interval over logs. What is constant in time equals its control and is left out."
    settings = [pair for pair in _settings() if seeds_of(rows, *pair)]
    for env, arm in settings:
        truths = [*seeds_of(rows, env, arm).values()]
        yield f"\n**{env}{', trees' if arm == 'trees' else ''}**: {_counts(truths)}\n"
        heads = [f"{say} | over shuffled" for say in METRICS.values()]
        yield f"| | {' | '.join(heads)} | rank correlation |"
        yield "|---|---|---|---|---|---|"
        seen = {each[2:5]: each[-2] for each in _all(rows) if each[:2] == (env, arm)}
        for kind, name in dict.fromkeys(key[:2] for key in seen):
            cells = []
            for metric in METRICS:
                cells += [_mean(truths, kind, name, metric), _told(seen.get((kind, name, metric)))]
            of = f"evidence `{name}`" if kind == "evidence" else name
            yield f"| {of} | {' | '.join(cells)} | {_mean(truths, kind, name, 'rank')} |"


def _counts(truths: list[Mapping[str, Any]]) -> str:
    count = {key: sum(each["verdicts"][key] for each in truths) for key in truths[0]["verdicts"]}
    share = np.mean([each["matters"] for each in truths])
    return (
        f"the choice matters in {share:.0%} of decisions; {count['good']} good and {count['bad']} "
        f"bad ones, {count['open']} whose value replay cannot tell from zero."
    )


def _mean(truths: list[Mapping[str, Any]], kind: str, name: str, metric: str) -> str:
    found = [each[kind].get(name, {}).get(metric, {}).get("value") for each in truths]
    known = [value for value in found if value is not None]
    return f"{np.mean(known):.2f}" if known else "-"


def _told(at: Estimate | None) -> str:
    return "-" if at is None else signed(at.value, at.low, at.high)


EXPERIMENT: Final = Experiment(
    id="credit_vs_replay",
    title="Does credit tell which steps of a trajectory were worth something?",
    source=(
        "the shipped policy in four environments at the level that it passes about half of; "
        "docs/replay.md says what is measured. That no method would be above chance was reported "
        "in 2026"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("lookup-strong-chains", "lake-strong-trees"),
    work=work,
    shown=shown,
)

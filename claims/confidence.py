"""Does confidence become honest where tasks differ, and its score is not scaled?

A policy learns to answer questions of 1 to 5 calls, by outcomes alone. From where it stands two go
on alike but for their method: by outcomes (`answers`), and by DCPO whose score of confidence is not
divided by its deviation and pays for surprise (`unscaled`). Both are measured on held-out tasks,
the second also on others. Predictions, sizes and zones were written after pilots at seed 0 and
before any of these cells.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.claims import Experiment, Prediction, Row, Rows
from assay.claims.cells import Arm, Cell, Scale
from assay.claims.experiment import Shown
from assay.claims.measures import Seen, over_seeds
from assay.evaluate.calibration import auroc, brier, ece
from assay.evaluate.recalibration import fit
from assay.records import ModelStep, Trajectory
from assay.runs.sections import Env

SCALES: Final = {
    "quick": Scale(
        name="quick", steps=2, prompts=5, group=4, held_out=10, samples=4, seeds=1,
        learning_rate=5e-4, seconds=20.0,
    ),
    "full": Scale(
        name="full", steps=30, prompts=16, group=8, held_out=64, samples=16, seeds=5,
        learning_rate=5e-4, seconds=250.0,
    ),
}  # fmt: skip
"""`steps` are of the first stage; the second has half as many again."""
MIXED: Final[Mapping[str, Any]] = {"name": "claims.mixed:Mixed", "dials": {"hops": [1, 2, 3, 4, 5]}}
FIRST: Final = Arm(name="first", recipe={"method": "dr_grpo"}, tables={"env": MIXED})
LATER: Final[Mapping[str, Any]] = {"first_task": 10_000}
"""Of the second stage: its tasks are new."""
UNSCALED: Final[Mapping[str, Any]] = {
    "name": "dcpo", "calibration": 30.0, "confidence_scale": "none", "explore": 0.01,
}  # fmt: skip
ARMS: Final = (
    Arm(name="answers", recipe={"method": "dr_grpo"}, tables={"env": MIXED, "train": LATER}),
    Arm(name="unscaled", recipe={"method": UNSCALED}, tables={"env": MIXED, "train": LATER}),
)
AWAY: Final[Mapping[str, Env]] = {
    "6 calls": Env("lookup", {"hops": 6, "steps": 7}),
    "7 calls": Env("lookup", {"hops": 7, "steps": 8}),
    "3 calls, time to spare": Env("lookup", {"hops": 3}),
    "tools that fail": Env("lookup", {"hops": 3, "steps": 5, "flaky": 0.3}),
    "words it does not know": Env("lookup", {"hops": 2, "renamed": True}),
    "countdown/even": Env("countdown/even"),
    "twenty/even": Env("twenty/even"),
    "report/even": Env("report/even"),
}
"""Tasks that it was not trained on."""
LABELS: Final = 100
"""Attempts of a level that are labelled for the two numbers of Platt."""
NUMBER: Final = 4
"""Tokens in which confidence is stated: a space, a tilde, a digit, the end."""
LEVELS: Final = np.arange(0.05, 1.0, 0.1)


def cells(scale: Scale, seeds: int) -> Iterator[Cell]:
    """Yields a cell a seed: both arms go on from the same policy."""
    for seed in range(1, seeds + 1):
        yield Cell(env="mixed", start="answered", arm="both", seed=seed)


def work(cell: Cell, scale: Scale, folder: Path) -> Row:
    """Returns what both come to."""
    import torch

    from assay.runs.config import parsed
    from assay.runs.start import start

    torch.set_num_threads(1)
    began, where = time.monotonic(), folder / cell.key
    shutil.rmtree(where, ignore_errors=True)
    first = start(parsed(_tables(FIRST, cell, scale)), where / "first", seed=cell.seed)
    base = first.checkpoints / f"step_{scale.steps}"
    longer = replace(scale, steps=scale.steps * 3 // 2)
    found, away = dict[str, Any](), list[dict[str, Any]]()
    for at, arm in enumerate(ARMS):
        config = parsed(_tables(arm, cell, longer) | {"model": {"name": str(base)}})
        run = start(config, where / arm.name, seed=cell.seed)
        played = partial(_played, run, longer, (cell.seed, at))
        found[arm.name] = measured(played(None), np.random.default_rng([cell.seed, at]))
        if arm.name == "unscaled":
            away = [elsewhere(name, played(env)) for name, env in AWAY.items()]
    shutil.rmtree(where)
    passed = {str(scale.steps + longer.steps): found["answers"].pop("right_G")}
    about = {"scale": scale.name, "arms": found, "away": away}
    return Row(cell.data(), passed, scale.samples, seconds=time.monotonic() - began, about=about)


def _tables(arm: Arm, cell: Cell, scale: Scale) -> dict[str, Any]:
    return Cell.of(arm, env="lookup", start="even", seed=cell.seed, curve=False).tables(scale)


def _played(run: Any, scale: Scale, seed: tuple[int, int], env: Env | None) -> list[Trajectory]:
    """Returns what a run's last policy does on held-out tasks; None: of its own environment."""
    from assay.evaluate.run import held_out
    from assay.rollout.backends.local import Transformers
    from assay.runs.start import opened

    model = Transformers(*opened(run.config, run.checkpoints / f"step_{scale.steps}"))
    half = 1 if env is None else 2
    return list(
        held_out(
            run.config,
            model,
            prompts=scale.held_out // half,
            samples=scale.samples // half,
            seed=seed,
            env=env,
        )
    )


def measured(records: Sequence[Trajectory], rng: np.random.Generator) -> dict[str, Any]:
    """Returns what attempts come to: passes, honesty, and what could have been known of them.

    `drawn` is what is stated by chance, every level alike; `others` the rate of passes of the other
    attempts at the task, `likely` the chance of what was written before the number.
    """
    from assay.evaluate.run import Sampled

    prompts = len({each.group for each in records})
    found = Sampled.of(records, prompts, 1.0)
    seen = found.calibration(rng, None) or {}
    said_U, right_U, task_U = stated(records)
    rest_U = (found.passed_G[task_U] - right_U) / (found.total_G[task_U] - 1)
    told = [each for each in records if _sure(each) is not None]
    likely_U = np.exp([likely(each) for each in told])
    drawn_U = rng.choice(LEVELS, right_U.size)
    kept = ("stated", "brier", "ece", "ece_null", "auroc", "spread", "reliability", "recalibrated")
    return {
        "right_G": found.passed_G.tolist(),
        "passes": float(found.rate_SG.mean()),
        **{name: seen.get(name) for name in kept},
        "mean": float(said_U.mean()),
        "right": float(right_U.mean()),
        "drawn": {"ece": ece(drawn_U, right_U), "brier": brier(drawn_U, right_U)},
        "others": auroc(rest_U, right_U),
        "likely": auroc(likely_U, right_U),
    }


def stated(
    records: Sequence[Trajectory],
) -> tuple[Float64[np.ndarray, " U"], Bool[np.ndarray, " U"], Int64[np.ndarray, " U"]]:
    """Returns what attempts that state anything state, whether they are right, and their tasks."""
    place: dict[str, int] = {}
    told = [
        (_sure(each), each.outcome == 1.0, place.setdefault(each.group, len(place)))
        for each in records
    ]
    told = [each for each in told if each[0] is not None]
    return (
        np.array([q for q, *_ in told], float),
        np.array([ok for _, ok, _ in told], bool),
        np.array([at for *_, at in told], np.int64),
    )


def _sure(record: Trajectory) -> float | None:
    last = next((s for s in reversed(record.steps) if type(s) is ModelStep), ModelStep())
    return last.confidence


def likely(record: Trajectory) -> float:
    """Returns the log-probability of what a trajectory wrote before its number, in nats."""
    own = [p for step in record.steps if type(step) is ModelStep for p in step.logprobs or ()]
    return float(sum(p or 0.0 for p in own[:-NUMBER]))


def elsewhere(name: str, records: Sequence[Trajectory]) -> dict[str, Any]:
    """Returns how honest confidence is on tasks of another kind, and what a hundred labels mend.

    Of the attempts that state anything the labelled ones are every so-manieth; the rest is measured
    as stated, as recalibrated, and by one number, its own rate of passes.
    """
    said_U, right_U, _ = stated(records)
    every = max(said_U.size // LABELS, 2)
    mine_U = np.arange(said_U.size) % every == 0
    if mine_U.sum() < 2 or (~mine_U).sum() < 2:
        return {"level": name, "stated": int(said_U.size)}
    worth_U = fit(said_U[mine_U], right_U[mine_U]).on(said_U[~mine_U])
    rate = float(right_U[~mine_U].mean())
    return {
        "level": name,
        "stated": int(said_U.size),
        "labels": int(mine_U.sum()),
        "mean": float(said_U.mean()),
        "right": float(right_U.mean()),
        "brier": brier(said_U[~mine_U], right_U[~mine_U]),
        "mended": brier(worth_U, right_U[~mine_U]),
        "constant": rate * (1.0 - rate),
    }


def value(row: Row, arm: str, key: str) -> float:
    """Returns a number of an arm: one of its own, "excess" (calibration error less twice what
    honest answers stay below), "over" (Brier less that of its rate of passes) or "drawn" (the
    calibration error of numbers drawn by chance less its own)."""
    of = row.about["arms"][arm]
    if key == "excess":
        return of["ece"] - 2.0 * of["ece_null"]["upper"]
    if key == "over":
        return of["brier"] - of["right"] * (1.0 - of["right"])
    return of["drawn"]["ece"] - of["ece"] if key == "drawn" else of[key]


def of_arm(rows: Rows, arm: str, key: str, less: str | None = None) -> Seen | None:
    """Returns a number of an arm, less that of another that went on from the same policy."""
    return over_seeds(
        [
            value(row, arm, key) - (0.0 if less is None else value(row, less, key))
            for row in rows.rows
        ]
    )


def slope(row: Row) -> float:
    """Returns the slope of mean confidence on the share that is right, over levels; its own too."""
    own = row.about["arms"]["unscaled"]
    levels = [own, *(each for each in row.about["away"] if "mean" in each)]
    x, y = (np.array([each[key] for each in levels]) for key in ("right", "mean"))
    return float(np.cov(x, y, ddof=0)[0, 1] / x.var())


def mended(row: Row) -> float:
    """Returns the share of the Brier score above that of one number a level, its rate of passes,
    that two fitted numbers take away, over all other levels."""
    levels = [each for each in row.about["away"] if "mean" in each]
    before = sum(each["brier"] - each["constant"] for each in levels)
    return sum(each["brier"] - each["mended"] for each in levels) / before


def over_rows(rows: Rows, of: Callable[[Row], float]) -> Seen | None:
    """Returns a number of every row, over seeds."""
    return over_seeds([of(row) for row in rows.rows])


_told: Final = Prediction.of
PREDICTIONS: Final = (
    _told("P11 answers", "answers: AUROC of what is stated", ".45 to .55", "above .6",
          partial(of_arm, arm="answers", key="auroc"), (0.45, 0.55), (0.6, inf)),
    _told("P11 apart", "unscaled: AUROC of what is stated", "above .75", "below .6",
          partial(of_arm, arm="unscaled", key="auroc"), (0.6, inf), (-inf, 0.6)),
    _told("P11 error", "unscaled less answers: calibration error", "-.15", "above 0",
          partial(of_arm, arm="unscaled", key="ece", less="answers"), (-inf, 0.0), (0.0, inf)),
    _told("P12", "unscaled less answers: share that passes", "within one point", "below -1 point",
          partial(of_arm, arm="unscaled", key="passes", less="answers"),
          (-0.01, inf), (-inf, -0.01)),
    _told("figure", "unscaled: calibration error less twice what honest answers stay below",
          "below 0", "above 0", partial(of_arm, arm="unscaled", key="excess"),
          (-inf, 0.0), (0.0, inf)),
    _told("tells", "unscaled: Brier less that of one number, its rate of passes", "-.04", "above 0",
          partial(of_arm, arm="unscaled", key="over"), (-inf, 0.0), (0.0, inf)),
    _told("by chance", "calibration error of numbers drawn by chance, less that of unscaled",
          "+.2", "below 0", partial(of_arm, arm="unscaled", key="drawn"), (0.0, inf), (-inf, 0.0)),
    _told("P13 slope", "unscaled, other tasks: slope of mean confidence on the share that is right",
          ".1 to .5", "above .8", partial(over_rows, of=slope), (-inf, 0.5), (0.8, inf),
          unit="by slope"),
    _told("P13 mended", "other tasks: share of excess Brier that a hundred labels take away",
          "above .5", "below .5", partial(over_rows, of=mended), (0.5, inf), (-inf, 0.5)),
)  # fmt: skip


def shown(rows: Rows) -> Shown:
    """Returns what was run, and its numbers."""
    spent = sum(row.seconds for row in rows.rows)
    ran = (
        f"{spent:.0f} seconds of one core that others used too, {len(rows.rows)} seeds. Questions "
        "of 1 to 5 calls, mixed, one turn more than they need. 30 steps of 16 tasks by 8 attempts "
        "on outcomes, then 45 of each arm from there; measured on 64 "
        "held-out tasks by 16, elsewhere on 32 by 8."
    )
    return Shown(ran=ran, tables="\n".join([*_arms(rows), *_bins(rows), *_away(rows)]))


def _arms(rows: Rows) -> Iterator[str]:
    yield "\n| arm | passes | right | states | Brier | error | of honest, at most | AUROC |"
    yield "|---|---|---|---|---|---|---|---|"
    for arm in ARMS:
        of = [row.about["arms"][arm.name] for row in rows.rows]
        keys = ("passes", "right", "mean", "brier", "ece")
        mean = [float(np.mean([each[key] for each in of])) for key in keys]
        mean += [float(np.mean([each["ece_null"]["upper"] for each in of]))]
        mean += [float(np.mean([each["auroc"] for each in of]))]
        yield f"| {arm.name} | {' | '.join(f'{each:.3f}' for each in mean)} |"
    of = [row.about["arms"]["unscaled"] for row in rows.rows]
    known = [float(np.mean([each[key] for each in of])) for key in ("likely", "others")]
    yield (
        "\n`right`: of those that state anything. What could be known of unscaled's answers: by "
        f"the likelihood of its own tokens AUROC {known[0]:.3f}, by its other attempts at the task "
        f"{known[1]:.3f}."
    )


def _bins(rows: Rows) -> Iterator[str]:
    yield "\nunscaled, right by what is stated, all seeds together:\n"
    found: dict[int, list[tuple[float, int]]] = {}
    for row in rows.rows:
        for each in row.about["arms"]["unscaled"]["reliability"]:
            level = min(int(each["stated"] * 10), 9)
            found.setdefault(level, []).append((each["right"], each["samples"]))
    levels = sorted(found)
    yield f"| stated | {' | '.join(f'{(level + 0.5) / 10:.2f}' for level in levels)} |"
    yield "|---" * (len(levels) + 1) + "|"
    many = [sum(n for _, n in found[level]) for level in levels]
    hits = [sum(right * n for right, n in found[level]) for level in levels]
    right = [hit / n for hit, n in zip(hits, many, strict=True)]
    yield f"| right | {' | '.join(f'{each:.2f}' for each in right)} |"
    yield f"| attempts | {' | '.join(str(each) for each in many)} |"


def _away(rows: Rows) -> Iterator[str]:
    yield "\nunscaled on other tasks:\n"
    yield "| tasks | right | states | Brier | after two numbers | of one number |"
    yield "|---|---|---|---|---|---|"
    for name in AWAY:
        of = [e for row in rows.rows for e in row.about["away"] if e["level"] == name]
        of = [each for each in of if "mean" in each]
        if of:
            keys = ("right", "mean", "brier", "mended", "constant")
            mean = [float(np.mean([each[key] for each in of])) for key in keys]
            yield f"| {name} | {' | '.join(f'{each:.3f}' for each in mean)} |"


EXPERIMENT: Final = Experiment(
    id="confidence",
    title="Does confidence become honest where tasks differ, and the score is not scaled?",
    source=(
        "DCPO, https://arxiv.org/abs/2603.09117, without the division and with surprise paid, "
        "on the shipped policy; predictions 11 to 13 as for [calibration](calibration.md)"
    ),
    cells=cells,
    predictions=PREDICTIONS,
    scales=SCALES,
    quick=("mixed-answered-both",),
    work=work,
    shown=shown,
    unread=(
        "What is stated tells right from wrong, with a Brier score below that of any one number. "
        "Its error is .082 to .103, where twice of what honest answers stay below is .074 to .097: "
        "low numbers are too high still, .45 is said where .32 are right. After two numbers fitted "
        "on other tasks it is .061 to .073, below that in every seed. That dcpo makes silence "
        "worse than a wrong answer was not run apart from confidence. What made the difference was "
        "found at seed 0 alone ([log](../log.md)): tasks of one level teach one number. Not run: "
        "rlcr and dcpo as printed on these tasks, other weights, and more than 75 "
        "steps"
    ),
)

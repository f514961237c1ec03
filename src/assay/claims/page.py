"""The results page of an experiment: verdicts first, then every arm, as Markdown with figures."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any, Final

import numpy as np

from assay.claims.cells import ARMS, BASE, ENVIRONMENTS, MAIN, SHIPPED, STARTS, Cell
from assay.claims.experiment import Experiment, Prediction, Verdict
from assay.claims.measures import (
    Seen,
    by_tokens,
    difference,
    dose,
    largest,
    over_base,
    pass_at,
)
from assay.claims.results import Rows, rate
from assay.report.figure import COLOURS, Interval, Line, Panel, curves, forest
from assay.report.template import rendered

WAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "": {},
    "With four optimiser steps a batch, the later ones off-policy:": {"minibatches": 4},
    "With batches twice as large:": {"batch": 2},
    "With batches four times as large:": {"batch": 4},
    "With three times the steps:": {"length": 3},
    "With 20 % of the passes taken for failures in training:": {"false_negatives": 0.2},
}
"""Ways in which arms are run, by the sentence above their table."""
PAIRS: Final = (
    ("grpo", "grpo_positive"),
    ("grpo", "psr"),
    ("psr", "grpo_positive"),
    ("nsr", "grpo_negative"),
)
"""Arms that are compared though nothing was predicted: sign alone, weights alone."""
_KNOWN: Final = (*BASE, *ARMS, *SHIPPED)
SHOWN: Final = ("base", "grpo", "psr", "nsr", "grpo_positive", "grpo_negative", "assay")


def verdicts(experiment: Experiment, rows: Rows) -> list[tuple[Prediction, Seen | None, Verdict]]:
    """Returns every prediction with what was seen of it."""
    seen = [(each, each.measure(rows)) for each in experiment.predictions]
    return [(each, found, each.verdict(found)) for each, found in seen]


def summary(experiment: Experiment, rows: Rows) -> dict[str, Any]:
    """Returns the machine-readable result, schema "assay.claim/1"."""
    return {
        "schema": "assay.claim/1",
        "id": experiment.id,
        "title": experiment.title,
        "runs": sum(row.cell["arm"] not in BASE for row in rows.rows),
        "arms": list(_spent(rows)),
        "predictions": [
            {
                "id": prediction.id,
                "says": prediction.says,
                "expected": prediction.expected,
                "refuted_if": prediction.refuted_if,
                "seen": _numbers(seen),
                "seeds": None if seen is None else seen.seeds,
                "unit": prediction.unit,
                "verdict": verdict,
            }
            for prediction, seen, verdict in verdicts(experiment, rows)
        ],
    }


def _spent(rows: Rows) -> Iterator[dict[str, Any]]:
    """Yields how much each arm was trained: seeds, mean tokens sampled, mean dose."""
    for env, start, arm in product(rows.environments, rows.starts, rows.arms):
        found = [] if arm in BASE else rows.find(env, start, arm)
        if found:
            yield {
                "env": env,
                "start": start,
                "arm": arm,
                "seeds": len(found),
                "tokens": float(np.mean([row.tokens for row in found])),
                "dose": dose(rows, arm, env, start),
            }


def _numbers(seen: Seen | None) -> list[float] | None:
    if seen is None or seen.estimate is None:
        return None
    return [seen.estimate.value, seen.estimate.low, seen.estimate.high]


def page(experiment: Experiment, rows: Rows, figures: Mapping[str, str]) -> str:
    """Returns the page as Markdown; `figures` names the file of each figure."""
    k = largest(rows)
    half, whole = (by_tokens(rows, "grpo", "assay", "dead", share) for share in (0.5, 1.0))
    return rendered(
        "claims.md",
        experiment=experiment,
        about=_about(experiment, rows),
        shown=experiment.shown(rows) if experiment.shown and rows.rows else None,
        verdicts=verdicts(experiment, rows),
        told=told,
        figures=figures,
        k=k,
        gaps=list(_unpredicted(rows, k)),
        ways={title: list(_arms(rows, k, more)) for title, more in WAYS.items()},
        dosed=_dosed(rows),
        half=half,
        whole=whole,
    )


def _about(experiment: Experiment, rows: Rows) -> dict[str, Any]:
    """Returns what was run, and with what; nothing where nothing was trained."""
    trained = [row for row in rows.rows if row.cell["arm"] not in BASE]
    if not trained:
        return {}
    runs = Counter(replace(Cell(**row.cell), seed=0).key for row in trained)
    return {
        **trained[0].about,
        "runs": len(trained),
        "seeds": _between(runs.values()),
        "group": size.group if (size := experiment.scales.get(trained[0].about["scale"])) else "?",
        "tasks": len(trained[0].last),
        "attempts": _between(row.samples for row in trained),
        "minutes": sum(row.seconds for row in rows.rows) / 60,
    }


def _between(counts: Iterable[int]) -> str:
    few, *_, most = sorted([*counts] * 2)
    return f"{few}" if few == most else f"{few} to {most}"


def _unpredicted(rows: Rows, k: int) -> Iterator[tuple[str, str, list[str]]]:
    """Yields start, name and intervals (at 1 and k) of differences that nobody predicted."""
    asked = [(f"{b} less {a}", a, b, {}) for a, b in PAIRS]
    asked += [(f"{arm}, off-policy less on-policy", arm, arm, {"minibatches": 4}) for arm in MAIN]
    noisy = {"false_negatives": 0.2}
    asked += [(f"{arm}, 20 % false negatives less none", arm, arm, noisy) for arm in MAIN]
    for start, (name, a, b, more) in product(STARTS, asked):
        seen = [difference(rows, a, b, start, each, more_second=more) for each in (1, k)]
        if None not in seen:
            yield start, name, [told(each, "points") for each in seen]


def told(of: Seen | None, unit: str) -> str:
    """Returns an estimate as people read it."""
    if of is None:
        return "-"
    if of.estimate is None:
        return "no value"
    seen = of.estimate
    if unit == "points":
        return f"{seen.value:+.1%} [{seen.low:+.1%}, {seen.high:+.1%}]"
    if unit == "p":
        return f"p = {seen.value:.2g}"
    return f"{seen.value:+.4f} [{seen.low:+.4f}, {seen.high:+.4f}] {unit}"


def _arms(rows: Rows, k: int, more: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yields the cells of every arm that was run in one way, in the experiment's order."""
    for env, start, arm in product(rows.environments, rows.starts, rows.arms):
        found = rows.find(env, start, arm, **more)
        if not found:
            continue
        cells: list[Any] = [env, start, arm, len(found)]
        for each in (1, k):
            over = None
            if arm not in BASE:
                over = over_base(rows, arm, start, each, envs=(env,), **more)
            cells += [f"{pass_at(rows, arm, env, start, each, **more):.1%}", told(over, "points")]
        entropy = [row.entropy for row in found if row.entropy is not None]
        dead = [row.dead_share for row in found if row.dead_share is not None]
        cells += [f"{np.mean(entropy):.3f}" if entropy else "-"]
        cells += [f"{np.mean(dead):.0%}" if dead else "-"]
        if _dosed(rows):
            moved = dose(rows, arm, env, start, **more)
            tokens = float(np.mean([row.tokens for row in found]))
            cells += [f"{tokens:,.0f}" if arm not in BASE else "-"]
            cells += ["-" if moved is None else f"{moved:.3g}"]
        yield cells


def _dosed(rows: Rows) -> bool:
    """Returns whether any row says its dose: rows from before it was counted do not."""
    return any(row.dose is not None for row in rows.rows)


def figures(experiment: Experiment, rows: Rows) -> dict[str, bytes]:
    """Returns SVGs by file name, which begins with the experiment's id: what arms gained; pass@k
    of the main arms and, where rows say what each checkpoint took, pass@1 by tokens, one for each
    tasks and start. None of cells that were not trained (`Experiment.shown`).
    """
    if experiment.shown:
        return {}
    made = {**_gains(rows)}
    for env, start in product(rows.environments, rows.starts):
        for number, lines in enumerate(_parts(_by_k(rows, env, start))):
            part = f"-{number + 1}" if number else ""
            made[f"{_file(env)}-{start}{part}.svg"] = curves(
                lines,
                title=f"pass@k on held-out {env} tasks, {start} start",
                x_label="k",
                y_label="pass@k",
                x_scale="log2",
                y_range=(0.0, 1.0),
            )
    for env, start in product(ENVIRONMENTS, STARTS):
        lines = _by_tokens(rows, env, start)
        if len(lines) > 2:
            made[f"{env}-{start}-tokens.svg"] = curves(
                lines,
                title=f"pass@1 on held-out {env} tasks, {start} start, mean of seeds",
                x_label="tokens generated in training",
                y_label="pass@1",
            )
    return {f"{experiment.id}-{file}": svg for file, svg in made.items()}


def _parts(lines: list[Line]) -> list[list[Line]]:
    """Returns the lines in figures of as many as have colours; the first, the base, is in each."""
    if len(lines) < 2:
        return []
    size = len(COLOURS) - 1
    return [[lines[0], *lines[at : at + size]] for at in range(1, len(lines), size)]


def _gains(rows: Rows) -> dict[str, bytes]:
    """Returns what every arm of the factorial gained over the base, both families together."""
    arms = [arm for arm in ARMS if any(over_base(rows, arm, start, 1) for start in STARTS)]
    if len(arms) <= 2:  # GRPO and one more, or none: a table says it
        return {}

    def seen(arm: str, start: str, **more: Any) -> Interval | None:
        found = _numbers(over_base(rows, arm, start, 1, **more))
        return None if found is None else (100 * found[0], 100 * found[1], 100 * found[2])

    panels = [
        Panel(f"{start} start", [[seen(a, start), seen(a, start, minibatches=4)] for a in arms])
        for start in STARTS
    ]
    return {
        "gains.svg": forest(
            panels,
            rows=arms,
            series=["on-policy", "four mini-batches"],
            title="pass@1 over the base, held-out tasks of both families, 95 %",
            x_label="points of pass@1",
        )
    }


def _by_k(rows: Rows, env: str, start: str) -> list[Line]:
    ks = [1 << i for i in range(largest(rows).bit_length())]
    return [
        Line(arm, [float(k) for k in ks], [pass_at(rows, arm, env, start, k) or 0.0 for k in ks])
        for arm in [*SHOWN, *(each for each in rows.arms if each not in _KNOWN)]
        if rows.find(env, start, arm)
    ]


def _file(env: str) -> str:
    """Returns an environment's name as a file can have it."""
    return env.translate(str.maketrans("/:", "__"))


def _by_tokens(rows: Rows, env: str, start: str) -> list[Line]:
    lines: list[Line] = []
    for arm in ("grpo", "assay"):
        found = [row for row in rows.find(env, start, arm) if row.spent]
        runs = [
            [
                (row.spent[step], rate(row.passed[step], row.samples, 1).mean())
                for step in sorted(row.spent, key=int)
            ]
            for row in found
        ]
        # where a budget ends a run, seeds end at steps of their own: the first of each, and so on
        points = [np.mean(each, axis=0).tolist() for each in zip(*runs, strict=False)]
        if points:
            lines.append(Line(arm, [x for x, _ in points], [y for _, y in points]))
    base = pass_at(rows, "base", env, start, 1)
    if base is None or not lines:
        return lines
    return [Line("base", [0.0, max(line.x[-1] for line in lines)], [base, base]), *lines]

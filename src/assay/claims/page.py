"""The results page of an experiment: verdicts first, then every arm, as Markdown with figures."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from assay.claims.cells import ARMS, BASE, ENVIRONMENTS, MAIN, SHIPPED, STARTS
from assay.claims.experiment import Experiment, Prediction, Verdict
from assay.claims.measures import Seen, by_tokens, difference, gain, largest, over_base, pass_at
from assay.claims.results import Rows, rate
from assay.report.figure import Interval, Line, Panel, curves, forest

WAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "": {},
    "With four optimiser steps a batch, the later ones off-policy:": {"minibatches": 4},
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
SHOWN: Final = ("base", "grpo", "psr", "nsr", "grpo_positive", "grpo_negative", "assay")


def verdicts(experiment: Experiment, rows: Rows) -> list[tuple[Prediction, Seen | None, Verdict]]:
    """Returns every prediction with what was seen of it."""
    found: list[tuple[Prediction, Seen | None, Verdict]] = []
    for prediction in experiment.predictions:
        seen = prediction.measure(rows)
        found.append((prediction, seen, prediction.verdict(seen)))
    return found


def summary(experiment: Experiment, rows: Rows) -> dict[str, Any]:
    """Returns the machine-readable result, schema "assay.claim/1"."""
    return {
        "schema": "assay.claim/1",
        "id": experiment.id,
        "title": experiment.title,
        "runs": sum(row.cell["arm"] not in BASE for row in rows.rows),
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


def _numbers(seen: Seen | None) -> list[float] | None:
    if seen is None or seen.estimate is None:
        return None
    return [seen.estimate.value, seen.estimate.low, seen.estimate.high]


def page(experiment: Experiment, rows: Rows, figures: Mapping[str, str]) -> str:
    """Returns the page as Markdown; `figures` names the file of each figure."""
    lines = [f"# {experiment.title}", "", f"Source: {experiment.source}.", ""]
    lines += [*_about(experiment, rows), ""]
    lines += ["| | predicted | refuted if | seen, 95 % | verdict |", "|---|---|---|---|---|"]
    for each, seen, verdict in verdicts(experiment, rows):
        lines.append(
            f"| {each.id} | {each.says} ({each.expected}) | {each.refuted_if} "
            f"| {told(seen, each.unit)} | {verdict} |"
        )
    lines += [
        "",
        "A verdict needs the whole interval, from three seeds or more: *held* if all of it has the "
        "direction that is predicted, or lies within the bounds that it names, *refuted* if all of "
        "it lies where the prediction says it would be refuted, *open* otherwise. The sizes in "
        "brackets were expected; no verdict asks for them.",
        *(("", f"{experiment.unread}.") if experiment.unread else ()),
    ]
    for title, file in figures.items():
        lines += ["", f"![{title}]({file})"]
    arms = ["", *_arms(rows)] if rows.rows else []
    return "\n".join([*lines, *_unpredicted(rows), *arms, *_seeds(rows)]) + "\n"


def _unpredicted(rows: Rows) -> list[str]:
    """Returns a table of differences of which nothing was predicted."""
    asked = [(f"{b} less {a}", a, b, {}) for a, b in PAIRS]
    asked += [(f"{arm}, off-policy less on-policy", arm, arm, {"minibatches": 4}) for arm in MAIN]
    noisy = {"false_negatives": 0.2}
    asked += [(f"{arm}, 20 % false negatives less none", arm, arm, noisy) for arm in MAIN]
    k = largest(rows)
    lines: list[str] = []
    for start in STARTS:
        for name, a, b, more in asked:
            seen = [difference(rows, a, b, start, each, more_second=more) for each in (1, k)]
            if None not in seen:
                told_of = " | ".join(told(each, "points") for each in seen)
                lines.append(f"| {start} | {name} | {told_of} |")
    if not lines:
        return []
    note = (
        f"Not predicted: of {2 * len(lines)} intervals at 95 %, as of those over the base below, "
        "some miss by chance."
    )
    head = ["", note, "", f"| start | | pass@1 | pass@{k} |", "|---|---|---|---|"]
    return [*head, *lines]


def _seeds(rows: Rows) -> list[str]:
    """Returns what each seed came to by tokens, where rows say what each checkpoint took."""
    half, whole = (by_tokens(rows, "grpo", "assay", "dead", share) for share in (0.5, 1.0))
    if not half:
        return []
    lines = ["", "Seed by seed, pass@1 on held-out tasks of the dead start:", ""]
    lines += ["| seed | grpo, at its end | assay, half its tokens | assay, as many |"]
    lines += ["|---|---|---|---|"]
    for seed, (ended, early) in half.items():
        late = whole[seed][1]
        lines.append(f"| {seed} | {ended.mean():.1%} | {early.mean():.1%} | {late.mean():.1%} |")
    return lines


def told(of: Seen | None, unit: str) -> str:
    """Returns an estimate as people read it."""
    if of is None:
        return "-"
    if of.estimate is None:
        return "no value"
    seen = of.estimate
    if unit == "points":
        return f"{seen.value:+.1%} [{seen.low:+.1%}, {seen.high:+.1%}]"
    return f"{seen.value:+.4f} [{seen.low:+.4f}, {seen.high:+.4f}] {unit}"


def _about(experiment: Experiment, rows: Rows) -> list[str]:
    trained = [row for row in rows.rows if row.cell["arm"] not in BASE]
    if not trained:
        return ["Nothing was run yet."]
    first = trained[0]
    runs = Counter(tuple({**row.cell, "seed": None, "curve": None}.values()) for row in trained)
    few, most = min(runs.values()), max(runs.values())
    seeds = str(few) if few == most else f"{few} to {most}"
    return [
        f"{len(trained)} runs at the scale `{first.about['scale']}` "
        f"({first.about['steps']} steps of {first.about['prompts']} tasks x 8), "
        f"{seeds} seeds an arm; {len(first.last)} held-out tasks, "
        f"{first.samples} attempts each; {sum(row.seconds for row in rows.rows) / 60:.0f} minutes "
        f"of one core of a {first.about['cores']}-core {first.about['machine']} machine; "
        + ", ".join(f"{name} {v}" for name, v in first.about["versions"].items())
        + ".",
        "",
        f"Run it with `assay claims run {experiment.id} --scale {first.about['scale']}`; with "
        "`--committed` it goes on from these rows.",
    ]


def _arms(rows: Rows) -> list[str]:
    """Returns a table of arms for each way in which they were run."""
    k = largest(rows)
    lines: list[str] = []
    for title, more in WAYS.items():
        arms = [_arm(rows, *arm, k, more) for arm in _run(rows, more)]
        if arms:
            lines += [title, ""] if title else []
            lines += [
                f"| tasks | start | arm | seeds | pass@1 | over the base, 95 % | pass@{k} | "
                "over the base, 95 % | entropy | dead groups |"
            ]
            lines += ["|---|---|---|---|---|---|---|---|---|---|", *arms, ""]
    return lines[:-1]


def _run(rows: Rows, more: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns tasks, start and arm of what was run in one way, in the experiment's order."""
    return [
        (env, start, arm)
        for env in ENVIRONMENTS
        for start in STARTS
        for arm in (*BASE, *ARMS, *SHIPPED)
        if rows.find(env, start, arm, **more)
    ]


def _arm(rows: Rows, env: str, start: str, arm: str, k: int, more: Mapping[str, Any]) -> str:
    """Returns an arm as a line of the table."""
    found = rows.find(env, start, arm, **more)
    shown: list[str] = []
    for each in (1, k):
        value = pass_at(rows, arm, env, start, each, **more)
        over = None if arm in BASE else gain(rows, env, start, arm, each, **more)
        shown += ["-" if value is None else f"{value:.1%}", told(over, "points")]
    entropy = [row.entropy for row in found if row.entropy is not None]
    dead = [row.dead_share for row in found if row.dead_share is not None]
    shown += [f"{np.mean(entropy):.3f}" if entropy else "-"]
    shown += [f"{np.mean(dead):.0%}" if dead else "-"]
    return f"| {env} | {start} | {arm} | {len(found)} | {' | '.join(shown)} |"


def figures(experiment: Experiment, rows: Rows) -> dict[str, bytes]:
    """Returns SVGs by file name, which begins with the experiment's id: what arms gained; pass@k
    of the main arms and, where rows say what each checkpoint took, pass@1 by tokens, one for each
    tasks and start.
    """
    made = _gains(rows) | _pass_at_k(rows) | _curves(rows)
    return {f"{experiment.id}-{file}": svg for file, svg in made.items()}


def _gains(rows: Rows) -> dict[str, bytes]:
    """Returns what every arm of the factorial gained over the base, both families together."""
    arms = [arm for arm in ARMS if any(over_base(rows, arm, start, 1) for start in STARTS)]
    if len(arms) <= 2:  # GRPO and one more, or none: a table says it
        return {}
    ways: list[dict[str, Any]] = [{}, {"minibatches": 4}]

    def seen(arm: str, start: str, more: dict[str, Any]) -> Interval | None:
        found = _numbers(over_base(rows, arm, start, 1, **more))
        return None if found is None else (100 * found[0], 100 * found[1], 100 * found[2])

    panels = [
        Panel(f"{start} start", [[seen(arm, start, more) for more in ways] for arm in arms])
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


def _pass_at_k(rows: Rows) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    ks = [1 << i for i in range(largest(rows).bit_length())]
    for env in ENVIRONMENTS:
        for start in STARTS:
            lines = [
                Line(arm, [float(k) for k in ks], [pass_at(rows, arm, env, start, k) or 0.0
                                                   for k in ks])
                for arm in SHOWN
                if rows.find(env, start, arm)
            ]  # fmt: skip
            if len(lines) > 1:
                made[f"{env}-{start}.svg"] = curves(
                    lines,
                    title=f"pass@k on held-out {env} tasks, {start} start",
                    x_label="k",
                    y_label="pass@k",
                    x_scale="log2",
                    y_range=(0.0, 1.0),
                )
    return made


def _curves(rows: Rows) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    for env in ENVIRONMENTS:
        for start in STARTS:
            lines: list[Line] = []
            for arm in ("grpo", "assay"):
                found = [row for row in rows.find(env, start, arm) if row.spent]
                if not found:
                    continue
                steps = sorted(found[0].spent, key=int)
                spent = [float(np.mean([row.spent[step] for row in found])) for step in steps]
                seen = [
                    np.mean([rate(row.passed[step], row.samples, 1).mean() for row in found])
                    for step in steps
                ]
                lines.append(Line(arm, spent, [float(each) for each in seen]))
            base = pass_at(rows, "base", env, start, 1)
            if len(lines) > 1 and base is not None:
                most = max(line.x[-1] for line in lines)
                lines.insert(0, Line("base", [0.0, most], [base, base]))
                made[f"{env}-{start}-tokens.svg"] = curves(
                    lines,
                    title=f"pass@1 on held-out {env} tasks, {start} start, mean of seeds",
                    x_label="tokens generated in training",
                    y_label="pass@1",
                )
    return made

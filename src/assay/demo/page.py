"""The demo's page: one HTML file that loads nothing; every number in it is in report.json."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from assay.demo.words import verdict
from assay.report.figure import Line, figure
from assay.report.html import difference, document, inline, interval, keyed, listed, table
from assay.report.svg import COLOURS

WINDOW: Final = 5
"""Steps of the running mean in the learning curves."""
SHOWN: Final = 12
"""Events on the page."""


def page(result: Mapping[str, Any], curves: str) -> str:
    """Returns the page of a result of `results.gathered`, and pass@k as SVG in it."""
    parts = [
        "<h1>GRPO and Assay&#8217;s recipe on one budget</h1>",
        _run(result),
        '<ul class="verdict">'
        + "".join(f"<li>{escape(s)}</li>" for s in verdict(result))
        + "</ul>",
        "<h2>Held-out tasks</h2>",
        _measured(result),
        f'<div class="figure single">{inline(curves)}</div>',
        "<h2>What each arm cost</h2>",
        _budget(result),
        "<h2>Learning curves</h2>",
        _curves(result),
        "<h2>Where the signal came from</h2>",
        _signal(result),
        _dead(result),
        "<h2>Look closer</h2>",
        _links(result),
    ]
    return document("Demo", parts)


def _run(result: Mapping[str, Any]) -> str:
    names = ", ".join(f"{escape(result['titles'][name])} ({name})" for name in result["arms"])
    return (
        f"<p>From the same starting policy (<code>{escape(result['model'])}</code>) two recipes "
        f"trained on <code>{escape(result['env'])}</code> for {result['steps']} steps of "
        f"{result['prompts']} tasks with {result['group']} attempts each, on the same tasks in the "
        f"same order, seed {result['seed']}, learning rate {result['learning_rate']:g}: {names}. "
        f"Then base, both arms and a frozen copy of the base made {result['eval']['samples']} "
        f"attempts at each of {result['eval']['prompts']} tasks that nobody trained on.</p>"
    )


def _measured(result: Mapping[str, Any]) -> str:
    last = result["eval"]["k"][-1]
    policies = {"base": result["base"], **result["arms"], "frozen copy": result["null"]}
    rows: list[list[str]] = []
    for number, (name, arm) in enumerate(policies.items()):
        gap = arm.get("difference")
        rows.append(
            [
                keyed(number, name),
                interval(arm["pass_at_1"], arm["ci"]),
                difference(gap) if gap else "",
                ("yes" if gap["excludes_zero"] else "no") if gap else "",
                interval(arm["pass_at_last"], arm["ci_last"]),
                str(arm["all_fail"]),
                f"{arm['answer_entropy']:.2f}",
            ]
        )
    head = ("policy", "pass@1", "over the base", "excludes 0", f"pass@{last}", "never solved")
    note = (
        '<p class="soft">Intervals are 95 % over tasks; differences are paired by task. '
        "The frozen copy learnt nothing: what it gains is what this measurement gives away. "
        "Never solved: tasks without one success. Entropy of the answers in nats.</p>"
    )
    return table((*head, "answer entropy"), rows) + note


def _budget(result: Mapping[str, Any]) -> str:
    rows = [
        [
            escape(name),
            *(f"{arm['budget'][key]:,}" for key in ("prompts", "trajectories", "tokens", "calls")),
            f"{arm['seconds']:,.0f} s",
            str(arm["skipped"]),
        ]
        for name, arm in result["arms"].items()
    ]
    head = ("arm", "tasks", "trajectories", "generated tokens", "tool calls", "training time")
    return table((*head, "skipped steps"), rows) + (
        '<p class="soft">Measured from each run&#8217;s ledger. Tasks and trajectories are equal '
        "by construction; tokens and calls are what each policy then used.</p>"
    )


def _curves(result: Mapping[str, Any]) -> str:
    def lines(key: str) -> list[Line]:
        return [
            Line(name, [float(x) for x in arm["curve"]["step"]], _smoothed(arm["curve"][key]))
            for name, arm in result["arms"].items()
        ]

    shown = (("reward", "mean reward"), ("dead_share", "dead groups"), ("entropy", "entropy"))
    made = [
        figure(
            lines(key),
            title=f"{label}, mean of {WINDOW} steps",
            x_label="step",
            y_label=label,
            y_range=(0.0, _top(result, key)),
        )
        for key, label in shown
    ]
    inner = "".join(f'<div class="figure">{inline(_shifted(each))}</div>' for each in made)
    return f'<div class="figures">{inner}</div>'


def _top(result: Mapping[str, Any], key: str) -> float:
    """Returns where a figure's axis ends: 1 for shares and rewards, above all for what is more."""
    most = max(value or 0.0 for arm in result["arms"].values() for value in arm["curve"][key])
    return most * 1.1 if key == "entropy" or most > 1 else 1.0


def _shifted(svg: str) -> str:
    """Returns a figure without a base, its arms in the colours that they have beside a base."""
    for number in (1, 0):
        svg = svg.replace(COLOURS[number], COLOURS[number + 1])
    return svg


def _smoothed(values: Sequence[float | None]) -> list[float]:
    """Returns the mean of what is known of each step and those just before it; 0: nothing is."""
    windows = (values[max(0, at + 1 - WINDOW) : at + 1] for at in range(len(values)))
    known = ([value for value in window if value is not None] for window in windows)
    return [sum(window) / max(len(window), 1) for window in known]


def _signal(result: Mapping[str, Any]) -> str:
    rows: list[list[str]] = []
    for name, arm in result["arms"].items():
        mass = arm["mass"]
        parts = {**mass["terms"], "all, as trained": mass}
        for part, each in parts.items():
            rows.append([escape(name), escape(part), *_signs(each)])
    note = (
        '<p class="soft">Advantage mass: the sum of absolute advantages over all sampled tokens of '
        "the run. Terms are before caps and controllers, the last row of an arm after them.</p>"
    )
    head = ("arm", "term", "pushes up", "pushes down", "up and down")
    return f'<div class="signal">{table(head, rows)}</div>' + note


def _signs(mass: Mapping[str, Any]) -> list[str]:
    up, down = mass["positive"], mass["negative"]
    share = 100 * up / (up + down) if up + down else 0.0
    bar = f'<div class="bar"><i style="width:{share:.1f}%"></i>'
    bar += f'<i style="width:{100 - share if up + down else 0:.1f}%"></i></div>'
    return [f"{up:,.0f}", f"{down:,.0f}", bar]


def _dead(result: Mapping[str, Any]) -> str:
    causes = list(dict.fromkeys(key for arm in result["arms"].values() for key in arm["dead"]))
    seen = [key for key in causes if any(arm["dead"].get(key) for arm in result["arms"].values())]
    rows = [
        [
            escape(name),
            f"{sum(arm['dead'].values()):.1%}",
            *(f"{arm['dead'].get(cause, 0.0):.1%}" for cause in seen),
            f"{arm['mass']['all_fail_share']:.1%}",
        ]
        for name, arm in result["arms"].items()
    ]
    head = ("arm", "dead groups", *(cause.replace("_", " ") for cause in seen))
    note = (
        '<p class="soft">Dead: all attempts of a group scored alike, so that comparing them '
        "teaches nothing. The last column is the part of the trained mass that came from groups "
        "in which all failed.</p>"
    )
    return table((*head, "mass from all-fail"), rows) + note


def _links(result: Mapping[str, Any]) -> str:
    pages = {f"Every trajectory of {n}, audited": a["audit"] for n, a in result["arms"].items()}
    pages["The recorded set with planted faults, audited"] = result["recorded"]
    items = "".join(
        f'<li><a href="{escape(link)}">{escape(text)}</a></li>'
        for text, link in pages.items()
        if link
    )
    events = [f"{n}, {event}" for n, arm in result["arms"].items() for event in arm["events"]]
    more = f"<h2>What the safety did</h2>{listed(events[:SHOWN])}" if events else ""
    left = len(events) - SHOWN
    rest = f'<p class="soft">{left} more are in metrics.jsonl.</p>' if left > 0 else ""
    return f"<ul>{items}</ul>{more}{rest}"

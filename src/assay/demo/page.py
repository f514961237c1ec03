"""The demo's page: one HTML file that loads nothing; every number in it is in report.json."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from assay.demo.words import verdict
from assay.report.figure import Line, curves
from assay.report.html import (
    Block,
    Cell,
    Content,
    difference,
    document,
    figures,
    heading,
    interval,
    keyed,
    listed,
    table,
    text,
)

WINDOW: Final = 5
"""Steps of the running mean in the learning curves."""
SHOWN: Final = 12
"""Events on the page."""


def page(result: Mapping[str, Any], pass_at_k: bytes) -> str:
    """Returns the page of a result of `results.gathered`, and pass@k as SVG in it."""
    blocks = [
        _run(result),
        listed(verdict(result), "verdict"),
        heading("Held-out tasks"),
        *_measured(result),
        figures(pass_at_k),
        heading("What each arm cost"),
        *_budget(result),
        heading("Learning curves"),
        _curves(result),
        heading("Where the signal came from"),
        *_signal(result),
        *_dead(result),
        heading("Look closer"),
        *_links(result),
    ]
    return document("Demo", "GRPO and Assay's recipe on one budget", blocks)


def _run(result: Mapping[str, Any]) -> Block:
    names = ", ".join(f"{result['titles'][name]} ({name})" for name in result["arms"])
    return text(
        "From the same starting policy (",
        result["model"],
        ") two recipes trained on ",
        result["env"],
        f" for {result['steps']} steps of {result['prompts']} tasks with {result['group']} "
        f"attempts each, on the same tasks in the same order, seed {result['seed']}, learning rate "
        f"{result['learning_rate']:g}: {names}. Then base, both arms and a frozen copy of the "
        f"base made {result['eval']['samples']} attempts at each of {result['eval']['prompts']} "
        "tasks that nobody trained on.",
    )


def _measured(result: Mapping[str, Any]) -> list[Block]:
    last = result["eval"]["k"][-1]
    policies = {"base": result["base"], **result["arms"], "frozen copy": result["null"]}
    rows: list[list[Content]] = []
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
    note = text(
        "Intervals are 95 % over tasks; differences are paired by task. The frozen copy learnt "
        "nothing: what it gains is what this measurement gives away. Never solved: tasks without "
        "one success. Entropy of the answers in nats.",
        soft=True,
    )
    return [table((*head, "answer entropy"), rows), note]


def _budget(result: Mapping[str, Any]) -> list[Block]:
    rows = [
        [
            name,
            *(f"{arm['budget'][key]:,}" for key in ("prompts", "trajectories", "tokens", "calls")),
            f"{arm['seconds']:,.0f} s",
            str(arm["skipped"]),
        ]
        for name, arm in result["arms"].items()
    ]
    head = ("arm", "tasks", "trajectories", "generated tokens", "tool calls", "training time")
    note = text(
        "Measured from each run's ledger. Tasks and trajectories are equal by construction; tokens "
        "and calls are what each policy then used.",
        soft=True,
    )
    return [table((*head, "skipped steps"), rows), note]


def _curves(result: Mapping[str, Any]) -> Block:
    def lines(key: str) -> list[Line]:
        return [
            Line(name, [float(x) for x in arm["curve"]["step"]], _smoothed(arm["curve"][key]))
            for name, arm in result["arms"].items()
        ]

    shown = (("reward", "mean reward"), ("dead_share", "dead groups"), ("entropy", "entropy"))
    made = (
        curves(
            lines(key),
            title=f"{label}, mean of {WINDOW} steps",
            x_label="step",
            y_label=label,
            y_range=(0.0, _top(result, key)),
            base=False,
        )
        for key, label in shown
    )
    return figures(*made)


def _top(result: Mapping[str, Any], key: str) -> float:
    """Returns where a figure's axis ends: 1 for shares and rewards, above all for what is more."""
    most = max(value or 0.0 for arm in result["arms"].values() for value in arm["curve"][key])
    return most * 1.1 if key == "entropy" or most > 1 else 1.0


def _smoothed(values: Sequence[float | None]) -> list[float]:
    """Returns the mean of what is known of each step and those just before it; 0: nothing is."""
    windows = (values[max(0, at + 1 - WINDOW) : at + 1] for at in range(len(values)))
    known = ([value for value in window if value is not None] for window in windows)
    return [sum(window) / max(len(window), 1) for window in known]


def _signal(result: Mapping[str, Any]) -> list[Block]:
    rows: list[list[Content]] = []
    for name, arm in result["arms"].items():
        for part, each in {**arm["mass"]["terms"], "all, as trained": arm["mass"]}.items():
            rows.append([name, part, *_signs(each)])
    note = text(
        "Advantage mass: the sum of absolute advantages over all sampled tokens of the run. Terms "
        "are before caps and controllers, the last row of an arm after them.",
        soft=True,
    )
    return [table(("arm", "term", "pushes up", "pushes down", "up and down"), rows, "signal"), note]


def _signs(mass: Mapping[str, Any]) -> list[Content]:
    up, down = mass["positive"], mass["negative"]
    share = 100 * up / (up + down) if up + down else 0.0
    rest = 100 - share if up + down else 0.0
    return [f"{up:,.0f}", f"{down:,.0f}", Cell(up=f"{share:.1f}", down=f"{rest:.1f}")]


def _dead(result: Mapping[str, Any]) -> list[Block]:
    causes = list(dict.fromkeys(key for arm in result["arms"].values() for key in arm["dead"]))
    seen = [key for key in causes if any(arm["dead"].get(key) for arm in result["arms"].values())]
    rows = [
        [
            name,
            f"{sum(arm['dead'].values()):.1%}",
            *(f"{arm['dead'].get(cause, 0.0):.1%}" for cause in seen),
            f"{arm['mass']['all_fail_share']:.1%}",
        ]
        for name, arm in result["arms"].items()
    ]
    head = ("arm", "dead groups", *(cause.replace("_", " ") for cause in seen))
    note = text(
        "Dead: all attempts of a group scored alike, so that comparing them teaches nothing. The "
        "last column is the part of the trained mass that came from groups in which all failed.",
        soft=True,
    )
    return [table((*head, "mass from all-fail"), rows), note]


def _links(result: Mapping[str, Any]) -> list[Block]:
    pages = {f"Every trajectory of {n}, audited": a["audit"] for n, a in result["arms"].items()}
    pages["The recorded set with planted faults, audited"] = result["recorded"]
    blocks = [listed([Cell(text=name, link=link) for name, link in pages.items() if link])]
    events = [f"{n}, {event}" for n, arm in result["arms"].items() for event in arm["events"]]
    if events:
        blocks += [heading("What the safety did"), listed(events[:SHOWN])]
    if (left := len(events) - SHOWN) > 0:
        blocks.append(text(f"{left} more are in ", "metrics.jsonl", ".", soft=True))
    return blocks

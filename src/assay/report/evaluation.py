"""The page of `assay eval`: every number in it is in eval.json."""

from collections.abc import Mapping
from typing import Any

from assay.report.html import (
    Block,
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


def page(result: Mapping[str, Any], curves: bytes) -> str:
    """Returns the page of a result, schema "assay.eval/1", and its curves as SVG in it."""
    names = " and ".join(result["arms"])
    return document(
        f"pass@k of {names}",
        f"{names}, held out",
        [
            _how(result),
            listed([sentence(result, name) for name in result["arms"]], "verdict"),
            figures(curves),
            heading("pass@k"),
            _curves(result),
            heading("Policies"),
            *_policies(result),
            *_calibration(result),
        ],
    )


def sentence(result: Mapping[str, Any], name: str) -> str:
    """Returns what an arm has over the base, and what a frozen copy has by chance."""
    arm, null = result["arms"][name], result["null"]["newly_solved"]
    gap, new = arm["difference"], arm["newly_solved"]
    said = f"{name}: pass@1 {gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}] over the "
    if not new["unreached_by_base"]:
        return f"{said}base, which passed every task at least once"
    return (
        f"{said}base; newly solved {new['solved']} of {new['unreached_by_base']} (by one success "
        f"{_share(new['once'])}, a frozen copy {_share(null['once'])})"
    )


def policies(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns everything measured, in the order of figures and tables."""
    return {"base": result["base"], **result["arms"], "frozen copy": result["null"]}


def _how(result: Mapping[str, Any]) -> Block:
    steps = ", ".join(f"{name} after step {step}" for name, step in result["steps"].items())
    return text(
        f"{result['samples']} attempts at each of {result['prompts']} tasks of ",
        result["env"],
        f" from {result['first_task']:,} on, which nobody trained on: the base ",
        result["model"],
        f", {steps}, and a frozen copy of the base. Temperature {result['temperature']:g}, seed "
        f"{result['seed']}. Intervals are 95 % over tasks; differences are paired by task. The "
        "frozen copy learnt nothing: what it gains is what this measurement gives away.",
    )


def _curves(result: Mapping[str, Any]) -> Block:
    measured = policies(result)
    rows = [
        [str(k), *(interval(arm["pass_at_k"][at], arm["ci"][at]) for arm in measured.values())]
        for at, k in enumerate(result["k"])
    ]
    return table(["k", *(keyed(number, name) for number, name in enumerate(measured))], rows)


def _policies(result: Mapping[str, Any]) -> list[Block]:
    rows: list[list[Content]] = [
        [
            keyed(number, name),
            difference(arm["difference"]) if "difference" in arm else "",
            str(arm["all_fail"]),
            str(arm["newly_solved"]["solved"]) if name in result["arms"] else "",
            f"{arm['distinct_answers']:.1f}",
            f"{arm['answer_entropy']:.2f}",
            f"{arm['tokens']:,}",
        ]
        for number, (name, arm) in enumerate(policies(result).items())
    ]
    head = ("policy", "pass@1 over the base", "never solved", "newly solved", "distinct answers")
    note = text(
        "Never solved: tasks without one success. Newly solved: of those of the base, by Fisher's "
        "exact test against the frozen copy, false discovery rate 5 %. Entropy of the answers in "
        "nats.",
        soft=True,
    )
    return [table((*head, "answer entropy", "tokens"), rows), note]


def _calibration(result: Mapping[str, Any]) -> list[Block]:
    """Returns how honest stated confidence is; nothing where nobody stated any."""
    rows: list[list[Content]] = [
        [
            keyed(number, name),
            f"{seen['stated']:,}",
            f"{seen['brier']:.3f}",
            f"{seen['ece']:.3f}",
            f"{seen['ece_null']['upper']:.3f}",
            "-" if seen["auroc"] is None else f"{seen['auroc']:.3f}",
        ]
        for number, (name, arm) in enumerate(policies(result).items())
        if (seen := arm["calibration"])
    ]
    if not rows:
        return []
    head = ("policy", "stated", "Brier", "calibration error", "of honest answers, at most", "AUROC")
    note = "A calibration error up to the fifth column is what honest confidence would show too "
    return [heading("Stated confidence"), table(head, rows), text(f"{note}(95 %).", soft=True)]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"

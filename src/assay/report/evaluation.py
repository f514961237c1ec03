"""The page of `assay eval`: every number in it is in eval.json."""

from collections.abc import Mapping
from html import escape
from typing import Any

from assay.report.html import difference, document, inline, interval, keyed, listed, table


def page(result: Mapping[str, Any], curves: str) -> str:
    """Returns the page of a result, schema "assay.eval/1", and its curves as SVG in it."""
    names = " and ".join(result["arms"])
    stated = _calibration(result)
    return document(
        f"pass@k of {names}",
        [
            f"<h1>{escape(names)}, held out</h1>",
            _how(result),
            listed([sentence(result, name) for name in result["arms"]], "verdict"),
            f'<div class="figure single">{inline(curves)}</div>',
            "<h2>pass@k</h2>",
            _curves(result),
            "<h2>Policies</h2>",
            _policies(result),
            *(("<h2>Stated confidence</h2>", stated) if stated else ()),
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


def _how(result: Mapping[str, Any]) -> str:
    steps = ", ".join(f"{name} after step {step}" for name, step in result["steps"].items())
    return (
        f"<p>{result['samples']} attempts at each of {result['prompts']} tasks of "
        f"<code>{escape(result['env'])}</code> from {result['first_task']:,} on, which nobody "
        f"trained on: the base <code>{escape(result['model'])}</code>, {escape(steps)}, and a "
        f"frozen copy of the base. Temperature {result['temperature']:g}, seed {result['seed']}. "
        "Intervals are 95 % over tasks; differences are paired by task. The frozen copy learnt "
        "nothing: what it gains is what this measurement gives away.</p>"
    )


def _curves(result: Mapping[str, Any]) -> str:
    measured = policies(result)
    rows = [
        [str(k), *(interval(arm["pass_at_k"][at], arm["ci"][at]) for arm in measured.values())]
        for at, k in enumerate(result["k"])
    ]
    return table(["k", *(keyed(number, name) for number, name in enumerate(measured))], rows)


def _policies(result: Mapping[str, Any]) -> str:
    rows = [
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
    note = (
        '<p class="soft">Never solved: tasks without one success. Newly solved: of those of the '
        "base, by Fisher&#8217;s exact test against the frozen copy, false discovery rate 5 %. "
        "Entropy of the answers in nats.</p>"
    )
    return table((*head, "answer entropy", "tokens"), rows) + note


def _calibration(result: Mapping[str, Any]) -> str:
    """Returns how honest stated confidence is; nothing where nobody stated any."""
    rows = [
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
        return ""
    head = ("policy", "stated", "Brier", "calibration error", "of honest answers, at most", "AUROC")
    note = (
        '<p class="soft">A calibration error up to the fifth column is what honest confidence '
        "would show too (95 %).</p>"
    )
    return table(head, rows) + note


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"

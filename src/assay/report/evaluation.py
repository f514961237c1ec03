"""The page of `assay eval`: every number in it is in eval.json."""

from collections.abc import Mapping
from typing import Any

from assay.report.figure import COLOURS, Line, curves
from assay.report.template import rendered


def page(result: Mapping[str, Any], curves: bytes, reliability: bytes | None = None) -> str:
    """Returns the page of a result, schema "assay.eval/1", its curves and, where confidence was
    stated, its diagram of reliability as SVG in it."""
    said = [sentence(result, name) for name in result["arms"]]
    said += [told for name in result["arms"] if (told := read_books(result, name))]
    return rendered(
        "evaluation.html",
        policies(result),
        result=result,
        said=said,
        svg=curves,
        reliability=reliability,
        learnt=learnt(result),
    )


def reliable(result: Mapping[str, Any]) -> bytes | None:
    """Returns the diagram of reliability, an SVG: how often answers are right by how sure they were
    stated, of base and arms. None: nobody stated any confidence."""
    lines = list[Line]()
    for name, arm in {"base": result["base"], **result["arms"]}.items():
        if (seen := arm["calibration"]) is not None:
            bins = seen["reliability"]
            lines.append(
                Line(
                    name,
                    [each["stated"] for each in bins],
                    [each["right"] for each in bins],
                    [(each["low"], each["high"]) for each in bins],
                )
            )
    if not lines:
        return None
    return curves(
        lines,
        diagonal="right as often as stated",
        base=lines[0].name == "base",  # who states nothing takes no colour from others
        title="stated confidence, and how often it was right",
        x_label="stated confidence",
        y_label="share that is right, 95 %",
        y_range=(0.0, 1.0),
    )


def honesty(result: Mapping[str, Any], name: str) -> str | None:
    """Returns what an arm's stated confidence is worth, in a sentence; None: it states none."""
    arm = result["arms"][name]
    if (seen := arm["calibration"]) is None:
        return None
    after, votes = seen["recalibrated"], arm["votes"]
    inside = "within" if seen["ece"] <= seen["ece_null"]["upper"] else "above"
    apart = "-" if seen["auroc"] is None else f"{seen['auroc']:.3f}"
    return (
        f"{name}: Brier {seen['brier']:.3f}, calibration error {seen['ece']:.3f} ({inside} the "
        f"{seen['ece_null']['upper']:.3f} of honest answers), AUROC {apart}; recalibrated on other "
        f"tasks {after['brier']:.3f} and {after['ece']:.3f}; elected by majority "
        f"{votes['majority']:.3f}, by confidence {votes['weighted']:.3f}"
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
        f"{new['once']:.0%}, a frozen copy {null['once']:.0%})"
    )


def read_books(result: Mapping[str, Any], name: str) -> str | None:
    """Returns how often an arm chooses the right option of a question, in a sentence; None: nothing
    asks any."""
    if (found := result["books"]) is None:
        return None
    told = list[str]()
    for book in ("closed", "open"):
        arm, base = found[book][name], found[book]["base"]
        gap = arm["difference"]
        told.append(
            f"{book} book {arm['right']:.3f}, {gap['value']:+.3f} "
            f"[{gap['low']:+.3f}, {gap['high']:+.3f}] over the base's {base['right']:.3f}"
        )
    return f"{name}: right option {'; '.join(told)}"


def learnt(result: Mapping[str, Any]) -> bytes | None:
    """Returns how closed and open book went while runs were trained, an SVG. None: nothing was
    asked."""
    course = (result["books"] or {}).get("course", {})
    lines = [
        Line(f"{name}, {book} book", [float(row[0]) for row in rows], [row[at] for row in rows])
        for name, rows in course.items()
        for at, book in ((1, "closed"), (2, "open"))
        if rows
    ]
    if not 0 < len(lines) <= len(COLOURS):
        return None
    return curves(
        lines,
        title="right option, by step",
        x_label="optimiser step",
        y_label="share that is right",
        y_range=(0.0, 1.0),
        base=False,
    )


def policies(result: Mapping[str, Any]) -> dict[str, Any]:
    """Returns everything measured, in the order of figures and tables."""
    return {"base": result["base"], **result["arms"], "frozen copy": result["null"]}

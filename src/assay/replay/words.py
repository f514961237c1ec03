"""What a replay says of itself: budget, result, the line that comes first, and the page."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from assay.replay.truth import FEWEST
from assay.report.pack import decimals
from assay.rollout.progress import about

HEADS: Final = {
    "auroc_matters": "Finding the steps that matter: AUROC of |credit|",
    "auroc_sign": "Good steps against bad ones, of those that matter: AUROC of credit",
    "rank": "Rank correlation of credit and true advantage",
    "sign": "Steps that matter whose credit has the sign of the truth",
    "bias": "Bias: mean / root mean square of credit, less that of the truth",
}
"""Metrics in words."""
COLUMNS: Final = ("", "n", "itself", "shuffled", "random", "over shuffled")
JUDGED: Final = ("auroc_matters", "auroc_sign")
"""Metrics that the first line is about."""
OF_THOSE_THAT_MATTER: Final = ("auroc_sign", "sign")
"""Metrics of good and bad steps alone."""
LEGEND: Final = (
    "n: decisions with credit that a metric is of. Shuffled: the same credit in another order "
    "inside each trajectory. Intervals: 95 %, tasks drawn anew; none where no draw changes it. "
    "Constant in time: a method pays all steps of a trajectory alike; no order changes it."
)
_WORDS: Final = {"auroc_matters": "finding steps that matter", "auroc_sign": "good against bad"}


def budget(decisions: int, continuations: int, tokens: int, seconds: float) -> str:
    """Returns what is about to be spent; `seconds` is what it is expected to take."""
    return (
        f"budget: {decisions:,} decisions, {continuations:,} continuations, about {tokens:,} "
        f"tokens, {about(seconds)}"
    )


def headline(result: Mapping[str, Any]) -> str:
    """Returns whether any method stands above its own shuffled control, and which evidence does."""
    found, evident = _said(result, "methods"), _said(result, "evidence")
    said = (
        f"Above their own credit shuffled in time, by an interval that excludes zero: {found}."
        if found
        else "No method stands above its own credit shuffled in time by an interval that excludes "
        "zero, neither in finding the steps that matter nor in telling good from bad ones."
    )
    return f"{said} Evidence that does: {evident}." if evident else said


def _said(result: Mapping[str, Any], key: str) -> str:
    return "; ".join(
        f"{name} in {_WORDS[metric]} ({signed(**row[metric]['over_shuffled'])})"
        for name, metric, row in above(result, key)
    )


def above(
    result: Mapping[str, Any], key: str = "methods"
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yields name, metric and numbers of what stands above its shuffled control."""
    for name, row in result[key].items():
        for metric in JUDGED:
            low = row[metric]["over_shuffled"]["low"]
            if low is not None and low > 0:
                yield name, metric, row


def compared(result: Mapping[str, Any]) -> int:
    """Returns how many differences to a shuffled control have an interval of some width: of
    methods and evidence, in the metrics that the first line is about."""
    rows = [*result["methods"].values(), *result["evidence"].values()]
    gaps = [row[metric]["over_shuffled"] for row in rows for metric in JUDGED]
    return sum(gap["low"] is not None and gap["low"] < gap["high"] for gap in gaps)


def sentences(result: Mapping[str, Any]) -> Iterator[str]:
    """Yields what is said under the first line."""
    matters, verdicts = result["matters"], result["verdicts"]
    needs = [f"intervals take {FEWEST} tasks"] if result["tasks"] < FEWEST else []
    if out := ", ".join(metric for metric in HEADS if not told(result, metric)):
        needs.append(f"what is left out ({out}) takes good, bad and open steps of unlike credit")
    if needs:
        yield (
            f"{result['scored']} scored decisions of {result['tasks']} tasks are too few: "
            f"{'; '.join(needs)}. Ask for more with --decisions, or for more --samples."
        )
    many = compared(result)
    yield (
        f"{many} comparisons with a shuffled control were made; if none knew anything, about "
        f"{many * 0.025:.1f} of them would stand above it by chance."
    )
    yield (
        f"The choice matters in {_percent(matters)} of decisions: {verdicts['good']} good and "
        f"{verdicts['bad']} bad steps of {result['scored']}. Of the other {verdicts['open']} "
        f"replay cannot tell the value from zero; with {result['asked']['samples']} continuations "
        f"a side the median interval reaches {_plain(result['half_width'])} either way."
    )
    if "tree_grpo" in result["methods"] and still(result, "tree_grpo"):
        yield (
            "tree_grpo pays each leaf of a shared step alone, so it is constant in time; what it "
            "pays the step is -m tree_grpo:prefix_mode=dedup_sum."
        )
    if result["verdicts"]["unscored"]:
        yield f"{verdicts['unscored']} decisions have no value: nobody scored their continuations."


def told(result: Mapping[str, Any], metric: str) -> bool:
    """Says the metric anything, of any method or level of evidence?"""
    rows = [*result["methods"].values(), *result["evidence"].values()]
    return any(row[metric]["value"]["value"] is not None for row in rows)


def table(result: Mapping[str, Any], metric: str) -> list[tuple[str, ...]]:
    """Returns the cells of each method and each level of evidence, what stands highest above its
    shuffled control first, what is constant in time last."""
    rows = [(name, row) for name, row in result["methods"].items()]
    rows += [(f"evidence {name}", row) for name, row in result["evidence"].items()]

    def high(of: Mapping[str, Any]) -> tuple[bool, float]:
        gap = of[metric]["over_shuffled"]
        return not _still(gap), -2.0 if gap["value"] is None else gap["value"]

    rows.sort(key=lambda row: high(row[1]), reverse=True)
    return [_cells(name, row, metric) for name, row in rows]


def _cells(name: str, row: Mapping[str, Any], metric: str) -> tuple[str, ...]:
    cells, of = row[metric], "matter" if metric in OF_THOSE_THAT_MATTER else "decisions"
    gap = cells["over_shuffled"]
    return (
        name,
        str(row[of]),
        _interval(cells["value"]),
        _short(cells["shuffled"]["value"]),
        _short(cells["random"]["value"]),
        "constant in time" if _still(gap) else _interval(gap),
    )


def differing(result: Mapping[str, Any], metric: str) -> list[tuple[str, ...]]:
    """Returns the cells of `table` of what differs in time, and has a value."""
    return [row for row in table(result, metric) if row[-1] not in ("constant in time", "-")]


def left_out(result: Mapping[str, Any]) -> str:
    """Returns how much the page holds that is not printed; nothing: ""."""
    many = sum(still(result, name) for name in result["methods"])
    said = [f"{many} methods are constant in time"] if many else []
    said += [f"{len(result['refused'])} are not compared"] if result["refused"] else []
    return " and ".join(said)


def still(result: Mapping[str, Any], name: str) -> bool:
    """Is a method's credit constant in time?"""
    return all(_still(result["methods"][name][metric]["over_shuffled"]) for metric in JUDGED)


def page(result: Mapping[str, Any]) -> str:
    """Returns all that was found, as Markdown."""
    lines = ["# Credit against replay", "", headline(result)]
    for sentence in (*sentences(result), LEGEND):
        lines += ["", sentence]
    for metric, title in HEADS.items():
        if told(result, metric):
            rows = [COLUMNS, ("---",) * len(COLUMNS), *table(result, metric)]
            lines += ["", f"## {title.replace('|', chr(92) + '|')}", ""]
            lines += [f"| {' | '.join(row)} |" for row in rows]
    if result["refused"]:
        lines += ["", "## Not compared", ""]
        lines += [f"- {name}: {_without(name, why)}" for name, why in result["refused"].items()]
    return "\n".join(lines) + "\n"


def _without(name: str, why: str) -> str:
    """Returns a reason without the name that it begins with."""
    return why.removeprefix(f"{name} ")


def _still(gap: Mapping[str, Any]) -> bool:
    return gap["value"] == 0 and gap["low"] == gap["high"]


def _interval(of: Mapping[str, Any]) -> str:
    digits = decimals(**of)
    value, low, high = (_short(of[key], digits) for key in ("value", "low", "high"))
    return value if of["low"] in (None, of["high"]) else f"{value} [{low} {high}]"


def _short(value: float | None, digits: int = 2) -> str:
    """Returns decimals without the 0 before them."""
    if value is None:
        return "-"
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("0.", ".", 1)


def signed(value: float, low: float | None, high: float | None) -> str:
    """Returns a difference and its interval, to as many decimals as tell them from 0."""
    digits = decimals(value, low, high)
    told, *ends = (
        None if x is None else f"{round(x, digits) + 0.0:+.{digits}f}" for x in (value, low, high)
    )
    return f"{told}" if low is None else f"{told} [{', '.join(map(str, ends))}]"


def _percent(of: Mapping[str, Any]) -> str:
    if of["value"] is None:
        return "-"
    if of["low"] is None:
        return f"{of['value']:.0%}"
    return f"{of['value']:.0%} [{of['low']:.0%}, {of['high']:.0%}]"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

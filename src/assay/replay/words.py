"""What a replay says of itself: budget, result, and the line that comes first."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from assay.replay.truth import FEWEST
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
        f"{name} in {_WORDS[metric]} ({_signed(row[metric]['over_shuffled'])})"
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
    if result["verdicts"]["unscored"]:
        yield f"{verdicts['unscored']} decisions have no value: nobody scored their continuations."


def told(result: Mapping[str, Any], metric: str) -> bool:
    """Says the metric anything, of any method or level of evidence?"""
    rows = [*result["methods"].values(), *result["evidence"].values()]
    return any(row[metric]["value"]["value"] is not None for row in rows)


def table(result: Mapping[str, Any], metric: str) -> Iterator[tuple[str, ...]]:
    """Yields the cells of each method, then of each level of evidence."""
    for key in ("methods", "evidence"):
        for name, row in result[key].items():
            cells = row[metric]
            yield (
                name,
                str(row["decisions"]),
                _interval(cells["value"]),
                _short(cells["shuffled"]["value"]),
                _short(cells["random"]["value"]),
                _over(cells["over_shuffled"]),
            )


def _interval(of: Mapping[str, Any]) -> str:
    value, low, high = (_short(of[key]) for key in ("value", "low", "high"))
    return value if of["low"] is None else f"{value} [{low} {high}]"


def _over(of: Mapping[str, Any]) -> str:
    still = of["value"] == 0 and of["low"] == of["high"]
    return "constant in time" if still else _interval(of)


def _short(value: float | None) -> str:
    """Returns two decimals, without the 0 before them."""
    return "-" if value is None else f"{value + 0.0:.2f}".replace("0.", ".", 1)


def _signed(of: Mapping[str, Any]) -> str:
    if of["value"] is None:
        return "-"
    if of["low"] is None:
        return f"{of['value']:+.2f}"
    return f"{of['value']:+.2f} [{of['low']:+.2f}, {of['high']:+.2f}]"


def _percent(of: Mapping[str, Any]) -> str:
    if of["value"] is None:
        return "-"
    if of["low"] is None:
        return f"{of['value']:.0%}"
    return f"{of['value']:.0%} [{of['low']:.0%}, {of['high']:.0%}]"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"

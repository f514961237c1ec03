"""The demo's page: one HTML file that loads nothing; every number in it is in report.json."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from assay.demo.words import happened, verdict
from assay.report.evaluation import policies
from assay.report.figure import Line, curves
from assay.report.template import rendered

WINDOW: Final = 5
"""Steps of the running mean in the learning curves."""


def page(result: Mapping[str, Any], pass_at_k: bytes) -> str:
    """Returns the page of a result of `results.gathered`, and pass@k as SVG in it."""
    arms = result["arms"]
    causes = dict.fromkeys(key for arm in arms.values() for key in arm["dead"])
    return rendered(
        "demo.html",
        policies(result),
        result=result,
        said=verdict(result),
        svg=pass_at_k,
        curves=[
            _curves(arms, "reward", "mean reward"),
            _curves(arms, "dead_share", "dead groups"),
            _curves(arms, "entropy", "entropy"),
        ],
        causes=[key for key in causes if any(arm["dead"].get(key) for arm in arms.values())],
        events=[line for name, arm in arms.items() for line in happened(name, arm["events"])],
    )


def _curves(arms: Mapping[str, Any], key: str, label: str) -> bytes:
    """Returns a figure of one measure by step; its axis ends at 1 for shares and rewards, above
    all values for what is more."""
    most = max(value or 0.0 for arm in arms.values() for value in arm["curve"][key])
    return curves(
        [
            Line(name, [float(x) for x in arm["curve"]["step"]], _smoothed(arm["curve"][key]))
            for name, arm in arms.items()
        ],
        title=f"{label}, mean of {WINDOW} steps",
        x_label="step",
        y_label=label,
        y_range=(0.0, most * 1.1 if key == "entropy" or most > 1 else 1.0),
        base=False,
    )


def _smoothed(values: Sequence[float | None]) -> list[float]:
    """Returns the mean of what is known of each step and those just before it; 0: nothing is."""
    windows = (values[max(0, at + 1 - WINDOW) : at + 1] for at in range(len(values)))
    known = ([value for value in window if value is not None] for window in windows)
    return [sum(window) / max(len(window), 1) for window in known]

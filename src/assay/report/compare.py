"""The words and the page of `assay compare`: every number in them is in its JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from assay.report.template import rendered

WORDS: Final = {
    "pass_rate": ("pass rate", "trajectories that passed, of the scored ones"),
    "dead_groups": ("dead groups", "groups that teach GRPO nothing, of those with an outcome"),
    "errors": ("errors per call", "calls that did not run, of all"),
    "steps": ("steps", "model steps of a trajectory"),
    "written": ("{unit}", "what the policy wrote in a trajectory"),
    "false_success": (
        "false success",
        "trajectories that say they are done and failed, of the scored ones",
    ),
}
"""Of each measure: its name, where {unit} is "tokens" or "characters", and what it is."""
_NAMED, _LONGEST, _ROWS = 6, 40, 400
"""Tasks that a line names, how much of a name it shows, and tasks that the page shows."""


def page(result: Mapping[str, Any]) -> str:
    """Returns the page of a result, schema "assay.compare/1"."""
    moved = [(name, *_passes(seen)) for name, seen in result["outcomes"].items()]
    moved = [row for row in moved if row[-1]]
    moved.sort(key=lambda row: row[-1], reverse=True)
    shown = moved if len(moved) <= _ROWS else [*moved[: _ROWS // 2], *moved[-_ROWS // 2 :]]
    return rendered(
        "compare.html",
        result=result,
        rows=[(*row, WORDS[key][1]) for key, row in rows(result)],
        said=sentences(result),
        trained=trained,
        shown=shown,
        hidden=len(moved) - len(shown),
    )


def _passes(seen: Mapping[str, Sequence[int]]) -> tuple[str, str, float]:
    """Returns "passed of scored" of both, and by how much the second has the higher rate."""
    (a, of_a), (b, of_b) = seen["a"], seen["b"]
    gap = b / of_b - a / of_a if of_a and of_b else 0.0
    return f"{a} of {of_a}", f"{b} of {of_b}", gap


def rows(result: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """Returns of each measure its key and name, A, B, change, interval, and on how many tasks."""
    unit = result["unit"]
    return [
        (key, (WORDS[key][0].format(unit=unit), *_cells(key, change)))
        for key, change in result["measures"].items()
    ]


def _cells(key: str, change: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns dashes where nothing could be compared."""
    if not change["tasks"]:
        return "-", "-", "-", "-", "0"
    digits = ".1f" if key in ("steps", "written") else ".3f"
    a, b = (f"{change[side]:,{digits}}" for side in ("a", "b"))
    gap, tasks = f"{change['change']:+,{digits}}", f"{change['tasks']:,}"
    if change["low"] is None:
        return a, b, gap, "-", tasks
    low, high = (f"{change[end]:+,{digits}}" for end in ("low", "high"))
    return a, b, gap, f"{low} to {high}", tasks


def sentences(result: Mapping[str, Any]) -> list[str]:
    """Returns what became of the tasks, a line each."""
    tasks = result["tasks"]
    said = [f"tasks in both: {tasks['both']:,}"]
    if result["sign_test"] is None:
        said.append("no task is scored in both: nothing is said of passes")
    else:
        said += [
            f"passed more often: {result['better']:,}, less often: {result['worse']:,}, as often: "
            f"{result['equal']:,} (sign test: p = {result['sign_test']:.2g})",
            f"solved, never before: {_names(result['solved'])}",
            f"lost, not once any more: {_names(result['lost'])}",
        ]
    for side in ("a", "b"):
        if tasks[f"only_{side}"]:
            said.append(f"only in {side.upper()}, not compared: {_names(tasks[f'only_{side}'])}")
    return said


def trained(training: Mapping[str, float]) -> str:
    """Returns what a training run had cost, and how far its advantages moved it."""
    said = [
        f"{training[name]:,.0f} {word}"
        for name, word in (("steps", "steps"), ("tokens", "tokens generated"))
        if name in training
    ]
    if "dose" in training:
        said.append(f"dose {training['dose']:.4g} (sum of |A| over tokens times learning rate)")
    return f"trained: {', '.join(said)}"


def _names(names: Sequence[str]) -> str:
    """Returns how many tasks, and the first of them by name."""
    if not names:
        return "0"
    shown = [" ".join(name.split()) for name in names[:_NAMED]]
    shown = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in shown]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} ({', '.join(shown)}{more})"

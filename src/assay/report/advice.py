"""What stands between a log and learning from it, and what can be done: from the audit alone."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from assay.audit.kinds import told

_NO_PEERS = ("reinforce", "ebpo")
"""Methods that compare a trajectory with more than its group."""
_WHY: Final = {
    "all_fail": "every trajectory fails",
    "all_pass": "every trajectory passes",
    "constant_partial": "none passes, and all have the same outcome above 0",
    "single": "one trajectory alone has an outcome",
    "unscored": "no trajectory has an outcome",
}
"""Why groups are dead, by their fate."""
_DO: Final = {
    "all_fail": "Take easier tasks, more trajectories of each, an outcome with partial credit "
    "(--outcome), or rescue them as you train (docs/rescue.md).",
    "all_pass": "These tasks are solved: take harder ones.",
    "constant_partial": "Name an outcome that tells them apart with --outcome.",
    "single": "Take several trajectories of each task, or say with --group what those of one task "
    "share.",
    "unscored": "Name the number that is the outcome with --outcome, or give outcomes with assay "
    "label.",
}


def advice(audit: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `verdict`, one sentence on the groups, and `rows`: what is in the way, what to do,
    and the fate of the groups meant ("" for none). No rows: nothing is known to be in the way.
    """
    groups = audit["groups"]
    total, dead = int(groups["total"]), int(groups["dead"])
    if not audit["trajectories"]["scored"] or not total:
        return {"verdict": "", "rows": []}
    verdict = told(
        f"{{n}} of {total:,} groups [teaches|teach] GRPO nothing: it compares the trajectories "
        "of a group, and their outcomes do not differ.",
        dead,
    )
    if dead == total:
        verdict = (
            "GRPO learns nothing from this log: it compares the trajectories of a group, and in "
            f"{'its one group' if total == 1 else f'all {total:,} groups'} outcomes do not differ."
        )
    lost = sum(_written(audit, fate) for fate in ("dead", "unscored"))
    rows = [
        *((lost, *row[1:]) for row in sorted(_of_groups(audit), key=lambda row: -row[0])),
        *_of_trajectories(audit),
    ]
    ordered = sorted(rows, key=lambda row: -row[0])  # what costs most of what was written first
    return {"verdict": verdict if dead else "", "rows": [row[1:] for row in ordered]}


def _of_groups(audit: Mapping[str, Any]) -> Iterator[tuple[int, str, str, str]]:
    """Yields, for each reason that groups are dead: how many, what it is, what to do, the fate."""
    groups = audit["groups"]
    total, fails = int(groups["total"]), groups["all_fail"] - groups["graded"]
    named = sum(groups[fate] for fate in ("constant_partial", "single", "unscored"))
    known = {**groups, "all_fail": fails, "all_pass": groups["dead"] - named - fails}
    ran = [name for name in _NO_PEERS if name in audit["recovered"]]
    do = dict(_DO)
    if rescued := audit["trajectories"].get("rescued"):
        do["all_fail"] = told(
            "{n} [trajectory was|trajectories were] rescued there; the report's pages Dead groups "
            "and Over the run say what came of it.",
            rescued,
        )
    if ran:
        do["single"] += f" Or take a method that needs none: {' or '.join(ran)}."
    if _stopped(audit) >= audit["trajectories"]["unscored"]:
        do["unscored"] = "Infrastructure stopped them all."
    for fate, why in _WHY.items():
        if (count := int(known[fate])) > 0:
            where = "the one group" if total == 1 else f"{count:,} of {total:,} groups"
            yield count, f"In {where} {why}.", do[fate], fate


def _of_trajectories(audit: Mapping[str, Any]) -> Iterator[tuple[int, str, str, str]]:
    """Yields what else is in the way: how much was written there, what it is, what to do, ""."""
    n = int(audit["trajectories"]["total"])
    cut = int(audit["fate"]["truncated"]["trajectories"])
    wrong = int(audit["calls"]["punished_systematic"])
    for fate, count, why, do in (
        (
            "infrastructure",
            _stopped(audit),
            f"{{n}} of {n:,} trajectories [was|were] stopped by infrastructure.",
            "Mend the harness: they count nowhere.",
        ),
        (
            "truncated",
            cut,
            f"{{n}} of {n:,} trajectories [was|were] pushed down and cut off by [its|their] own "
            "budget.",
            "See whether more would have helped: then raise the budget.",
        ),
        (
            "punished_correct",
            wrong,
            "{n} [call is|calls are] pushed down though evidence says that [it is|they are] right, "
            "and nothing shows that this averages out.",
            "Take a method that credits calls, such as toolpo.",
        ),
    ):
        if count:
            yield _written(audit, fate), told(why, count), do, ""


def _written(audit: Mapping[str, Any], fate: str) -> int:
    """Returns how much of what the policy wrote met a fate."""
    return int(audit["fate"][fate][audit["measure"]])


def _stopped(audit: Mapping[str, Any]) -> int:
    """Returns how many trajectories infrastructure stopped."""
    return round(audit["trust"]["infra_share"] * audit["trajectories"]["total"])

"""The sentences and numbers that the landing page opens with."""

from collections.abc import Mapping
from typing import Any

GOOD = ("trained_up", "trained_down")
"""Fates that carry a signal of the right sign. Everything else is waste."""


def headline(audit: Mapping[str, Any]) -> str:
    """Returns one plain sentence: how much of what the policy wrote carried no good signal; where
    nobody scored anything, what the agents did.
    """
    if not audit["trajectories"]["scored"]:
        return _did(audit)
    measure = str(audit["measure"])
    written = {kind: int(row[measure]) for kind, row in audit["fate"].items()}
    total = sum(written.values())
    if total == 0:
        return "The policy wrote nothing that a signal could reach."
    lost = total - sum(written.get(kind, 0) for kind in GOOD)
    wrong = written.get("punished_correct", 0)
    also = f"; {share(wrong, total)} was pushed down although evidence says that it was right"
    calls = audit.get("calls", {})
    if calls.get("punished_correct"):
        even = share(calls["punished_variance"], calls["punished_correct"])
        also += f" ({even} of its calls are rewarded as much in the same place, which averages out)"
    return (
        f"Of the {large(total)} {measure} the policy wrote, {share(lost, total)} carried "
        f"no or wrong-signed signal{also if wrong else ''}."
    )


def _did(audit: Mapping[str, Any]) -> str:
    """Returns what agents did whom nobody scored."""
    n, calls = int(audit["trajectories"]["total"]), int(audit["calls"]["total"])
    who = "trajectory" if n == 1 else "trajectories"
    if calls == 0:
        return f"{n:,} {who} without an outcome, and no call was made."
    did = audit["behaviour"]
    failed, again = int(did["errors"]["calls"]), int(did["repeats"]["calls"])
    return (
        f"{n:,} {who} without an outcome: of {calls:,} {'call' if calls == 1 else 'calls'} "
        f"{share(failed, calls)} were answered by an error, and {share(again, calls)} repeated one "
        "that had been answered the same."
    )


def large(count: int) -> str:
    """Returns a count as people say it: 812, 41,200 or 1.4 M."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,}"


def share(part: int, whole: int) -> str:
    """Returns a share in per cent, never rounded to 0 or 100 when it is not."""
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "under 1 %"
    if 99 < percent < 100:
        return "over 99 %"
    return f"{percent:.0f} %"

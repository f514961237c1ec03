"""The sentences and numbers that the landing page opens with."""

from collections.abc import Mapping
from typing import Any

GOOD = ("trained_up", "trained_down")
"""Fates that carry a signal of the right sign. Everything else is waste."""
FEW = 20
"""Of fewer things than that, a share is said as a count."""


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
    if lost == 0:
        return (
            f"All of the {large(total)} {measure} the policy wrote carried a signal, and nothing "
            "says that its sign is wrong."
        )
    wrong = written.get("punished_correct", 0)
    also = f"; {share(wrong, total)} was pushed down although evidence says that it was right"
    calls = audit.get("calls", {})
    if right := calls.get("punished_correct"):
        even = _of_calls(calls["punished_variance"], right)
        also += f" ({even} rewarded as much in the same place, which averages out)"
    return (
        f"Of the {large(total)} {measure} the policy wrote, {share(lost, total)} carried "
        f"no or wrong-signed signal{also if wrong else ''}."
    )


def _of_calls(part: int, whole: int) -> str:
    """Returns a part of some calls, with its verb."""
    if whole == 1:
        return f"its one call is{'' if part else ' not'}"
    if part == 0:
        return f"none of its {whole:,} calls is"
    some = "all" if part == whole else f"{part:,}"
    return f"{some} of its {whole:,} calls {'is' if part == 1 else 'are'}"


def _did(audit: Mapping[str, Any]) -> str:
    """Returns what agents did whom nobody scored."""
    n, calls = int(audit["trajectories"]["total"]), int(audit["calls"]["total"])
    who = "trajectory" if n == 1 else "trajectories"
    if calls == 0:
        return f"{n:,} {who} without an outcome, and no call was made."
    did = audit["behaviour"]
    failed, again = int(did["errors"]["calls"]), int(did["repeats"]["calls"])
    if calls == 1:
        how = "" if failed else "not "
        return f"{n:,} {who} without an outcome: one call, which was {how}answered by an error."
    return (
        f"{n:,} {who} without an outcome: of {calls:,} calls "
        f"{counted(failed, calls, 'was', 'were')} answered by an error, and "
        f"{counted(again, calls, *('repeated',) * 2)} one that had been answered the same."
    )


def counted(part: int, whole: int, one: str = "is", many: str = "are") -> str:
    """Returns a part with its verb: "none is", "1 is", "812 (25 %) are"."""
    if part == 0:
        return f"none {one}"
    of = "" if whole < FEW else f" ({share(part, whole)})"
    return f"{part:,}{of} {one if part == 1 else many}"


def large(count: int) -> str:
    """Returns a count as people say it: 812, 41,200 or 1.4 M."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,}"


def share(part: int, whole: int) -> str:
    """Returns a share in per cent, never rounded to 0 or 100 when it is not; "all" of it, and
    counts of few things."""
    if part == whole:
        return "all"
    if whole < FEW:
        return f"{part:,}"
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "under 1 %"
    if 99 < percent < 100:
        return "over 99 %"
    return f"{percent:.0f} %"

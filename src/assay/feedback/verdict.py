"""What paired replays came to, as plain values and in words. Needs no torch."""

from dataclasses import asdict
from math import isinf
from typing import Any

from assay.kernels.uplift import LEVEL, Measured


def plain(seen: Measured) -> dict[str, Any]:
    """Returns a measurement as plain values; NaN is None.

    `told`, `neutral`, `pairs` and `squares` are of passes, `progress` holds the same of progress;
    `uplift`, `error`, `lower` and `admitted` are of what decides, which `measure` names.
    """
    by, known = seen.decides, bool(seen.passes.pairs)
    return {
        **asdict(seen.passes),
        "progress": None if seen.progress is None else asdict(seen.progress),
        "by": seen.by,
        "measure": seen.measure,
        "uplift": by.value if known else None,
        "error": by.error if known else None,
        "lower": by.lower if known else None,
        "admitted": by.admits,
    }


def sentence(name: str, seen: Measured, level: float = LEVEL, but: str = "") -> str:
    """Returns a measurement and its verdict, by its bound at a level, in words; and why it does not
    count for all that."""
    passes, by = seen.passes, seen.decides
    if not passes.pairs:
        return f"{name}: not admitted: there were no hints to replay a task with"
    if by is passes and not passes.told and not passes.neutral:
        return (
            f"{name}: not admitted: in {passes.pairs:g} pairs of replays no attempt passed, told "
            "or not, so whether its hints help cannot be seen; with --set hints.admit=false a run "
            "uses them all the same"
        )
    verdict = "admitted" if by.helps(level) and not but else "not admitted"
    how = f"told {passes.told:g} of {passes.pairs:g} pass, neutral {passes.neutral:g}"
    if by is not passes:
        told, bare = (each / by.pairs for each in (by.told, by.neutral))
        how += f": by progress ({seen.by}), told {told:.3f}, neutral {bare:.3f}"
    more = "" if by.helps(level) or isinf(by.needed) else f"; so much needs {by.needed:g} pairs"
    return (
        f"{name}: {verdict}: {how}: uplift {by.value:+.1%}, at least {by.bound(level):+.1%} by "
        f"{100 * level:.3g} %{more}{f'; but {but}' if but else ''}"
    )

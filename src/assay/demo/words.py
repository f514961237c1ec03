"""What the demo's numbers say, in sentences that follow from the numbers alone."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

_NAMED: Final = 12
"""Steps that are named where the same was said at many."""


def differs(gap: Mapping[str, Any]) -> str:
    """Returns the interval of a difference."""
    return f"{gap['low']:+.3f} to {gap['high']:+.3f}"


def verdict(result: Mapping[str, Any]) -> list[str]:
    """Returns one sentence per arm against the base, then between arms, then of the frozen copy."""
    said = [_arm(name, arm["difference"]) for name, arm in result["arms"].items()]
    said += [_between(name, gap, result) for name, gap in result["against"].items()]
    return [*said, _null(result["null"]["difference"])]


def happened(name: str, events: Iterable[str]) -> list[str]:
    """Returns a line for each event of an arm, as "step 3: what": once, with all steps that say it.

    Of more than twelve steps the rest are counted.
    """
    steps = dict[str, list[str]]()
    for event in events:
        step, _, what = event.partition(": ")
        said = what.removeprefix(f"{step} ")
        steps.setdefault(said, []).append(step.removeprefix("step "))
    lines = list[str]()
    for what, at in steps.items():
        more = f" and {len(at) - _NAMED} more" if len(at) > _NAMED else ""
        lines.append(f"{name}, step{'s' * (len(at) > 1)} {', '.join(at[:_NAMED])}{more}: {what}")
    return lines


def _arm(name: str, gap: Mapping[str, Any]) -> str:
    told = f"pass@1 {gap['value']:+.3f} over the base ({differs(gap)})"
    if gap["low"] > 0:
        return f"{name} learnt: {told}; the interval excludes zero."
    if gap["high"] < 0:
        return f"{name} got worse: {told}; the interval excludes zero."
    return f"{name} shows no change: {told}; the interval includes zero."


def _between(name: str, gap: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    first = gap["arm"]
    tokens = result["arms"][name]["budget"]["tokens"], result["arms"][first]["budget"]["tokens"]
    spent = f"for {tokens[0]:,} generated tokens against {tokens[1]:,}"
    told = f"pass@1 {gap['value']:+.3f} ({differs(gap)}), {spent}"
    if gap["low"] > 0:
        return f"{name} beat {first} on this run: {told}. One seed says nothing of another run."
    if gap["high"] < 0:
        return f"{name} did not beat {first}; {first} was better: {told}."
    return f"{name} did not beat {first} on this run: {told}; the interval includes zero."


def _null(gap: Mapping[str, Any]) -> str:
    told = f"A frozen copy of the base comes to {gap['value']:+.3f} ({differs(gap)})"
    if gap["excludes_zero"]:
        return f"{told}, which excludes zero: take differences of that size for chance."
    return f"{told}: the measurement by itself gives nothing away."

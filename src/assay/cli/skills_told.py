"""What `assay skills` says: a build, a trial and an audit in lines."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from assay.errors import one_line

UNKNOWN_SPLIT: Final = (
    "which tasks are measured on is not known: each of this log was taken for training; "
    "--held-out FILE names those that must teach nothing"
)
_WHY: Final = {
    "no task": "no held-out task is like a candidate: take more tasks (--set skills.tasks=1024), "
    "or a RECIPE whose tasks are like those of the log",
    "easy": "nearly all pass with and without: take a RECIPE with harder tasks, more tasks (--set "
    "skills.tasks=1024) and more pairs (--pairs 256)",
    "hard": "nearly all fail with and without: take a RECIPE with easier tasks, or a policy that "
    "passes some; more tasks and pairs help little",
    "alike": "take more tasks (--set skills.tasks=1024) and more pairs (--pairs 256)",
}


def built(found: Mapping[str, int], left: Mapping[str, int], cap: int) -> Iterator[str]:
    """Yields what became of drafts, and which trajectories left none.

    Args:
        found: see `skills.bank.became`.
        left: see `skills.building.Built`.
        cap: of the bank.
    """
    drafts = sum(found[name] for name in ("new", "merged", "retired before"))
    said = [f"{found['new']:,} new", f"{found['merged']:,} merged with one that says the same"]
    if found["retired before"]:
        said.append(f"{found['retired before']:,} retired before, and still so")
    yield f"drafts {drafts:,}: {', '.join(said)}"
    if found["capped"]:
        yield f"retired by the cap of {cap:,} active: {found['capped']:,} that surely help least"
    if found["dropped"]:
        yield f"dropped, of too many candidates or retired: {found['dropped']:,}, the oldest"
    why = ", ".join(f"{why} {n:,}" for why, n in sorted(left.items()))
    yield f"trajectories without a draft: {why or 'none'}"


def rest(found: Any) -> str:
    """Returns evidence that a skill does not keep, in words."""
    tasks = one_line(found.tasks) or "tasks of several kinds"
    numbers = f", {found.first} to {found.last}" if found.first <= found.last else ""
    return f"{found.count:,} more attempts, at {tasks}{numbers}"


def counts(bank: Any) -> str:
    """Returns how many skills of each state a bank has."""
    waits, gone = (len(bank.of(status)) for status in ("candidate", "retired"))
    return f"{len(bank.active):,} active, {waits:,} candidates, {gone:,} retired"


def tried(trial: Any) -> str:
    """Returns a trial in words."""
    if not trial.pairs:
        return "no task of the trial is like it"
    verdict = "admitted" if trial.admitted else "not admitted"
    return (
        f"{verdict}: {trial.told:g} of {trial.pairs} pass with it, {trial.bare:g} without; uplift "
        f"at least {trial.lower:+.1%} by {100 * trial.level:g} %"
    )


def gated(
    found: Mapping[str, Any],
    why: str | None,
    probed: Mapping[str, tuple[int, int]],
    *,
    fit: bool,
) -> Iterator[str]:
    """Yields trials in lines, what defects came to, and why nothing was learnt, where it was not.

    Args:
        found: trials by skill.
        why: see `skills.trial.silence`.
        probed: defects admitted, and of how many, by kind.
        fit: whether the trial may be trusted by them.
    """
    for id, each in found.items():
        if each.pairs:
            yield f"{id}  {tried(each)}"
    if nowhere := sum(not each.pairs for each in found.values()):
        yield f"candidates that no task of the trial is like: {nowhere:,}"
    if probed:
        defects = ", ".join(f"{kind} {n} of {of}" for kind, (n, of) in probed.items())
        yield f"defects admitted: {defects}; {'nothing against it' if fit else 'not to be trusted'}"
    if why:
        yield f"uninformative: {_alike(found)}{_WHY[why]}"


def after_gate(bank: Any, untried: int, count: int) -> str:
    """Returns how a bank stands after so many were tried."""
    waiting = len(bank.of("candidate"))
    said = f"{len(bank.active):,} active, {waiting:,} candidates"
    if not count:
        return f"no candidate to try; {said}"
    if untried:
        return f"{said}, {untried:,} of them untried: run this again to go on with them"
    return (
        f"{said}, all tried{'; run this again and those with fewest pairs go on' * bool(waiting)}"
    )


def _alike(found: Mapping[str, Any]) -> str:
    counted = [each for each in found.values() if each.differ is not None]
    pairs = sum(each.pairs for each in counted)
    same = pairs - sum(each.differ for each in counted)
    return f"of {pairs:,} pairs {same:,.0f} passed or failed alike; " if pairs else ""


_USED: Final = {
    "helps": "helps",
    "harms": "harms",
    "unclear": "unclear, the interval holds 0",
    "untold": "untold, chance showed nothing or held nothing back",
}
ORDER: Final = ("active", "candidate", "unknown", "retired")
"""In which states of skills stand below each other."""


def audited(
    said: Mapping[str, Any], versions: Mapping[str, int], *, retired: bool
) -> Iterator[str]:
    """Yields an audit in lines: active skills first, those that attempts could read most often
    before others; retired ones as a count, unless they are asked for.

    Args:
        said: see `skills.credit.audited`, and `arms` of `runs.remembered.compared`.
        versions: of the bank, by name.
        retired: whether they are asked for.
    """
    if "used" in said:
        named = ", ".join(
            f"{_bank(name, versions)} {n:,}" for name, n in sorted(said["banks"].items())
        )
        yield f"attempts by bank: {named}"
        if said["strange"]:
            names = ", ".join(one_line(name) for name in said["strange"])
            yield f"no version of this bank: {names}; what they were shown may be another's"
        helped = f"{effect(said['help'])}: {_USED[said['used']]}"
        yield f"passes where shown less where held back: {helped}"
        yield from _skills(said["skills"], retired)
    for name, each in said.get("arms", {}).items():
        yield (
            f"{name:<10} {each['passed']} of {each['attempts']} pass, {each['tokens']:.1f} tokens "
            f"read, over nothing {effect(each['over_nothing'])}"
        )


def _bank(name: str, versions: Mapping[str, int]) -> str:
    known = f" (version {versions[name]})" if name in versions else ""
    return f"{one_line(name) or 'none'}{known}"


def _skills(rows: Sequence[Mapping[str, Any]], retired: bool) -> Iterator[str]:
    def order(each: Mapping[str, Any]) -> tuple[int, int, str]:
        return ORDER.index(each["status"]), -each["shown"] - each["held"], each["id"]

    for each in sorted(rows, key=order):
        if each["status"] == "retired" and not retired:
            continue
        if each["shown"] or each["held"] or each["status"] == "retired":
            yield _skill(each)
    idle = Counter(each["status"] for each in rows if not each["shown"] and not each["held"])
    for status in ("active", "candidate"):
        if idle[status]:
            yield f"{status}, neither shown nor held back: {idle[status]:,}"
    if not any(each["shown"] or each["held"] for each in rows):
        yield "no scored attempt was shown a skill or had one held back: what fits is not known"
    gone = [each for each in rows if each["status"] == "retired"]
    if gone and not retired:
        why = Counter(each["why"] for each in gone)
        told = ", ".join(f"{name} {n:,}" for name, n in sorted(why.items()))
        yield f"retired: {len(gone):,} ({told}); --retired lists them"


def _skill(each: Mapping[str, Any]) -> str:
    why = f" ({each['why']})" if each["why"] else ""
    return (
        f"{one_line(each['id'])}  {each['status']}{why}  pass {each['passed']} of {each['shown']} "
        f"shown, {each['held_passed']} of {each['held']} held back, help {effect(each['help'])}  "
        f"{one_line(each['category']) or 'general'}: {one_line(each['principle'] or '-')[:48]}"
    )


def effect(found: Sequence[float] | None) -> str:
    """Returns a difference of shares with the ends of its interval."""
    if found is None:
        return "not known"
    value, low, high = found
    return f"{value:+.1%} [{low:+.1%}, {high:+.1%}]"

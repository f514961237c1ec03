"""What rollouts read of a skill bank: what each skill did, where it is from, what became of it.

What is counted comes from above (`skills.credit`), so that the page says what `assay skills audit`
says; here it is cut to what a page holds, secrets are hidden, and evidence gets its place.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from assay.records import Trajectory

_MOST: Final = 2_000
"""Skills that a page shows, those that most rollouts could read first."""
_NAMED: Final = 8
"""Pieces of evidence of each."""


@runtime_checkable
class Counting(Protocol):
    """Counts what rollouts saw of skills, one at a time."""

    def add(self, record: Trajectory) -> None:
        """Takes note of a rollout."""
        ...

    def absorb(self, other: Any) -> None:
        """Adds what another has counted."""
        ...


@runtime_checkable
class Skills(Protocol):
    """Says what a log says of skills."""

    def counting(self) -> Counting:
        """Returns what begins at nothing."""
        ...

    def said(self, counted: Any) -> dict[str, Any] | None:
        """Returns what was counted, as in `skills.credit.audited`, with `trouble`, sentences,
        `versions` of the bank by name, and the one shown, `version`, None where there is none;
        None: no rollout names a bank, and there is none. Evidence (`from`) has `same`: whether the
        log's attempt of that name is the one; None: not known."""
        ...


def skills(
    said: Mapping[str, Any], ids: Sequence[str], shown: Callable[[str], str]
) -> dict[str, Any]:
    """Returns it as the pages have it. `banks`: name, attempts, version or null. `k` of evidence is
    its number in the log, or null; `other`, of one whose name is in the log: "other", that is
    another attempt, or "unknown", whether it is this one.

    Args:
        said: see `Skills.said`.
        ids: of the log's trajectories.
        shown: hides secrets.
    """
    order = sorted(said["skills"], key=lambda each: (-each["shown"] - each["held"], each["id"]))
    rows = order[:_MOST]
    named = {one["trajectory"] for each in rows for one in each["from"][:_NAMED]}
    number = {name: k for k, name in reversed([*enumerate(ids)]) if name in named} if named else {}
    return {
        **{name: said[name] for name in ("version", "used", "help", "read", "unscored")},
        "bank": shown(said["bank"]),
        "banks": [
            [shown(name), count, said["versions"].get(name)]
            for name, count in sorted(said["banks"].items())
        ],
        "trouble": [shown(line) for line in said["trouble"]],
        "left": len(order) - len(rows),
        "rows": [_row(each, number, shown) for each in rows],
    }


def _row(
    each: Mapping[str, Any], number: Mapping[str, int], shown: Callable[[str], str]
) -> dict[str, Any]:
    texts = ("id", "category", "kind", "principle", "when", "writer", "why", "status")
    rests = [_rests(one, number, shown) for one in each["from"][:_NAMED]]
    numbers = ("shown", "passed", "held", "held_passed", "help", "harm", "trial")
    return {
        **{name: shown(each[name] or "") for name in texts},
        **{name: each[name] for name in numbers},
        "from": rests,
        "more": len(each["from"]) - len(rests) + each["rest"],
    }


def _rests(
    one: Mapping[str, Any], number: Mapping[str, int], shown: Callable[[str], str]
) -> dict[str, Any]:
    """Returns evidence with its place in the log: a link is of the very attempt alone."""
    k, same = number.get(one["trajectory"]), one["same"]
    said = {"id": shown(one["trajectory"]), "steps": one["steps"], "level": one["level"]}
    if k is None or same:
        return {"k": k, **said}
    return {"k": None, **said, "other": "unknown" if same is None else "other"}

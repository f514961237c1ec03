"""What the pages know of records before they open one: who was helped, by what, at what cost."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, final

from assay.records import Rescue, Trajectory

_COSTS = ("tokens", "calls", "scoring_forwards")
"""Of a ledger: what help is counted in."""


class _Helped(NamedTuple):
    rescue: Rescue
    costs: tuple[int | None, ...]
    """By `_COSTS`."""


@final
class Notes:
    """Of some trajectories, which come ascending."""

    def __init__(self) -> None:
        """Begins without any."""
        self.trials: list[int | None] = []
        self.versions: list[str | None] = []
        """Which policy wrote each."""
        self.helped: dict[int, _Helped] = {}
        """Those that the policy did not sample from the task alone, by number."""
        self._known: dict[str | None, str | None] = {}

    def add(self, k: int, trajectory: Trajectory) -> None:
        """Takes note of trajectory `k`."""
        version = trajectory.policy_version
        self.trials.append(trajectory.trial)
        self.versions.append(self._known.setdefault(version, version))
        if trajectory.rescue is not None:
            costs = tuple(getattr(trajectory.ledger, name) for name in _COSTS)
            self.helped[k] = _Helped(trajectory.rescue, costs)


def rescues(
    helped: Mapping[int, _Helped], ids: Sequence[str], shown: Callable[[str], str]
) -> dict[str, list[Any]]:
    """Returns what is known of those that were helped, by column.

    `k`; `rung`; `of`, the number of the failed trajectory, null where the log does not hold it or
    none is named; `goal`, whether it is under another goal; `tokens`, `calls`, `scoring_forwards`.

    Args:
        helped: by number.
        ids: of all trajectories.
        shown: hides secrets.
    """
    named = {each.rescue.of for each in helped.values()}
    number = {name: k for k, name in enumerate(ids) if name in named}
    ks = sorted(helped)
    each = [helped[k] for k in ks]
    return {
        "k": ks,
        "rung": [shown(one.rescue.rung) for one in each],
        "of": [None if one.rescue.of is None else number.get(one.rescue.of) for one in each],
        "goal": [int(one.rescue.goal is not None) for one in each],
        **{name: [one.costs[n] for one in each] for n, name in enumerate(_COSTS)},
    }

"""Who was helped where all others failed: by what, at what cost, and which groups still fail."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, final

import numpy as np
from jaxtyping import Int64

from assay.batch import Batch
from assay.errors import DataError
from assay.kernels.constancy import bar
from assay.kernels.groups import ALL_FAIL, CONSTANT_PARTIAL
from assay.records import Rescue, Trajectory, encode, read
from assay.report.redact import Redactor
from assay.report.store import BODY, Spool, body, compressed

_COSTS: Final = ("tokens", "calls", "scoring_forwards")
"""Of a ledger: what help is counted in."""
_MOST_BESIDE: Final = 50_000
"""Records of tries that are looked at."""


class Helped(NamedTuple):
    """A trajectory that the policy did not sample from the task alone."""

    rescue: Rescue
    costs: tuple[int | None, ...]
    """By `_COSTS`."""


class Other(NamedTuple):
    """A record that a run keeps beside its batches: a failure whose place a rescued trajectory
    took, or a try that came to nothing."""

    id: str
    group: int
    outcome: float | None
    passed: bool
    helped: Helped | None
    chunk: int
    """Of the chunks that `Beside` fills, from 0."""
    slot: int


@final
class Notes:
    """What is known of some trajectories, which come ascending, before a page opens one."""

    def __init__(self) -> None:
        """Begins without any."""
        self.trials: list[int | None] = []
        self.versions: list[str | None] = []
        """Which policy wrote each."""
        self.helped: dict[int, Helped] = {}
        """By number."""
        self._known: dict[str | None, str | None] = {}

    def add(self, k: int, trajectory: Trajectory) -> None:
        """Takes note of trajectory `k`."""
        version = trajectory.policy_version
        self.trials.append(trajectory.trial)
        self.versions.append(self._known.setdefault(version, version))
        if (helped := _helped(trajectory)) is not None:
            self.helped[k] = helped


def _helped(trajectory: Trajectory) -> Helped | None:
    if trajectory.rescue is None:
        return None
    costs = tuple(getattr(trajectory.ledger, name) for name in _COSTS)
    return Helped(trajectory.rescue, costs)


@final
class Beside:
    """The records beside a run's batches, as far as they are of groups of the log."""

    def __init__(
        self, folder: Path | None, batch: Batch, spool: Spool, *, pass_at: float, redact: bool
    ) -> None:
        """Reads what a run left.

        Args:
            folder: holds JSON Lines of records; None, or a folder that is not there: nothing is.
            batch: the log's.
            spool: gets their chunks.
            pass_at: a trajectory passes at this outcome or above.
            redact: hide what looks like a secret.
        """
        self.others: list[Other] = []
        self.trouble: list[str] = []
        files = () if folder is None else sorted(folder.glob("*.jsonl"))
        redactor = Redactor() if redact else None
        number = {name: g for g, name in enumerate(batch.groups)} if files else {}
        lines, size = list[bytes](), 0
        for record in self._read(files):
            if (group := number.get(record.group)) is None:
                continue
            passed = record.outcome is not None and record.outcome >= bar(pass_at)
            place = (len(spool), len(lines))
            about = (record.id, group, record.outcome, passed, _helped(record))
            self.others.append(Other(*about, *place))
            lines.append(encode(record))
            size += len(lines[-1])
            if size > BODY:
                spool.add(compressed(body(lines, redactor)))
                lines, size = [], 0
        if lines:
            spool.add(compressed(body(lines, redactor)))

    def _read(self, files: Iterable[Path]) -> Iterator[Trajectory]:
        left = _MOST_BESIDE
        for path in files:
            try:
                for record in read(path):
                    if left == 0:
                        self.trouble.append(
                            f"Only the first {_MOST_BESIDE:,} records beside the log are shown."
                        )
                        return
                    left -= 1
                    yield record
            except DataError as error:
                named = f"{path.parent.name}/{path.name}"
                self.trouble.append(str(error).replace(str(path), named))


def rescues(
    helped: Mapping[int, Helped],
    others: Sequence[Other],
    batch: Batch,
    shown: Callable[[str], str],
) -> dict[str, list[Any]]:
    """Returns what is known of those that were helped, by column.

    `k`, the number of the trajectory, null of one beside the log, whose number there is `other`;
    `group`; `rung`; `of`, the number of the failed trajectory, or `of_other` beside the log, both
    null where it is not there or none is named; `goal`, whether it is under another goal; `tokens`,
    `calls`, `scoring_forwards`.
    """
    rows = [(k, None, int(batch.group_K[k]), each) for k, each in sorted(helped.items())]
    rows += [(None, n, one.group, one.helped) for n, one in enumerate(others) if one.helped]
    named = {each.rescue.of for *_, each in rows} - {None}
    number = {name: k for k, name in enumerate(batch.ids) if name in named}
    beside = {one.id: n for n, one in enumerate(others) if one.id in named}
    return {
        "k": [k for k, *_ in rows],
        "other": [n for _, n, *_ in rows],
        "group": [g for _, _, g, _ in rows],
        "rung": [shown(each.rescue.rung) for *_, each in rows],
        "of": [number.get(each.rescue.of or "") for *_, each in rows],
        "of_other": [beside.get(each.rescue.of or "") for *_, each in rows],
        "goal": [int(each.rescue.goal is not None) for *_, each in rows],
        **{name: [each.costs[n] for *_, each in rows] for n, name in enumerate(_COSTS)},
    }


def shown_beside(
    others: Sequence[Other], first: int, shown: Callable[[str], str]
) -> dict[str, list[Any]]:
    """Returns the records beside the log by column, as the pages find them.

    Args:
        others: they.
        first: number of their first chunk.
        shown: hides secrets.
    """
    return {
        "id": [shown(one.id) for one in others],
        "group": [one.group for one in others],
        "outcome": [one.outcome for one in others],
        "passed": [int(one.passed) for one in others],
        "helped": [int(one.helped is not None) for one in others],
        "chunk": [first + one.chunk for one in others],
        "slot": [one.slot for one in others],
    }


def failed_alone(fate_G: Int64[np.ndarray, " G"]) -> list[int]:
    """Returns the groups of which two or more were scored without help, and none of those passed:
    the fates are by what was sampled without help (`audit.group_fates`)."""
    return np.flatnonzero(np.isin(fate_G, (ALL_FAIL, CONSTANT_PARTIAL))).tolist()

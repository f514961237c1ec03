"""What could be tried on groups in which all failed, and nobody helped: the caller's words for it.

Who knows the ladder stands above this package, so that it is handed in.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Final, Protocol, final

import msgspec
import numpy as np
from jaxtyping import Bool, Int64

from assay.batch import Batch
from assay.records import Trajectory
from assay.report.rescued import failed_alone

MOST: Final = 200
"""Groups that are explained."""


class Explained(Protocol):
    """What is said of a group."""

    @property
    def group(self) -> str:
        """Its name."""
        ...

    @property
    def missing(self) -> Mapping[str, str | None]:
        """By way of helping, what the log lacks for it; None: it can be tried."""
        ...


Explain = Callable[[Iterable[Trajectory]], Sequence[Explained]]
"""Says it of every group among records in which all failed without help."""


@final
class Explaining:
    """Explains the first of a log's dead groups, each by itself."""

    def __init__(
        self,
        explain: Explain,
        batch: Batch,
        fate_G: Int64[np.ndarray, " G"],
        passed_K: Bool[np.ndarray, " K"],
        trajectories: Callable[[Container[int]], Iterable[Trajectory | None]],
    ) -> None:
        """Reads what must be known besides: a success at the task of each, where there is one.

        Args:
            explain: who knows.
            batch: the log's.
            fate_G: by what was sampled without help.
            passed_K: which passed.
            trajectories: reads the records of some numbers, see `Report.write`.
        """
        self._explain, self._names = explain, batch.groups
        failed = np.array(failed_alone(fate_G), np.int64)
        dead = failed[~np.isin(failed, batch.group_K[batch.rescued_K])][:MOST]
        self._groups = frozenset(dead.tolist())
        tasks = np.unique(batch.task_K[np.isin(batch.group_K, dead)])
        solved = np.flatnonzero(passed_K & ~batch.rescued_K & np.isin(batch.task_K, tasks))
        last = dict(zip(batch.task_K[solved].tolist(), solved.tolist(), strict=True))
        wanted = frozenset(last.values())
        self._successes: dict[str, Trajectory] = {}
        for k, record in enumerate(trajectories(wanted) if wanted else ()):
            if record is not None and k in wanted:
                self._successes[record.task] = record

    def of(self, group: int, lines: Iterable[bytes]) -> dict[str, str | None] | None:
        """Returns what a group lacks for each way of helping, by its records as JSON; None: it is
        none of the first in which all failed without help."""
        if group not in self._groups:
            return None
        records = [msgspec.json.decode(line, type=Trajectory) for line in lines]
        success = self._successes.get(records[0].task)
        found = self._explain([*records, *([] if success is None else [success])])
        name = self._names[group]
        return next((dict(each.missing) for each in found if each.group == name), None)

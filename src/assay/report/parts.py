"""A report in parts, one a process: groups with their shapes, and their records, in chunks."""

from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby, pairwise
from typing import Any, NamedTuple, final

import msgspec
import numpy as np
from jaxtyping import Int64

from assay.errors import DataError
from assay.records import Trajectory
from assay.report.explaining import Explaining
from assay.report.redact import Redactor
from assay.report.rescued import Notes
from assay.report.shape import Shapes
from assay.report.skills import Counting
from assay.report.store import BODY, Spool, body, compressed


class Made(NamedTuple):
    """What a process tells of its part: the rest of it is in the spools."""

    members_at: Any
    chunks_at: Any
    cuts: "array[int]"
    """Where, among the members of the part's groups, a chunk of records begins."""
    notes: Notes
    tasks: list[str]
    """Of each group."""
    secrets: Counter[str]
    missing: dict[int, dict[str, str | None]]
    """By group, as far as it was explained: see `report.explaining`."""
    skilled: Counting | None
    """What its rollouts saw of skills. None: nobody asked."""


class Part(NamedTuple):
    """Some groups, and where one process writes what the pages show of them."""

    low: int
    high: int
    """Groups [low, high)."""
    members: Spool
    """Of each trajectory, ascending: its shape."""
    chunks: Spool
    """One per group with its shapes, then the records, group by group."""

    def filled(self, made: Made) -> Made:
        """Takes note of what the process that made this part has written."""
        self.members.filled(made.members_at)
        self.chunks.filled(made.chunks_at)
        return made

    def ks(self, group_K: Int64[np.ndarray, " K"]) -> Int64[np.ndarray, " _"]:
        """Returns the trajectories of the part, ascending."""
        return np.flatnonzero((group_K >= self.low) & (group_K < self.high))


def fill(
    part: Part,
    shapes: Shapes,
    trajectories: Callable[[Container[int]], Iterable[Trajectory | None]],
    explaining: Explaining | None = None,
    skilled: Counting | None = None,
) -> Made:
    """Fills the spools of a part."""
    redactor = Redactor() if shapes.redact else None
    group_K, ks = shapes.batch.group_K, part.ks(shapes.batch.group_K)
    notes, tasks, missing = Notes(), dict[int, str](), dict[int, dict[str, str | None]]()
    with closing(Spool(shapes.folder)) as records:

        def read() -> Iterator[Trajectory]:
            wanted = _Marked(ks, len(shapes.ids))
            for k, trajectory in _checked(trajectories(wanted), shapes.batch.ids, wanted):
                records.add(msgspec.json.encode(trajectory))
                notes.add(k, trajectory)
                if skilled is not None:
                    skilled.add(trajectory)
                tasks.setdefault(int(group_K[k]), shapes.hide(trajectory.task))
                yield trajectory

        for member in shapes.members(ks, read()):
            part.members.add(member)
        order = np.argsort(group_K[ks], kind="stable")
        for g, of_group in groupby(order.tolist(), lambda n: int(group_K[ks[n]])):
            ns = [*of_group]
            shown = b",".join([part.members[n] for n in ns])
            part.chunks.add(compressed(b"[" + shown + b"]"))
            said = explaining and explaining.of(g, (records[n] for n in ns))
            if said is not None:
                missing[g] = said
        cuts = array("q", _cuts(order, group_K[ks], records))
        for low, high in pairwise((*cuts, order.size)):
            some = order[low:high].tolist()
            part.chunks.add(compressed(body((records[n] for n in some), redactor)))
    return Made(
        part.members.flush(),
        part.chunks.flush(),
        cuts,
        notes,
        [tasks[g] for g in range(part.low, part.high)],
        Counter() if redactor is None else redactor.counts,
        missing,
        skilled,
    )


@final
class _Marked(Container[int]):
    """Some numbers of many: a byte each."""

    def __init__(self, numbers: Int64[np.ndarray, " _"], most: int) -> None:
        marks = np.zeros(most, np.uint8)
        marks[numbers] = 1
        self._marks = marks.tobytes()

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number < len(self._marks) and self._marks[number] == 1


def _checked(
    trajectories: Iterable[Trajectory | None], ids: Sequence[str], wanted: Container[int]
) -> Iterator[tuple[int, Trajectory]]:
    """Yields the wanted trajectories by number, once each is known to be the batch's."""
    k = -1
    for k, trajectory in enumerate(trajectories):
        if trajectory is None:
            continue
        if k >= len(ids) or trajectory.id != ids[k]:
            expected = repr(ids[k]) if k < len(ids) else "no more"
            raise DataError(
                f"report: record {k} is {trajectory.id!r}; expected {expected}, as in the batch; "
                "read the same log again"
            )
        if k in wanted:
            yield k, trajectory
    if k + 1 != len(ids):
        raise DataError(f"report: got {k + 1} records; expected {len(ids)}, as in the batch")


def _cuts(
    order: Int64[np.ndarray, " _"], group: Int64[np.ndarray, " _"], records: Spool
) -> Iterator[int]:
    """Yields where in `order` a stretch of `BODY` bytes of one group's records begins."""
    size, last = 0, -1
    for at, n in enumerate(order.tolist()):
        if group[n] != last or size + records.size(n) > BODY:
            yield at
            size, last = 0, group[n]
        size += records.size(n)


def chunks(parts: Sequence[Part]) -> Iterator[bytes]:
    """Yields all chunks, as the pages number them: of shapes, then of records."""
    for part in parts:
        yield from (part.chunks[n] for n in range(part.high - part.low))
    for part in parts:
        yield from (part.chunks[n] for n in range(part.high - part.low, len(part.chunks)))


def places(
    group_K: Int64[np.ndarray, " K"], parts: Sequence[Part], made: Sequence[Made]
) -> Int64[np.ndarray, "2 K"]:
    """Returns of each trajectory the number of the chunk with its record, and its place in it."""
    places, first = np.zeros((2, group_K.size), np.int64), int(parts[-1].high)
    for part, each in zip(parts, made, strict=True):
        ks = part.ks(group_K)
        ks = ks[np.argsort(group_K[ks], kind="stable")]
        size = np.diff(np.append(np.array(each.cuts, np.int64), ks.size))
        places[0, ks] = np.repeat(np.arange(size.size), size) + first
        places[1, ks] = np.arange(ks.size) - np.repeat(np.array(each.cuts, np.int64), size)
        first += size.size
    return places

"""Writes the report: records in, one HTML file (or, when large, a folder) and its JSON twin out.

The records are read once, one at a time; what the pages need of them waits on disk until its group
is complete. The same input gives the same bytes, on however many processes.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, final

import msgspec
import numpy as np
from jaxtyping import Int, Int64

from assay.audit import FATE_KINDS
from assay.batch import CATEGORIES, CLAIMS, ENDS
from assay.batch.parallel import in_forks, processes
from assay.errors import DataError
from assay.files.atomic import published
from assay.kernels.groups import FATES
from assay.records import Trajectory
from assay.report.advice import advice
from assay.report.losses import explained
from assay.report.pack import listed, significant
from assay.report.page import CLOSING, chunk, opening
from assay.report.reasons import CODES
from assay.report.redact import Redactor
from assay.report.rescued import Notes, rescues
from assay.report.shape import Shapes
from assay.report.store import BODY, Spool, body, compressed, shards
from assay.report.stream import Listed, pieces
from assay.report.words import headline

SCHEMA: Final = "assay.report/1"
_BASE64 = 4 / 3
_WORTH_IT = 400
"""Trajectories that a process must have to write, at least."""


@final
class Report(Shapes):
    """A report under construction: `add` each method once, then `write`.

    What the pages need of a method is written to disk when it is added; no array of it is kept.
    """

    def write(
        self,
        *,
        title: str,
        audit: dict[str, Any],
        trajectories: Callable[[Container[int]], Iterable[Trajectory | None]],
        limit_trajectories: int = 25_000,
        limit_bytes: int = 150_000_000,
        live: bool = False,
        reading: str = "",
    ) -> Path:
        """Returns the page to open: `out`, or `index.html` in a folder named like `out` when large.

        Beside it lies `report.json`, the JSON twin, schema "assay.report/1": everything that the
        pages show except the texts.

        Args:
            title: what the set is called; shown on top.
            audit: the result of `assay.audit.audit` for the same batch.
            trajectories: reads the records of some numbers again, one at a time, in the batch's
                order; may give None for the others.
            limit_trajectories: a set with more becomes a folder, to be opened with `assay view`.
            limit_bytes: so does a page of more bytes than this.
            live: somebody writes to the log: where it is served, the page looks for a newer one.
            reading: as what the log was read; shown under the title.

        Raises:
            DataError: the records are not the ones that the batch was built from.
        """
        with ExitStack() as stack:
            stack.enter_context(closing(self))
            count = processes(len(self.ids), _WORTH_IT)
            cuts = [self.batch.n_groups * n // count for n in range(count + 1)]
            parts = [
                _Part(
                    low,
                    high,
                    *(stack.enter_context(closing(Spool(self.folder))) for _ in range(2)),
                )
                for low, high in pairwise(cuts)
            ]
            jobs = [partial(_made, part, self, trajectories) for part in parts]
            made = [part.filled(got) for part, got in zip(parts, in_forks(jobs), strict=True)]
            index = _index(title, audit, self, parts, made)
            index["reading"] = self.hide(reading)
            if live:
                index["live"] = True
            if self.replays.index is not None:
                index["replay"] = self.replays.index
            if helped := {k: one for each in made for k, one in each.notes.helped.items()}:
                index["rescues"] = rescues(helped, self.batch.ids, self.hide)
            _write_twin(self.out.with_suffix(".json"), index, self.batch.group_K, parts)
            large = len(self.ids) > limit_trajectories
            large |= sum(part.chunks.total for part in parts) * _BASE64 > limit_bytes
            return (_write_folder if large else _write_file)(self.out, index, _chunks(parts))


class _Made(NamedTuple):
    """What a process tells of its part: the rest of it is in the spools."""

    members_at: Any
    chunks_at: Any
    cuts: "array[int]"
    """Where, among the members of the part's groups, a chunk of records begins."""
    notes: Notes
    tasks: list[str]
    """Of each group."""
    secrets: Counter[str]


class _Part(NamedTuple):
    """Some groups, and where one process writes what the pages show of them."""

    low: int
    high: int
    """Groups [low, high)."""
    members: Spool
    """Of each trajectory, ascending: its shape."""
    chunks: Spool
    """One per group with its shapes, then the records, group by group."""

    def filled(self, made: _Made) -> _Made:
        """Takes note of what the process that made this part has written."""
        self.members.filled(made.members_at)
        self.chunks.filled(made.chunks_at)
        return made

    def ks(self, group_K: Int64[np.ndarray, " K"]) -> Int64[np.ndarray, " _"]:
        """Returns the trajectories of the part, ascending."""
        return np.flatnonzero((group_K >= self.low) & (group_K < self.high))


def _made(
    part: _Part,
    shapes: Shapes,
    trajectories: Callable[[Container[int]], Iterable[Trajectory | None]],
) -> _Made:
    """Fills the spools of a part."""
    redactor = Redactor() if shapes.redact else None
    group_K, ks = shapes.batch.group_K, part.ks(shapes.batch.group_K)
    notes, tasks = Notes(), dict[int, str]()
    with closing(Spool(shapes.folder)) as records:

        def read() -> Iterator[Trajectory]:
            wanted = _Marked(ks, len(shapes.ids))
            for k, trajectory in _checked(trajectories(wanted), shapes.batch.ids, wanted):
                records.add(msgspec.json.encode(trajectory))
                notes.add(k, trajectory)
                tasks.setdefault(int(group_K[k]), shapes.hide(trajectory.task))
                yield trajectory

        for member in shapes.members(ks, read()):
            part.members.add(member)
        order = np.argsort(group_K[ks], kind="stable")
        for _, ns in groupby(order.tolist(), lambda n: group_K[ks[n]]):
            shown = b",".join([part.members[n] for n in ns])
            part.chunks.add(compressed(b"[" + shown + b"]"))
        cuts = array("q", _cuts(order, group_K[ks], records))
        for low, high in pairwise((*cuts, order.size)):
            some = order[low:high].tolist()
            part.chunks.add(compressed(body((records[n] for n in some), redactor)))
    return _Made(
        part.members.flush(),
        part.chunks.flush(),
        cuts,
        notes,
        [tasks[g] for g in range(part.low, part.high)],
        Counter() if redactor is None else redactor.counts,
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


def _chunks(parts: Sequence[_Part]) -> Iterator[bytes]:
    """Yields all chunks, as the pages number them: of shapes, then of records."""
    for part in parts:
        yield from (part.chunks[n] for n in range(part.high - part.low))
    for part in parts:
        yield from (part.chunks[n] for n in range(part.high - part.low, len(part.chunks)))


def _places(
    group_K: Int64[np.ndarray, " K"], parts: Sequence[_Part], made: Sequence[_Made]
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


def _index(
    title: str,
    audit: dict[str, Any],
    shapes: Shapes,
    parts: Sequence[_Part],
    made: Sequence[_Made],
) -> dict[str, Any]:
    """Returns what the page knows before it opens a chunk."""
    batch, secrets = shapes.batch, sum((each.secrets for each in made), Counter[str]())
    audited = msgspec.json.encode(audit, order="sorted")  # why a method is refused names a group
    trial_K = np.zeros(len(batch.ids), object)
    for part, each in zip(parts, made, strict=True):
        trial_K[part.ks(batch.group_K)] = each.notes.trials
    chunk_K, slot_K = _places(batch.group_K, parts, made)
    return {
        "schema": SCHEMA,
        "title": shapes.hide(title),
        "headline": headline(audit),
        "advice": advice(audit),
        "losses": [
            [shapes.hide(kind), count, shapes.hide(means)]
            for kind, count, means in explained(audit.get("losses", {}))
        ],
        "audit": msgspec.Raw(Redactor().line(audited) if shapes.redact else audited),
        "measure": batch.measure,
        "reference": shapes.methods[0]["name"],
        "methods": shapes.methods,
        "fates": list(FATE_KINDS),
        "reasons": list(CODES),
        "groups": _group_columns(shapes, [task for each in made for task in each.tasks]),
        "trajectories": {
            "id": Listed(len(batch.ids), shapes.ids.__getitem__),
            "trial": _column(trial_K),
            "group": _column(batch.group_K),
            "outcome": _column(batch.outcome_K),
            "passed": _column(shapes.passed_K.view(np.int8)),
            "category": _named(CATEGORIES, batch.category_K),
            "claim": _named(CLAIMS, batch.claim_K),
            "end": _named(ENDS, batch.end_K),
            "kept": _column(batch.kept_K.view(np.int8)),
            "steps": _column(shapes.steps_K),
            "length": _column(batch.wrote_K),
            "chunk": _column(chunk_K),
            "slot": _column(slot_K),
        },
        "redacted": dict(sorted(secrets.items())) if shapes.redact else None,
    }


def _column(values: np.ndarray) -> Listed:
    """Returns an array as the pages have it."""
    if values.dtype.kind != "f":
        return Listed(len(values), lambda at: values[at].tolist())
    return Listed(len(values), lambda at: listed(significant(values[at])))


def _named(names: Sequence[str], codes: Int[np.ndarray, " _"]) -> Listed:
    """Returns codes by their names."""
    return Listed(codes.size, lambda at: [names[code] for code in codes[at].tolist()])


def _group_columns(shapes: Shapes, tasks: list[str]) -> dict[str, Any]:
    group_K, ids = shapes.batch.group_K, shapes.batch.groups
    order = np.argsort(group_K, kind="stable")
    start = np.searchsorted(group_K[order], np.arange(len(ids) + 1))

    def members(at: slice) -> list[list[int]]:
        return [order[start[g] : start[g + 1]].tolist() for g in range(at.start, at.stop)]

    return {
        "id": Listed(len(ids), lambda at: [shapes.hide(each) for each in ids[at]]),
        "task": tasks,
        "fate": _named(FATES, shapes.fate_G),
        "dead": _column(shapes.dead_G.view(np.int8)),
        "members": Listed(len(ids), members),
        "passed": _column(shapes.passes_G),
        "sessions": _column(shapes.sessions_G),
        "scored": _column(shapes.scored_G),
        "punished": _column(shapes.reference.punished_G),
        "written": _column(shapes.reference.written),
        "signal": {name: _column(signal_G) for name, signal_G in shapes.signal.items()},
    }


def _write_file(out: Path, index: dict[str, Any], chunks: Iterable[bytes]) -> Path:
    with published(out) as stream:
        stream.writelines(opening(index, folder=False))
        stream.writelines(chunk(number, packed) for number, packed in enumerate(chunks))
        stream.write(CLOSING)
    return out


def _write_folder(out: Path, index: dict[str, Any], chunks: Iterable[bytes]) -> Path:
    """Writes chunk files named by their content, then the page that refers to them."""
    folder = out.with_suffix("")
    names: list[str] = []
    places = array("q")
    for number, (name, data, within) in enumerate(shards(chunks)):
        with published(folder / "chunks" / name) as stream:
            stream.write(data)
        names.append(name)
        for at, length in within:
            places.extend((number, at, length))
    where = {"files": names, "places": _column(np.array(places, np.int64).reshape(-1, 3))}
    with published(folder / "index.html") as stream:
        stream.writelines(opening({**index, **where}, folder=True))
        stream.write(CLOSING)
    for stale in set((folder / "chunks").iterdir()) - {folder / "chunks" / name for name in names}:
        stale.unlink()
    return folder / "index.html"


def _write_twin(
    path: Path,
    index: dict[str, Any],
    group_K: Int64[np.ndarray, " K"],
    parts: Sequence[_Part],
) -> None:
    """Writes the index with one more key, `members`: the shape of every trajectory, in order."""
    part_K = np.searchsorted([part.high for part in parts], group_K, "right")
    of = [iter(range(len(part.members))) for part in parts]
    with published(path) as stream:
        stream.writelines(_open(pieces(index)))
        stream.write(b',"members":[')
        for k, part in enumerate(part_K.tolist()):
            stream.write((b"," if k else b"") + parts[part].members[next(of[part])])
        stream.write(b"]}\n")


def _open(written: Iterable[bytes]) -> Iterator[bytes]:
    """Yields JSON of an object without its last brace."""
    last = b""
    for piece in written:
        yield last
        last = piece
    yield last[:-1]

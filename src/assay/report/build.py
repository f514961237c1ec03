"""Writes the report: records in, one HTML file (or, when large, a folder) and its JSON twin out.

The records are read once, one at a time; what the pages need of them waits on disk until its group
is complete. The same input gives the same bytes, on however many processes.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, final

import msgspec
import numpy as np

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
from assay.report.shape import Shapes
from assay.report.store import BODY, Spool, body, compressed, shards
from assay.report.words import headline

SCHEMA: Final = "assay.report/1"
_Chunk = tuple[Spool, int]
"""Where a chunk waits, and its number there."""
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
        groups: list[list[int]] = [[] for _ in self.batch.groups]
        for k, g in enumerate(self.batch.group_K.tolist()):
            groups[g].append(k)
        with ExitStack() as stack:
            stack.enter_context(closing(self))
            count = processes(len(self.ids), _WORTH_IT)
            cuts = [len(groups) * n // count for n in range(count + 1)]
            parts = [
                _Part(
                    groups[low:high],
                    *(stack.enter_context(closing(Spool(self.folder))) for _ in range(2)),
                )
                for low, high in pairwise(cuts)
            ]
            jobs = [partial(_made, part, self, trajectories) for part in parts]
            made = [part.filled(got) for part, got in zip(parts, in_forks(jobs), strict=True)]
            chunks, places = _numbered(parts, made, len(self.ids))
            index = _index(title, audit, self, made, places, groups)
            index["reading"] = self.hide(reading)
            if live:
                index["live"] = True
            _write_twin(self.out.with_suffix(".json"), index, parts)
            large = len(self.ids) > limit_trajectories
            large |= sum(part.chunks.total for part in parts) * _BASE64 > limit_bytes
            return (_write_folder if large else _write_file)(self.out, index, chunks)


class _Made(NamedTuple):
    """What a process tells of its part: the rest of it is in the spools."""

    members_at: Any
    chunks_at: Any
    cuts: list[list[int]]
    about: dict[int, tuple[str, int | None]]
    """Of each trajectory: its task, and which trial of it."""
    secrets: Counter[str]


class _Part(NamedTuple):
    """Some groups, and where one process writes what the pages show of them."""

    groups: list[list[int]]
    members: Spool
    """Of each trajectory, ascending: its shape."""
    chunks: Spool
    """One per group with its shapes, then the records, group by group."""

    def filled(self, made: _Made) -> _Made:
        """Takes note of what the process that made this part has written."""
        self.members.filled(made.members_at)
        self.chunks.filled(made.chunks_at)
        return made


def _made(
    part: _Part,
    shapes: Shapes,
    trajectories: Callable[[Container[int]], Iterable[Trajectory | None]],
) -> _Made:
    """Fills the spools of a part."""
    redactor = Redactor() if shapes.redact else None
    ks = sorted(chain.from_iterable(part.groups))
    about = dict[int, tuple[str, int | None]]()
    with closing(Spool(shapes.folder)) as records:

        def read() -> Iterator[Trajectory]:
            wanted = set(ks)
            for k, trajectory in _checked(trajectories(wanted), shapes.batch.ids, wanted):
                records.add(msgspec.json.encode(trajectory))
                about[k] = shapes.hide(trajectory.task), trajectory.trial
                yield trajectory

        for member in shapes.members(ks, read()):
            part.members.add(member)
        number = {k: n for n, k in enumerate(ks)}
        numbers = [[number[k] for k in each] for each in part.groups]
        cuts = [cut for each in numbers for cut in _cuts(each, records)]
        for each in numbers:
            shown = b",".join([part.members[n] for n in each])
            part.chunks.add(compressed(b"[" + shown + b"]"))
        for cut in cuts:
            part.chunks.add(compressed(body((records[n] for n in cut), redactor)))
    return _Made(
        part.members.flush(),
        part.chunks.flush(),
        [[ks[n] for n in cut] for cut in cuts],
        about,
        Counter() if redactor is None else redactor.counts,
    )


def _checked(
    trajectories: Iterable[Trajectory | None], ids: Sequence[str], wanted: set[int]
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


def _numbered(
    parts: Sequence[_Part], made: Sequence[_Made], count: int
) -> tuple[list[_Chunk], list[tuple[int, int]]]:
    """Returns all chunks, numbered as the pages number them: of shapes, then of records; and of
    each trajectory the chunk of its record and its place in it."""
    chunks = [(part.chunks, n) for part in parts for n in range(len(part.groups))]
    places = [(0, 0)] * count
    for part, each in zip(parts, made, strict=True):
        for n, cut in enumerate(each.cuts, len(part.groups)):
            for slot, k in enumerate(cut):
                places[k] = (len(chunks), slot)
            chunks.append((part.chunks, n))
    return chunks, places


def _cuts(ks: list[int], records: Spool) -> Iterator[list[int]]:
    """Yields the members of a group in stretches of `BODY` bytes."""
    cut: list[int] = []
    size = 0
    for k in ks:
        if cut and size + records.size(k) > BODY:
            yield cut
            cut, size = [], 0
        cut.append(k)
        size += records.size(k)
    if cut:
        yield cut


def _index(
    title: str,
    audit: dict[str, Any],
    shapes: Shapes,
    made: Sequence[_Made],
    places: list[tuple[int, int]],
    groups: list[list[int]],
) -> dict[str, Any]:
    """Returns what the page knows before it opens a chunk."""
    batch, about = shapes.batch, {k: each for one in made for k, each in one.about.items()}
    secrets = sum((each.secrets for each in made), Counter[str]())
    audited = msgspec.json.encode(audit, order="sorted")  # why a method is refused names a group
    wrote_K = np.bincount(
        batch.traj_R[batch.step_R >= 0], batch.length_R[batch.step_R >= 0], len(batch.ids)
    )
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
        "groups": _group_columns(shapes, [about[ks[0]][0] for ks in groups], groups),
        "trajectories": {
            "id": shapes.ids,
            "trial": [about[k][1] for k in range(len(batch.ids))],
            "group": batch.group_K.tolist(),
            "outcome": listed(significant(batch.outcome_K)),
            "passed": shapes.passed_K.astype(int).tolist(),
            "category": [CATEGORIES[code] for code in batch.category_K.tolist()],
            "claim": [CLAIMS[code] for code in batch.claim_K.tolist()],
            "end": [ENDS[code] for code in batch.end_K.tolist()],
            "kept": batch.kept_K.astype(int).tolist(),
            "steps": np.bincount(batch.traj_S, minlength=len(batch.ids)).tolist(),
            "length": wrote_K.astype(int).tolist(),
            "chunk": [number for number, _ in places],
            "slot": [slot for _, slot in places],
        },
        "redacted": dict(sorted(secrets.items())) if shapes.redact else None,
    }


def _group_columns(shapes: Shapes, tasks: list[str], groups: list[list[int]]) -> dict[str, Any]:
    return {
        "id": [shapes.hide(each) for each in shapes.batch.groups],
        "task": tasks,
        "fate": [FATES[code] for code in shapes.fate_G.tolist()],
        "dead": shapes.dead_G.astype(int).tolist(),
        "members": groups,
        "passed": shapes.passes_G.tolist(),
        "sessions": shapes.sessions_G.tolist(),
        "scored": shapes.scored_G.tolist(),
        "punished": shapes.punished_G().tolist(),
        "written": shapes.written_G(),
        "signal": shapes.signal,
    }


def _write_file(out: Path, index: dict[str, Any], chunks: list[_Chunk]) -> Path:
    with published(out) as stream:
        stream.write(opening(index, folder=False))
        for number, (spool, at) in enumerate(chunks):
            stream.write(chunk(number, spool[at]))
        stream.write(CLOSING)
    return out


def _write_folder(out: Path, index: dict[str, Any], chunks: list[_Chunk]) -> Path:
    """Writes chunk files named by their content, then the page that refers to them."""
    folder = out.with_suffix("")
    names: list[str] = []
    places: list[list[int]] = []
    for number, (name, data, within) in enumerate(shards(spool[at] for spool, at in chunks)):
        with published(folder / "chunks" / name) as stream:
            stream.write(data)
        names.append(name)
        places += [[number, at, length] for at, length in within]
    with published(folder / "index.html") as stream:
        stream.write(opening({**index, "files": names, "places": places}, folder=True) + CLOSING)
    for stale in set((folder / "chunks").iterdir()) - {folder / "chunks" / name for name in names}:
        stale.unlink()
    return folder / "index.html"


def _write_twin(path: Path, index: dict[str, Any], parts: Sequence[_Part]) -> None:
    """Writes the index with one more key, `members`: the shape of every trajectory, in order."""
    opened = msgspec.json.encode(index, order="sorted")
    owner = {
        k: (part.members, n)
        for part in parts
        for n, k in enumerate(sorted(chain.from_iterable(part.groups)))
    }
    with published(path) as stream:
        stream.write(opened[:-1] + b',"members":[')
        for k in range(len(owner)):
            members, n = owner[k]
            stream.write((b"," if k else b"") + members[n])
        stream.write(b"]}\n")

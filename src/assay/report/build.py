"""Writes the report: records in, one HTML file (or, when large, a folder) and its JSON twin out.

The records are read once, one at a time; what the pages need of them waits on disk until its group
is complete. The same input gives the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from assay.audit import FATE_KINDS
from assay.batch import CATEGORIES, CLAIMS, ENDS, Batch
from assay.errors import DataError
from assay.files.atomic import published
from assay.kernels.advantages import Advantages
from assay.kernels.groups import FATES
from assay.records import Decision, Trajectory, encode
from assay.report.pack import listed, significant
from assay.report.page import CLOSING, chunk, opening
from assay.report.reasons import CODES
from assay.report.redact import Redactor
from assay.report.shape import Shapes
from assay.report.store import BODY, Spool, body, in_order, shards
from assay.report.words import headline

SCHEMA: Final = "assay.report/1"
_BASE64 = 4 / 3


def build(
    out: Path,
    *,
    title: str,
    audit: dict[str, Any],
    batch: Batch,
    credits: Mapping[str, Advantages],
    trajectories: Callable[[], Iterable[Trajectory]],
    decisions: Sequence[Decision],
    limit_trajectories: int = 25_000,
    limit_bytes: int = 150_000_000,
    redact: bool = True,
) -> Path:
    """Returns the page to open: `out`, or `index.html` in a folder named like `out` when large.

    Beside it lies `report.json`, the JSON twin, schema "assay.report/1": everything that the pages
    show except the texts.

    Args:
        out: where the page goes, for example RUN/report.html.
        title: what the set is called; shown on top.
        audit: the result of `assay.audit.audit` for the same batch.
        batch: after the gates.
        credits: advantages by method name; the first is the reference that fates and colours
            start with.
        trajectories: reads the records again, in the batch's order, one at a time.
        decisions: one per trajectory, in the batch's order.
        limit_trajectories: a set with more becomes a folder, to be opened with `assay view`.
        limit_bytes: so does a page of more bytes than this.
        redact: hide what looks like a secret (`report.redact`); the page says how many there were.

    Raises:
        DataError: the records are not the ones that the batch was built from.
    """
    redactor = Redactor() if redact else None
    shapes = Shapes(
        batch, credits, decisions, pass_at=float(audit.get("pass_at", 1.0)), redactor=redactor
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    records, members = Spool(out.parent), Spool(out.parent)
    chunks = Spool(out.parent)
    try:
        columns = _read(shapes, trajectories(), redactor, records, members)
        groups, places = _chunked(batch, records, members, chunks)
        index = _index(title, audit, shapes, columns, groups, places, redactor)
        _write_twin(out.with_suffix(".json"), index, members)
        large = len(batch.ids) > limit_trajectories or chunks.total * _BASE64 > limit_bytes
        return _write_folder(out, index, chunks) if large else _write_file(out, index, chunks)
    finally:
        for spool in (records, members, chunks):
            spool.close()


def _read(
    shapes: Shapes,
    trajectories: Iterable[Trajectory],
    redactor: Redactor | None,
    records: Spool,
    members: Spool,
) -> dict[str, list[Any]]:
    """Spools every record and its shape; returns what the index keeps of each."""
    ids = shapes.batch.ids
    trials: list[int | None] = []
    tasks: list[str] = []
    for k, trajectory in enumerate(trajectories):
        if k >= len(ids) or trajectory.id != ids[k]:
            expected = repr(ids[k]) if k < len(ids) else "no more"
            raise DataError(
                f"report: record {k} is {trajectory.id!r}; expected {expected}, as in the batch; "
                "read the same log again"
            )
        clean = trajectory if redactor is None else redactor.record(trajectory)
        records.add(encode(clean))
        members.add(msgspec.json.encode(shapes.member(k, trajectory), order="sorted"))
        trials.append(trajectory.trial)
        tasks.append(clean.task)
    if len(records) != len(ids):
        raise DataError(f"report: got {len(records)} records; expected {len(ids)}, as in the batch")
    return {"trial": trials, "task": tasks}


def _chunked(
    batch: Batch, records: Spool, members: Spool, chunks: Spool
) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Fills `chunks`: first one per group with its shapes, then the records, group by group.

    Returns:
        The trajectories of each group, and of each trajectory its chunk and its place in it.
    """
    groups: list[list[int]] = [[] for _ in batch.groups]
    for k, g in enumerate(batch.group_K.tolist()):
        groups[g].append(k)
    cuts = [cut for ks in groups for cut in _cuts(ks, records)]
    places = [(0, 0)] * len(batch.ids)
    for number, cut in enumerate(cuts):
        for slot, k in enumerate(cut):
            places[k] = (len(groups) + number, slot)

    def jobs() -> Iterator[bytes]:
        for ks in groups:
            yield b"[" + b",".join(members[k] for k in ks) + b"]"
        for cut in cuts:
            yield body(records[k] for k in cut)

    for packed in in_order(jobs()):
        chunks.add(packed)
    return groups, places


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
    columns: dict[str, list[Any]],
    groups: list[list[int]],
    places: list[tuple[int, int]],
    redactor: Redactor | None,
) -> dict[str, Any]:
    """Returns what the page knows before it opens a chunk."""
    batch, hide = shapes.batch, shapes.hide
    wrote_K = np.bincount(
        batch.traj_R[batch.step_R >= 0], batch.length_R[batch.step_R >= 0], len(batch.ids)
    )
    return {
        "schema": SCHEMA,
        "title": hide(title),
        "headline": headline(audit),
        "audit": audit,
        "measure": batch.measure,
        "reference": next(iter(shapes.methods)),
        "methods": [method.about() for method in shapes.methods.values()],
        "fates": list(FATE_KINDS),
        "reasons": list(CODES),
        "groups": _group_columns(shapes, columns, groups),
        "trajectories": {
            "id": shapes.ids,
            "trial": columns["trial"],
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
        "redacted": None if redactor is None else dict(sorted(redactor.counts.items())),
    }


def _group_columns(
    shapes: Shapes, columns: dict[str, list[Any]], groups: list[list[int]]
) -> dict[str, Any]:
    return {
        "id": [shapes.hide(each) for each in shapes.batch.groups],
        "task": [columns["task"][ks[0]] for ks in groups],
        "fate": [FATES[code] for code in shapes.fate_G.tolist()],
        "dead": shapes.dead_G.astype(int).tolist(),
        "members": groups,
        "passed": [int(shapes.passed_K[ks].sum()) for ks in groups],
        "punished": shapes.punished_G().tolist(),
        "written": shapes.written_G(),
        "signal": {name: method.signal_G for name, method in shapes.methods.items()},
    }


def _write_file(out: Path, index: dict[str, Any], chunks: Spool) -> Path:
    with published(out) as stream:
        stream.write(opening(index, folder=False))
        for number in range(len(chunks)):
            stream.write(chunk(number, chunks[number]))
        stream.write(CLOSING)
    return out


def _write_folder(out: Path, index: dict[str, Any], chunks: Spool) -> Path:
    """Writes chunk files named by their content, then the page that refers to them."""
    folder = out.with_suffix("")
    names: list[str] = []
    places: list[list[int]] = []
    for number, (name, data, within) in enumerate(shards(chunks)):
        with published(folder / "chunks" / name) as stream:
            stream.write(data)
        names.append(name)
        places += [[number, at, length] for at, length in within]
    with published(folder / "index.html") as stream:
        stream.write(opening({**index, "files": names, "places": places}, folder=True) + CLOSING)
    for stale in set((folder / "chunks").iterdir()) - {folder / "chunks" / name for name in names}:
        stale.unlink()
    return folder / "index.html"


def _write_twin(path: Path, index: dict[str, Any], members: Spool) -> None:
    """Writes the index with one more key, `members`: the shape of every trajectory, in order."""
    opened = msgspec.json.encode(index, order="sorted")
    with published(path) as stream:
        stream.write(opened[:-1] + b',"members":[')
        for k in range(len(members)):
            stream.write((b"," if k else b"") + members[k])
        stream.write(b"]}\n")

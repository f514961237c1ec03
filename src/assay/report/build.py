"""Writes the report: records in, one HTML file (or, when large, a folder) and its JSON twin out.

The records are read once, one at a time; what the pages need of them waits on disk until its group
is complete. The same input gives the same bytes, on however many processes.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, final

import msgspec
import numpy as np
from jaxtyping import Int, Int64

from assay.audit import FATE_KINDS
from assay.batch import CATEGORIES, CLAIMS, ENDS
from assay.batch.parallel import in_forks, processes
from assay.files.atomic import published
from assay.kernels.groups import FATES
from assay.records import Trajectory
from assay.report.advice import advice
from assay.report.course import course
from assay.report.explaining import Explain, Explaining
from assay.report.losses import explained
from assay.report.metrics import metrics
from assay.report.pack import listed, significant
from assay.report.page import CLOSING, chunk, opening
from assay.report.parts import Made, Part, chunks, fill, places
from assay.report.reasons import CODES
from assay.report.redact import Redactor
from assay.report.rescued import Beside, Helped, failed_alone, rescues, shown_beside
from assay.report.rubric import rubric
from assay.report.shape import Shapes
from assay.report.skills import Skills, skills
from assay.report.store import Spool, shards
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
        explain: Explain | None = None,
        skilled: Skills | None = None,
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
            explain: says what could be tried where all failed. None: nothing is said of it.
            skilled: says what rollouts saw of skills. None: nothing is said of it.

        Raises:
            DataError: the records are not the ones that the batch was built from.
        """
        with ExitStack() as stack:
            stack.enter_context(closing(self))
            count = processes(len(self.ids), _WORTH_IT)
            cuts = [self.batch.n_groups * n // count for n in range(count + 1)]
            parts = [
                Part(
                    low,
                    high,
                    *(stack.enter_context(closing(Spool(self.folder))) for _ in range(2)),
                )
                for low, high in pairwise(cuts)
            ]
            known = explain and Explaining(
                explain, self.batch, self.fate_G, self.passed_K, trajectories
            )
            counting = [None if skilled is None else skilled.counting() for _ in parts]
            jobs = [
                partial(fill, part, self, trajectories, known, each)
                for part, each in zip(parts, counting, strict=True)
            ]
            made = [part.filled(got) for part, got in zip(parts, in_forks(jobs), strict=True)]
            index = _index(title, audit, self, parts, made)
            index["reading"] = self.hide(reading)
            if live:
                index["live"] = True
            if self.replays.index is not None:
                index["replay"] = self.replays.index
            if (told := _skills(made, skilled, self)) is not None:
                index["skills"] = told
            beside = stack.enter_context(closing(Spool(self.folder)))
            index |= self._told(made, parts, beside, sum(len(part.chunks) for part in parts))
            parts.append(Part(self.batch.n_groups, self.batch.n_groups, beside, beside))
            _write_twin(self.out.with_suffix(".json"), index, self.batch.group_K, parts[:-1])
            large = len(self.ids) > limit_trajectories
            large |= sum(part.chunks.total for part in parts) * _BASE64 > limit_bytes
            return (_write_folder if large else _write_file)(self.out, index, chunks(parts))

    def _told(
        self, made: Sequence[Made], parts: Sequence[Part], spool: Spool, first: int
    ) -> dict[str, Any]:
        """Returns what the pages know of help and of the run's course, and fills the chunks behind
        the `first`."""
        batch, helped = self.batch, dict[int, Helped]()
        versions = np.full(len(batch.ids), None, object)
        for part, each in zip(parts, made, strict=True):
            helped |= each.notes.helped
            versions[part.ks(batch.group_K)] = each.notes.versions
        kept = None if self.run is None else self.run / "rescues"
        beside = Beside(kept, batch, spool, pass_at=self.pass_at, redact=self.redact)
        found: dict[str, Any] = {"dead": failed_alone(self.fate_G)}
        found["missing"] = [
            [g, {self.hide(name): lacks for name, lacks in said.items()}]
            for each in made
            for g, said in sorted(each.missing.items())
        ]
        if beside.others or beside.trouble:
            found["others"] = shown_beside(beside.others, first, self.hide)
            found["trouble"] = [self.hide(line) for line in beside.trouble]
        if helped or beside.others:
            found["rescues"] = rescues(helped, beside.others, batch, self.hide)
        if (verdicts := rubric(batch, self.hide, self.run)) is not None:
            found["rubric"] = verdicts
        if (told := course(batch, self.passed_K, helped, versions.tolist())) is not None:
            found["course"] = told
        if (row := metrics(self.run, self.hide)) is not None:
            found["metrics"] = row
        return found


def _skills(made: Sequence[Made], skilled: Skills | None, of: Shapes) -> dict[str, Any] | None:
    """Returns what the pages know of skills; None: there are none."""
    if skilled is None:
        return None
    counted = skilled.counting()
    for each in made:
        counted.absorb(each.skilled)
    said = skilled.said(counted)
    return None if said is None else skills(said, of.batch.ids, of.hide)


def _index(
    title: str,
    audit: dict[str, Any],
    shapes: Shapes,
    parts: Sequence[Part],
    made: Sequence[Made],
) -> dict[str, Any]:
    """Returns what the page knows before it opens a chunk."""
    batch, secrets = shapes.batch, sum((each.secrets for each in made), Counter[str]())
    audited = msgspec.json.encode(audit, order="sorted")  # why a method is refused names a group
    trial_K = np.zeros(len(batch.ids), object)
    for part, each in zip(parts, made, strict=True):
        trial_K[part.ks(batch.group_K)] = each.notes.trials
    chunk_K, slot_K = places(batch.group_K, parts, made)
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
    parts: Sequence[Part],
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

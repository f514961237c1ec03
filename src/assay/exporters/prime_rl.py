"""prime-rl: annotations of the traces that a run saved, as its own producers write them.

An annotation names a trace and gives each branch one value a token, null where there is none. A
reader folds the annotations of all producers onto the traces, in the order of their names, the last
one winning: so ours is called `zz-assay`.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final, final

import msgspec
import numpy as np

from assay.errors import DataError
from assay.exporters.base import Exporter, Tally
from assay.exporters.losses import TRACE_ONLY
from assay.exporters.rows import Row
from assay.files.atomic import published
from assay.records import ModelStep

PRODUCER: Final = "zz-assay"
_FORMATS: Final = ("verifiers", "prime_rl")
_COPY: Final = re.compile(r"~[0-9]+")
_encode = msgspec.json.Encoder().encode


@final
class PrimeRl(Exporter):
    """`annotations/` to lay beside a run's `monitors/file/traces/stream/`."""

    name = "prime-rl"
    engine = "prime-rl main of 2026-09, trace updates version 1"
    checked = "by its own fold of updates onto traces, and in tests by a reader of the same rule"
    writes = f"`annotations/{PRODUCER}/00000.jsonl`, `annotations/{PRODUCER}.index.jsonl`"
    grain = "per token and branch; per trace where it is one value"
    lacks = "a node that several branches share has one credit: the last one's"

    def write(self, rows: Iterable[Row], folder: Path, tally: Tally) -> None:
        """Writes one annotation a trace.

        Raises:
            DataError: the log is not of traces that prime-rl or verifiers wrote.
        """
        stream = folder / "annotations" / PRODUCER / "00000.jsonl"
        index = folder / "annotations" / f"{PRODUCER}.index.jsonl"
        offset = 0
        with published(stream) as out, published(index) as beside:
            for update in _updates(rows, tally):
                line = _encode(update) + b"\n"
                place = {"chunk": 0, "offset": offset, "info": update["info"]}
                beside.write(_encode({"trace_id": update["trace_id"], **place}) + b"\n")
                out.write(line)
                offset += len(line)


def _updates(rows: Iterable[Row], tally: Tally) -> Iterator[dict[str, Any]]:
    for (trace, tree), branches in groupby(rows, _trace):
        if tree is None and _COPY.search(trace):
            tally.lost.add("repeated_id", trace)
            continue
        update = _update(trace, list(branches), tally)
        tally.rows += 1
        tally.tokens += sum(
            value is not None for branch in update["branches"] for value in branch["advantages"]
        )
        yield update


def _trace(row: Row) -> tuple[str, str | None]:
    """Returns the trace of a row, and its tree."""
    origin = row.trajectory.origin
    written = "no log" if origin is None else origin.format
    if written not in _FORMATS:
        raise DataError(
            f"{row.trajectory.id}: from {written}; --to prime-rl annotates traces that prime-rl or "
            "verifiers saved; --to verifiers writes traces of any log"
        )
    return row.trajectory.tree or row.trajectory.id, row.trajectory.tree


def _update(trace: str, rows: list[Row], tally: Tally) -> dict[str, Any]:
    first = rows[0]
    info: dict[str, Any] = {
        "assay": {
            "group": first.trajectory.group,
            "keep": all(row.kept for row in rows),
            "reason": first.decision.reason,
            "outcome": first.trajectory.outcome,
        }
    }
    scalars = {row.scalar for row in rows}
    if len(scalars) == 1 and (scalar := scalars.pop()) is not None:
        info["advantage"] = scalar
    elif first.kept:
        tally.lost.add("no_one_advantage_of_the_trace", trace)
    owners = _owners(rows)
    branches: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        tally.said(row)
        if row.kept and not row.token_ids:
            lost = TRACE_ONLY if "advantage" in info else "no_token_ids"
            tally.lost.add(lost, row.trajectory.id)
            continue
        values = _stream(row, number, owners, tally)
        if any(value is not None for value in values):
            branches.append({"index": _branch(row), "advantages": values})
    return {"version": 1, "trace_id": trace, "info": info, "branches": branches}


def _branch(row: Row) -> int:
    """Returns the number of a branch, leaves in their order."""
    of, tree = row.trajectory.id, row.trajectory.tree
    return 0 if tree is None else int(of.removeprefix(f"{tree}/").partition("~")[0])


def _owners(rows: list[Row]) -> dict[str, list[tuple[int, list[float]]]]:
    """Returns, of each node that is carried, in which rows and with what."""
    owners: dict[str, list[tuple[int, list[float]]]] = {}
    for number, row in enumerate(rows):
        for step, (start, end) in zip(row.trajectory.steps, _spans(row), strict=True):
            if type(step) is ModelStep and step.node is not None and row.carried[start:end].any():
                owners.setdefault(step.node, []).append((number, row.advantage[start:end].tolist()))
    return owners


def _spans(row: Row) -> Iterator[tuple[int, int]]:
    yield from pairwise(row.starts)


def _stream(
    row: Row, number: int, owners: dict[str, list[tuple[int, list[float]]]], tally: Tally
) -> list[float | None]:
    """Returns one value a token of the branch; null where nothing was sampled or scored, and at a
    node whose credit another branch carries."""
    values: list[float | None] = [None] * len(row.token_ids)
    if not row.kept:
        return values
    for step, (start, end) in zip(row.trajectory.steps, _spans(row), strict=True):
        if type(step) is not ModelStep:
            continue
        carrying = owners.get(step.node or "", [])
        if carrying and carrying[-1][0] != number:
            continue
        if any(each[1] != carrying[-1][1] for each in carrying):
            tally.lost.add("node_of_several_credits", f"{row.trajectory.id}: {step.node}")
        for at in (np.flatnonzero(row.scored[start:end]) + start).tolist():
            values[at] = float(row.advantage[at])
    return values

"""A large file of records to a batch, on several processes.

Each process reads a stretch of whole lines into columns of its own, and the columns are joined in
the file's order, so the batch does not depend on how many there were.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from assay.batch import Batch
from assay.batch.build import Builder
from assay.errors import DataError
from assay.files.lines import MAX_RECORD
from assay.records import Trajectory
from assay.records.codec import decode

WORTH_IT = 32 * 1024 * 1024
"""Bytes that a process must have to read, at least."""
_BUFFER = 1 << 20
_LINE = MAX_RECORD + 2
"""Bytes that are read of a line: a record, its newline, and one that is too many."""


def processes_for(path: Path) -> int:
    """Returns how many processes a file is worth; 1 where it cannot be split or forked for."""
    splits = path.is_file() and path.name.endswith(".jsonl")
    forks = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    if not (splits and forks):
        return 1
    return max(1, min(os.cpu_count() or 1, path.stat().st_size // WORTH_IT))


def batch_of_file(path: Path, *, pass_at: float = 1.0, processes: int) -> Batch:
    """Returns `Batch.of(read(path))`, read by forks of this process.

    Raises:
        DataError: a line is not a record; names file and line, as `read` does.
        MixedTokensError: some model steps have token ids and others have none.
    """
    jobs = [(path, start, end, line, pass_at) for start, end, line in _stretches(path, processes)]
    deaf = (signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's: it ends the pool
    with multiprocessing.get_context("fork").Pool(len(jobs), signal.signal, deaf) as pool:
        parts = pool.imap(_part, jobs)
        whole = next(parts)
        for part in parts:
            whole.absorb(part)
    return whole.build()


def _part(job: tuple[Path, int, int, int, float]) -> Builder:
    path, start, end, line, pass_at = job
    builder = Builder(pass_at=pass_at)
    builder.extend(_records(path, start, end, line))
    return builder


def _records(path: Path, start: int, end: int, before: int) -> Iterator[Trajectory]:
    """Yields the records of the lines in [start, end) of a file."""
    with path.open("rb", buffering=_BUFFER) as stream:
        stream.seek(start)
        number = before
        while start < end and (line := stream.readline(_LINE)):
            number += 1
            where = f"{path} line {number}"
            if len(line) == _LINE:
                raise DataError(
                    f"{where}: record is longer than {MAX_RECORD:,} bytes; split the file"
                )
            if record := line.rstrip(b"\r\n"):
                yield decode(record, where=where)
            start += len(line)


def _stretches(path: Path, count: int) -> list[tuple[int, int, int]]:
    """Returns (start, end, lines before it) of stretches that begin and end at line ends."""
    size = path.stat().st_size
    stretches: list[tuple[int, int, int]] = []
    start = before = 0
    with path.open("rb", buffering=_BUFFER) as stream:
        for part in range(1, count + 1):
            stream.seek(max(size * part // count - 1, start))
            stream.readline(_LINE)  # one that is longer is refused where it begins
            end = stream.tell()
            if end > start:
                stretches.append((start, end, before))
                stream.seek(start)
                before += sum(
                    stream.read(min(_BUFFER, end - at)).count(b"\n")
                    for at in range(start, end, _BUFFER)
                )
            start = end
    return stretches

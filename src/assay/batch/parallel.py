"""Work on several processes, and a large file of records to a batch that way.

Each process reads a stretch of whole lines into columns of its own, and the columns are joined in
the file's order, so the batch does not depend on how many there were.
"""

import gc
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Generic, TypeVar, final

from assay.batch.batch import Batch
from assay.batch.build import Builder
from assay.errors import DataError
from assay.files.lines import MAX_RECORD
from assay.files.shards import Shards, Source
from assay.records import Trajectory
from assay.records.codec import decode

T = TypeVar("T")
WORTH_IT = 32 * 1024 * 1024
"""Bytes that a process must have to read, at least."""
_BUFFER = 1 << 20
_LINE = MAX_RECORD + 2
"""Bytes that are read of a line: a record, its newline, and one that is too many."""


def processes(size: int, worth: int) -> int:
    """Returns how many processes work of some size is worth; 1 where nothing can be forked."""
    forks = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    return max(1, min(os.cpu_count() or 1, size // worth)) if forks else 1


def processes_for(path: Source) -> int:
    """Returns how many processes a file is worth; 1 where it cannot be split or forked for."""
    if isinstance(path, Shards):
        return 1
    splits = path.is_file() and path.name.endswith(".jsonl")
    return processes(path.stat().st_size, WORTH_IT) if splits else 1


@final
class Fork(Generic[T]):
    """A job in a fork, which sees all that this process holds: only what it returns is copied."""

    def __init__(self, job: Callable[[], T]) -> None:
        """Begins the job."""
        context = multiprocessing.get_context("fork")
        self._answer, its = context.Pipe(duplex=False)
        self._process = context.Process(target=_answer, args=(job, its), daemon=True)
        try:
            with _uninterrupted():
                self._process.start()
            its.close()
        except BaseException:
            if self._process.pid is not None:
                self.close()
            raise

    def ready(self) -> bool:
        """Returns whether it has ended."""
        return self._answer.poll()

    def answer(self) -> T:
        """Waits for what the job returns.

        Raises:
            DataError: the fork was killed. What the job raises is raised.
        """
        try:
            done, answer = self._answer.recv()
        except (EOFError, OSError):  # before its answer, or within it
            raise DataError("a process of ours was killed; is there memory enough?") from None
        if not done:
            raise answer
        return answer

    def close(self) -> None:
        """Ends it: it has answered, or nobody waits for it any more."""
        self._answer.close()
        self._process.terminate()
        self._process.join()


@contextmanager
def _uninterrupted() -> Generator[None]:
    """An interrupt waits for the end of the block: one that comes within a fork, Python drops. So
    does being asked to end, of the fork until `_answer` has taken our own handler away: that would
    raise out of the fork, which then went on as a second one of us."""
    came: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda *at: came.append(at))
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(*came[0])


def in_forks(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Returns what each job returns, in order: the first made here, every other in a fork."""
    with ExitStack() as stack:
        forks = [stack.enter_context(closing(Fork(job))) for job in jobs[1:]]
        return [jobs[0](), *(fork.answer() for fork in forks)]


@contextmanager
def beside(count: int) -> Generator[Callable[[Callable[[], object]], None]]:
    """Gives a function that has jobs done in forks beside this process; all are, at the end.

    Args:
        count: of forks at a time. A job for which there is none is done at once, here.
    """
    with ExitStack() as stack:
        forks: list[Fork[object]] = []

        def do(job: Callable[[], object]) -> None:
            if len(forks) == count:
                if not forks or not forks[0].ready():
                    job()
                    return
                forks.pop(0).answer()
            forks.append(stack.enter_context(closing(Fork(job))))

        yield do
        for fork in forks:
            fork.answer()


def _answer(job: Callable[[], object], to: Connection) -> None:
    """Runs in a fork: sends what the job returns, or raises. An interrupt is the parent's, and so
    is what this process does when it is asked to end. What it shares with its parent it does not
    search for garbage: that writes on every page, and a page written on is a page of its own."""
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        answer = True, job()
    except Exception as error:
        answer = False, error
    to.send(answer)


def batch_of_file(path: Path, *, pass_at: float = 1.0, processes: int) -> Batch:
    """Returns `Batch.of(read(path))`, read by this process and forks of it.

    Raises:
        DataError: a line is not a record; names file and line, as `read` does.
        MixedTokensError: some model steps have token ids and others have none.
    """
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        whole, *parts = in_forks(
            [
                partial(_part, path, *each, pass_at, Path(folder))
                for each in _stretches(path, processes)
            ]
        )
        for part in parts:
            whole.absorb(part)
        return Batch(**whole.arrays())


def _part(path: Path, start: int, end: int, line: int, pass_at: float, folder: Path) -> Builder:
    builder = Builder(pass_at=pass_at)
    part = folder / f"{start}"
    part.mkdir()
    builder.into(part)
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

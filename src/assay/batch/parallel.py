"""Work on several processes, and a large file of records to a batch that way.

Each process reads a stretch of whole lines into columns of its own, and the columns are joined in
the file's order, so the batch does not depend on how many there were.
"""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Final, Generic, Protocol, TypeVar, final, runtime_checkable

from assay.errors import DataError
from assay.files.lines import MAX_RECORD

T = TypeVar("T")
TRIES: Final = 3
"""How often a job is begun that is lost each time."""
WAIT: Final = 0.02
"""Seconds between two looks at all jobs that are no forks."""
_LONG: Final = 1.0
"""Seconds between two looks at forks, of which each says at once that it has ended."""
WORTH_IT = 32 * 1024 * 1024
"""Bytes that a process must have to read, at least."""
_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)
_BUFFER = 1 << 20
_LINE = MAX_RECORD + 2
"""Bytes that are read of a line: a record, its newline, and one that is too many."""


def processes(size: int, worth: int) -> int:
    """Returns how many processes work of some size is worth; 1 where nothing can be forked."""
    forks = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    return max(1, min(os.cpu_count() or 1, size // worth)) if forks else 1


class LostError(DataError):
    """Whoever had a job is gone, and what it did is lost."""


@runtime_checkable
class Job(Protocol):
    """Something that is being done somewhere."""

    def ready(self, seconds: float = 0.0) -> bool:
        """Returns whether it has ended, or ends within so many seconds."""
        ...

    def answer(self) -> Any:
        """Returns what came of it; raises LostError where whoever had it is gone."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


@final
class Again:
    """A job that is begun again where whoever had it is lost, and that is said."""

    def __init__(self, begin: Callable[[], Job], what: str, say: Callable[[str], None]) -> None:
        """Begins it.

        Args:
            begin: begins it, each time from the start.
            what: it is, for people.
            say: is told that it is begun again.
        """
        self._begin, self._what, self._say = begin, what, say
        self._job, self._tries, self._done, self._answer = begin(), 1, False, None

    def ready(self, seconds: float = 0.0) -> bool:
        """Returns whether it has ended and was not lost, or so ends within so many seconds.

        Raises:
            DataError: it was lost too often. What the job raises is raised.
        """
        if self._done or not self._job.ready(seconds):
            return self._done
        try:
            self._answer = self._job.answer()
            self.close()
        except LostError as error:
            said = f"{self._what}: {error}"
            if self._tries >= TRIES:
                raise DataError(f"{said}, {TRIES} times; is there memory enough?") from None
            self._tries += 1
            self._say(f"{said}; begun again, try {self._tries} of {TRIES}")
            self._job.close()
            self._job = self._begin()
        return self._done

    def answer(self) -> Any:
        """Returns what came of it, once it is ready."""
        return self._answer

    def close(self) -> None:
        """Ends it, unless it has ended."""
        if not self._done:
            self._done = True
            self._job.close()

    @property
    def pipe(self) -> Connection | None:
        """Where its answer comes from, if it is a fork that has not answered yet."""
        return self._job.pipe if isinstance(self._job, Fork) and not self._done else None


def wait_for(jobs: Sequence[Again]) -> None:
    """Waits until one of some jobs may have ended."""
    pipes = [pipe for job in jobs if (pipe := job.pipe) is not None]
    if pipes and len(pipes) == len(jobs):
        wait(pipes, _LONG)
    elif jobs:
        jobs[0].ready(WAIT)


def in_order(
    jobs: Mapping[str, Callable[[], Job]], count: int, say: Callable[[str], None]
) -> Iterator[tuple[str, Any]]:
    """Yields what comes of each of some named jobs, in order: some are done at a time.

    Args:
        jobs: what begins each.
        count: at a time.
        say: is told what is begun again.
    """
    left, running = [*jobs.items()], list[tuple[str, Again]]()
    try:
        while left or running:
            ready = [each.ready() for _, each in running]
            if ready and ready[0]:
                name, first = running.pop(0)
                yield name, first.answer()
            elif left and ready.count(False) < count:
                name, begin = left.pop(0)
                running.append((name, Again(begin, name, say)))
            else:
                wait_for([each for (_, each), done in zip(running, ready, strict=True) if not done])
    finally:
        for _, each in running:
            each.close()


@final
class Fork(Generic[T]):
    """A job in a fork, which sees all that this process holds: only what it returns is copied."""

    def __init__(self, job: Callable[..., T], *given: Any, of: "Crew[T] | None" = None) -> None:
        """Begins the job.

        Args:
            job: it.
            given: to the job.
            of: whose it is once it has answered; None: nobody's, it ends.
        """
        context = multiprocessing.get_context("fork")
        self._answer, its = context.Pipe()
        self._crew, self._free = of, False
        args = (job, given, its, self._answer, of is not None)
        self._process = context.Process(target=_answer, args=args, daemon=True)
        try:
            with _uninterrupted():
                self._process.start()
            its.close()
        except BaseException:
            if self._process.pid is not None:
                self.close()
            raise

    @property
    def pipe(self) -> Connection:
        """Where its answer comes from."""
        return self._answer

    def ready(self, seconds: float = 0.0) -> bool:
        """Returns whether it has ended, or ends within so many seconds."""
        return self._answer.poll(seconds)

    def answer(self) -> T:
        """Waits for what the job returns.

        Raises:
            LostError: the fork was killed. What the job raises is raised.
        """
        try:
            done, answer = self._answer.recv()
        except (EOFError, OSError):  # before its answer, or within it
            raise LostError("a process of ours was killed") from None
        self._free = True
        if not done:
            raise answer
        return answer

    def again(self, given: tuple[Any, ...]) -> bool:
        """Begins the job again, with something else; False: the fork is gone."""
        self._free = False
        try:
            self._answer.send(given)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Lets go of it: it has answered, or nobody waits for it any more and it ends."""
        if self._free and self._crew is not None and self._crew.takes(self):
            return
        self._answer.close()
        self._process.kill()  # it may not even have come to where it could be asked
        self._process.join()


@final
class Crew(Generic[T]):
    """Forks that do a job again and again, each time with something else: what this process learns
    after the first has begun they do not see."""

    def __init__(self, job: Callable[..., T]) -> None:
        """Begins none yet."""
        self._job, self._idle, self._over = job, list[Fork[T]](), False

    def begin(self, *given: Any) -> Fork[T]:
        """Begins the job: in a fork that has nothing to do, or else in a new one."""
        while self._idle:
            fork = self._idle.pop()
            if fork.again(given):
                return fork
            fork.close()
        return Fork(self._job, *given, of=self)

    def takes(self, fork: Fork[T]) -> bool:
        """Takes a fork that has answered back, unless there is nothing more to do."""
        if not self._over:
            self._idle.append(fork)
        return not self._over

    def close(self) -> None:
        """Ends those that have nothing to do now, and each that has not once it has answered."""
        self._over = True
        for fork in self._idle:
            fork.close()


@contextmanager
def _uninterrupted() -> Generator[None]:
    """An interrupt waits for the end of the block: one that comes within a fork, Python drops. So
    does being asked to end, of the fork until `_answer` has taken our own handler away: that would
    raise out of the fork, which then went on as a second one of us."""
    came: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda *at: came.append(at))
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
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


def _answer(
    job: Callable[..., object],
    given: tuple[Any, ...],
    to: Connection,
    read: Connection,
    stays: bool,
) -> None:
    """Runs in a fork: sends what the job returns, or raises, and where it stays does it again with
    what it is given next. An interrupt and the end of the terminal are the parent's, and so
    is what this process does when it is asked to end. What it shares with its parent it does not
    search for garbage: that writes on every page, and a page written on is a page of its own. Its
    copy of the end where answers are read is closed, or it would wait for ever to give its own to a
    parent that was killed."""
    read.close()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    with suppress(EOFError, OSError):  # nobody is left to read it
        while True:
            try:
                answer = True, job(*given)
            except Exception as error:
                answer = False, error
            to.send(answer)
            if not stays:
                return
            del answer  # or it lies in memory beside the next
            given = to.recv()

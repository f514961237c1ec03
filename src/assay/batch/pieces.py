"""A log of any format in pieces, which several processes read, and one batch of all of them.

A piece is of whole files, or of lines of a large one. A process begins with what is known then of
the groups before its piece, and notes what it asked for. Pieces are joined in the log's order;
where one was begun with what turned out to be otherwise, it is read again, so the batch is that of
one process. A piece whose process is lost is read again as well.
"""

import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from shutil import rmtree
from typing import Any, Final, NamedTuple, final

from assay.batch.build import Builder
from assay.batch.parallel import Again, Crew, Job, wait_for
from assay.errors import DataError
from assay.files.folders import temporary
from assay.files.lines import Stretch, stretches_of
from assay.files.packed import is_packed, plain_name
from assay.files.reading import first_byte
from assay.importers import MOST_PARTS, Importer, Kept, Log, Losses, as_one_line
from assay.importers.base import Groups
from assay.importers.units import Noted, Notes, Unit, joined
from assay.records import Trajectory, encode

SIZE: Final = 32 * 1024 * 1024
"""Bytes of a piece, about; of a large log more, up to `_LARGEST`: each worker gets `_EACH` then."""
_LARGEST: Final = 8 * SIZE
_EACH: Final = 32
Prepare = Callable[[Trajectory], Trajectory]


@final
@dataclass(frozen=True, slots=True)
class Workers:
    """Who reads pieces."""

    count: int
    """How many at a time; 1: this process, without any other."""
    begin: Callable[[Callable[[], Any]], Job] | None = None
    """Begins to read a piece; None: in forks of this process."""
    shared: bool = True
    """Do they see the files that this process writes?"""
    say: Callable[[str], None] = lambda _: None
    """Is told of pieces that are read again because a worker was lost."""


class Piece(NamedTuple):
    """What one process reads at a time."""

    units: tuple[tuple[tuple[Path, ...], tuple[str, ...] | None], ...]
    """What is read together, and all files that decide it (`Kept.divided`)."""
    within: Stretch | None
    """Of the one file of the one unit these lines alone."""

    @property
    def files(self) -> int:
        """How many files it is of."""
        return sum(len(files) for files, _ in self.units)

    def __str__(self) -> str:
        """Returns what it is, for people."""
        first, more = self.units[0][0][0], self.files - 1
        if self.within is not None:
            return f"{first} from line {self.within.before + 1:,}"
        return f"{first} and {more:,} after it" if more else str(first)


class Effect(NamedTuple):
    """What was known of groups and is known of them after a piece, as far as it asked."""

    seen: Noted
    owner: Noted


@final
@dataclass(slots=True)
class Answer:
    """What a piece gave."""

    builder: Builder
    lines: bytes
    units: list[Unit]
    losses: Losses
    effect: Effect
    count: int
    last: int
    """Number of the last record of its file, where they are numbered."""
    parts: set[str]


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """How pieces are read."""

    importer: Importer
    log: Log
    pass_at: float
    copied: bool
    """Are the records themselves asked for?"""
    prepare: Prepare | None = None
    size: int = 0
    """Bytes of the log, where they are known."""


def pieces(importer: Importer, log: Log, kept: Kept, most: int) -> Iterator[Piece]:
    """Yields the pieces of a log, in its order, of at most so many bytes, about; one where it
    cannot be divided."""
    some: list[tuple[tuple[Path, ...], tuple[str, ...] | None]] = []
    size = 0
    for files, decide in kept.divided(importer, log):
        of = sum(file.stat().st_size for file in files if file.is_file())
        if some and size + of > most:
            yield Piece(tuple(some), None)
            some, size = [], 0
        if of > most and len(files) == 1 and importer.splits and _of_lines(files[0]):
            yield from (
                Piece(((files, decide),), within) for within in stretches_of(files[0], most)
            )
            continue
        some.append((files, decide))
        size += of
    if some:
        yield Piece(tuple(some), None)


def _of_lines(file: Path) -> bool:
    named = plain_name(file).endswith((".jsonl", ".ndjson"))
    return named and not is_packed(file) and first_byte(file) != b"["


def read_piece(
    asked: Asked, piece: Piece, before: Sequence[Effect], folder: Path | None
) -> Answer | DataError:
    """Returns what a piece gives.

    Args:
        asked: how it is read.
        piece: what.
        before: what pieces did that were read and are not joined yet.
        folder: what is much may lie in files there.
    """
    known = asked.log.groups
    state = Groups(ChainMap({}, known.seen), ChainMap({}, known.owner))  # a fork reads others after
    for effect in before:
        _happen(state, effect)
    seen, owner = Notes(state.seen), Notes(state.owner)
    losses, kept, builder = Losses(), Kept(), Builder(pass_at=asked.pass_at)
    if folder is not None:
        folder.mkdir(parents=True)
        builder.into(folder)
    within = replace(
        asked.log, losses=losses, groups=Groups(seen, owner), within=piece.within, last=[-1]
    )
    lines, parts, where, count = list[bytes](), set[str](), str(piece), 0
    try:
        with as_one_line(lambda: where):
            for files, decide in piece.units:
                for trajectory in kept.read_unit(asked.importer, within, files, decide):
                    where, count = f"{piece} after trajectory {trajectory.id[:60]!r}", count + 1
                    if len(parts) < MOST_PARTS:
                        parts.update(trajectory.rewards)
                    trajectory = within.choices.applied(trajectory)
                    if asked.prepare is not None:
                        trajectory = asked.prepare(trajectory)
                    if asked.copied:
                        lines.append(encode(trajectory) + b"\n")
                    builder.add(trajectory)
    except DataError as error:
        return error
    effect = Effect(seen.noted, owner.noted)
    return Answer(
        builder, b"".join(lines), [*kept.units], losses, effect, count, within.last[0], parts
    )


def _happen(groups: Groups, effect: Effect) -> None:
    """Lets a piece have happened that may have begun with what is otherwise now."""
    for key, (was, now) in effect.seen.items():
        known = groups.seen.get(key)
        if known == was or type(now) is not int:
            groups.seen[key] = now
        else:
            more = now - (-1 if was is None else was)
            groups.seen[key] = (-1 if known is None else known) + more
    for key, (_, now) in effect.owner.items():
        groups.owner.setdefault(key, now)


def _holds(groups: Groups, effect: Effect) -> bool:
    """Would a piece give the same now?"""
    for key, (was, _) in effect.seen.items():
        if groups.seen.get(key) != was:
            return False
    for key, (was, now) in effect.owner.items():
        known = groups.owner.get(key)
        if known != was and (was is not None or known != now):  # only the first says whose it is
            return False
    return True


@final
@dataclass(slots=True, eq=False)
class _Turn:
    """A piece on its way into the batch."""

    piece: Piece
    job: Again | None = None
    answer: Answer | DataError | None = None
    exact: bool = False
    """Was it begun when all before it was joined?"""
    early: bool = False
    """Was it read again before it was next?"""
    folder: Path | None = None

    def take(self) -> None:
        """Takes the answer of a job that has ended."""
        if self.job is not None:
            self.answer, self.job = self.job.answer(), None

    def forget(self) -> None:
        """Lets it be read again."""
        self.answer = None
        self.tidy()

    def tidy(self) -> None:
        """Takes away what lies in files."""
        if self.folder is not None:
            rmtree(self.folder, ignore_errors=True)


@final
class Joined:
    """All pieces of a log, as one process would have read them."""

    def __init__(
        self,
        asked: Asked,
        kept: Kept,
        workers: Workers,
        write: Callable[[bytes], object] | None = None,
    ) -> None:
        """Begins without any.

        Args:
            asked: how they are read.
            kept: takes note of what was read.
            workers: who reads.
            write: gets the records themselves, piece by piece.
        """
        self.builder = Builder(pass_at=asked.pass_at)
        self.parts: set[str] = set()
        self.count = self.again = 0
        """Trajectories; pieces that were read a second time for what came before them."""
        self._asked, self._kept, self._workers, self._write = asked, kept, workers, write
        self._window: list[_Turn] = []
        self._crew = Crew(partial(read_piece, asked))
        self._split: tuple[tuple[Path, ...], list[Answer]] = ((), [])
        self._records = 0

    def read(self) -> None:
        """Reads all pieces.

        Raises:
            DataError: a record is malformed, or a piece was lost too often.
        """
        asked, most = self._asked, SIZE
        if not asked.copied:  # else records are in memory until they are written
            most = max(SIZE, min(asked.size // (_EACH * self._workers.count), _LARGEST))
        found = pieces(asked.importer, asked.log, self._kept, most)
        with temporary() as folder, ExitStack() as stack:
            stack.callback(self._close)
            while True:
                ahead = 2 * self._workers.count - len(self._window)
                self._window += map(_Turn, islice(found, max(ahead, 0)))
                if not self._window:
                    break
                self._step(folder)
        self._settle(())

    def _step(self, folder: Path) -> None:
        """Takes what is ready, begins what can begin, and joins what is next."""
        ready = [turn for turn in self._window if turn.job is not None and turn.job.ready()]
        for turn in ready:
            turn.take()
        for turn in self._window:
            running = sum(each.job is not None for each in self._window)
            if turn.job is None and turn.answer is None and running < self._workers.count:
                self._begin(turn, folder)
        while self._window and (answer := self._window[0].answer) is not None:
            if not self._is_next(self._window[0], answer):
                return
            self._join(self._window.pop(0), answer)
        if ready:
            self._look_ahead()
        else:
            wait_for([turn.job for turn in self._window if turn.job is not None])

    def _begin(self, turn: _Turn, folder: Path) -> None:
        before = self._window[: self._window.index(turn)]
        effects = [each.answer.effect for each in before if isinstance(each.answer, Answer)]
        turn.exact = not before
        turn.job = Again(
            partial(self._tried, turn, effects, folder), str(turn.piece), self._workers.say
        )

    def _tried(self, turn: _Turn, effects: Sequence[Effect], folder: Path) -> Job:
        turn.tidy()
        turn.folder = folder / f"{id(turn)}-{time.monotonic_ns()}" if self._workers.shared else None
        given = (turn.piece, effects, turn.folder)
        if self._workers.begin is None:
            return self._crew.begin(*given)
        return self._workers.begin(partial(read_piece, self._asked, *given))

    def _is_next(self, turn: _Turn, answer: Answer | DataError) -> bool:
        """Can the first piece be joined? Else it is to be read again."""
        numbered = self._numbered(turn)
        if isinstance(answer, DataError):
            if turn.exact and numbered:
                raise answer
        elif numbered and _holds(self._asked.log.groups, answer.effect):
            return True
        self.again += 1
        turn.forget()
        return False

    def _numbered(self, turn: _Turn) -> bool:
        """Are its records numbered as in the whole file? Lines may be blank, or torn."""
        within = turn.piece.within
        if (
            within is None
            or within.start == 0
            or type(self._asked.importer).read is not (Importer.read)
        ):
            return True
        right = within._replace(first=self._records)
        turn.piece = turn.piece._replace(within=right)
        return within == right

    def _look_ahead(self) -> None:
        """Lets pieces be read again that will not hold, as far as all before them is read."""
        known = self._asked.log.groups
        ahead = Groups(ChainMap({}, known.seen), ChainMap({}, known.owner))
        for turn in self._window:
            if not isinstance(turn.answer, Answer):
                return
            effect = turn.answer.effect
            if not turn.early and not _holds(ahead, effect):
                turn.early = True
                self.again += 1
                turn.forget()
            _happen(ahead, effect)

    def _join(self, turn: _Turn, answer: Answer | DataError) -> None:
        """Takes over what the first piece gave."""
        assert isinstance(answer, Answer)
        self.builder.absorb(answer.builder)
        turn.tidy()
        if self._write is not None:
            self._write(answer.lines)
        log = self._asked.log
        for kind, number in answer.losses.counts.items():
            log.losses.add(kind, answer.losses.first[kind], number)
        if any(answer.effect):
            _happen(log.groups, answer.effect)
            self._crew.close()  # they know less than this process does now
            self._crew = Crew(partial(read_piece, self._asked))
        if len(self.parts) < MOST_PARTS:
            self.parts |= answer.parts
        self.count += answer.count
        if turn.piece.within is None:
            self._settle(())
            self._kept.took(turn.piece.files, answer.units, answer.count)
            return
        file = turn.piece.units[0][0]
        if turn.piece.within.start == 0:
            self._settle(file)
        self._split[1].append(replace(answer, builder=Builder(), lines=b""))
        self._records = answer.last + 1

    def _settle(self, file: tuple[Path, ...]) -> None:
        """Takes note of a file that was read in several pieces, before another begins."""
        answers = self._split[1]
        if answers:
            units = [unit for each in answers for unit in each.units]
            self._kept.took(1, joined(units), sum(each.count for each in answers))
        self._split, self._records = (file, []), 0

    def _close(self) -> None:
        self._crew.close()
        for turn in self._window:
            if turn.job is not None:
                turn.job.close()

"""Rows of numbers that grow with a log: the last in memory, all before in a file per column."""

import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, final
from weakref import finalize

import numpy as np
from jaxtyping import Shaped

from assay.batch import mapped
from assay.batch.mapped import room, stretches


@final
class Table:
    """Rows of as many numbers as there are columns, each of 8 bytes while they are in `tail`.

    Whoever adds rows extends `tail`, and calls `settle` where nothing in it changes any more.
    """

    __slots__ = (
        "__weakref__",
        "_dtypes",
        "_elsewhere",
        "_folder",
        "_full",
        "_streams",
        "done",
        "tail",
    )

    def __init__(self, kind: str, **dtypes: Any) -> None:
        """Begins an empty table.

        Args:
            kind: "q" of integers, "d" of floats, before they become what their column is.
            dtypes: of each column, by name.
        """
        self.tail: array[Any] = array(kind)
        self.done = 0
        """Rows that are in files."""
        self._dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        self._streams: dict[str, IO[bytes]] = {}
        self._elsewhere: dict[str, str] = {}
        """Files that another process has written, by column; open only while they are read."""
        self._folder: Path | None = None
        self._full = False
        finalize(self, _close, self._streams)  # what is mapped of them stays

    @property
    def width(self) -> int:
        """Columns."""
        return len(self._dtypes)

    def __len__(self) -> int:
        """Returns how many rows there are."""
        return self.done + len(self.tail) // self.width

    def add(self, *columns: Shaped[np.ndarray, " _"]) -> None:
        """Adds rows that are given by column."""
        kind = f"{'f' if self.tail.typecode == 'd' else 'i'}8"
        self.tail.frombytes(np.stack(columns, 1).astype(kind).tobytes())
        self.settle()

    def settle(self) -> None:
        """Lets the rows go to the files if they have become many. Where there is no room, they
        stay."""
        if 8 * len(self.tail) >= 4 * mapped.LARGE and not self._full:
            self._write()

    def into(self, folder: Path) -> None:
        """Lets rows go to files of a folder, which another process of this machine can read."""
        self._folder = folder

    def _write(self) -> None:
        rows = _rows(self.tail, self.width)
        try:
            self._open()
            for column, (name, dtype) in enumerate(self._dtypes.items()):
                self._streams[name].write(rows[:, column].astype(dtype).data)
            for stream in self._streams.values():
                stream.flush()
        except OSError:
            self._full = True
            return
        self.done += len(rows)
        del rows
        self.tail = array(self.tail.typecode)

    def _open(self) -> None:
        """Opens a file for each column."""
        for name in self._dtypes:
            if name not in self._streams:
                self._streams[name] = self._opened(name)

    def _opened(self, name: str) -> IO[bytes]:
        if self._folder is None:
            return tempfile.TemporaryFile(prefix="assay-")
        return (self._folder / f"{id(self)}.{name}").open("w+b")

    def chunks(self, start: int = 0) -> Iterator[np.ndarray]:
        """Yields the rows, some at a time, as they were in `tail`; may be written on.

        Args:
            start: 0, or `done`: those in files are passed over.
        """
        kind = _rows(self.tail, self.width).dtype
        columns = self._mapped() if self.done > start else {}
        for at in stretches(self.done - start):
            yield np.stack([values[at].astype(kind) for values in columns.values()], 1)
        if self.tail:
            yield _rows(array(self.tail.typecode, self.tail), self.width)

    def absorb(self, other: "Table", refers: Sequence[int | np.ndarray]) -> None:
        """Appends the rows of another table of the same columns.

        Args:
            other: the other table.
            refers: of what its first columns are numbers: how many of that there are here, which is
                added unless they are below 0, or the number here of each number there.
        """
        done = other.done if self._take(other, refers) else 0
        for rows in other.chunks(done):
            for column, to in enumerate(refers):
                rows[:, column] = _renumbered(rows[:, column], to)
            self.tail.frombytes(rows.tobytes())
            self.settle()

    def _take(self, other: "Table", refers: Sequence[int | np.ndarray]) -> bool:
        """Lets rows that are in files of another go to ours, column by column; are they there?"""
        if not other.done or self._full:
            return False
        if self.tail:
            self._write()
        if self.tail:
            return False
        columns = other._mapped()
        try:
            self._open()
            for column, (name, values) in enumerate(columns.items()):
                for at in stretches(other.done):
                    some = values[at]
                    if column < len(refers):
                        some = _renumbered(some, refers[column])
                    self._streams[name].write(np.ascontiguousarray(some, self._dtypes[name]).data)
            for stream in self._streams.values():
                stream.flush()
        except OSError:
            self._full = True
            return False
        self.done += other.done
        return True

    def _mapped(self) -> dict[str, np.ndarray]:
        """Returns the rows that are in files, by column."""
        columns: dict[str, np.ndarray] = {}
        for name, dtype in self._dtypes.items():
            with ExitStack() as stack:
                stream = self._streams.get(name)
                if stream is None:
                    stream = stack.enter_context(Path(self._elsewhere[name]).open("rb"))
                columns[name] = mapped.mapped(stream, dtype, self.done)
        return columns

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns each column as an array: a large one is in its file, and not to be written to."""
        large = any(len(self) * each.itemsize >= mapped.LARGE for each in self._dtypes.values())
        if large and self.tail and not self._full:
            self._write()
        columns = self._mapped() if self.done else {}
        tail = _rows(self.tail, self.width)
        made: dict[str, np.ndarray] = {}
        for column, (name, dtype) in enumerate(self._dtypes.items()):
            if self.done and not self.tail and len(self) * dtype.itemsize >= mapped.LARGE:
                made[name] = columns[name]
                continue
            made[name] = np.empty(len(self), dtype)
            if self.done:
                made[name][: self.done] = columns[name]
            made[name][self.done :] = tail[:, column]
        return made

    def spread(self, size: int, other: bool | float | np.integer[Any]) -> np.ndarray:
        """Returns an array of `size`: of rows of a place and a value the value there, else `other`.

        Without any row it is one number that is read again and again, and takes no memory.
        """
        if not len(self):
            return np.broadcast_to(other, size)
        filled = room(size, np.asarray(other).dtype)
        for at in stretches(size):
            filled[at] = other
        return self.over(filled)

    def over(self, filled: np.ndarray) -> np.ndarray:
        """Returns an array with the values of rows of a place and a value written over it."""
        for rows in self.chunks():
            filled[rows[:, 0].astype(np.int64)] = rows[:, 1]
        return filled

    def __getstate__(self) -> dict[str, Any]:
        """Of what other processes read in files the names are told; else all is."""
        state = {"kind": self.tail.typecode, "dtypes": self._dtypes, "folder": self._folder}
        if self._folder is None:
            return {**state, "done": 0, "names": {}, "rows": [_sent(r) for r in self.chunks()]}
        names = {name: stream.name for name, stream in self._streams.items()}
        rows = [_sent(_rows(self.tail, self.width))]
        return {**state, "done": self.done, "names": names, "rows": rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Becomes what `state` tells of."""
        self.__init__(state["kind"], **state["dtypes"])
        self.done, self._folder = state["done"], state["folder"]
        self._elsewhere = state["names"]
        self._full = bool(self._elsewhere)  # they are another's, who has ended
        for rows in state["rows"]:
            self.tail.frombytes(np.full(rows, np.nan).tobytes() if type(rows) is int else rows)


def _renumbered(values: np.ndarray, to: int | np.ndarray) -> np.ndarray:
    """Returns numbers of another table as ours; those below 0 are of nothing, and stay."""
    if isinstance(to, np.ndarray):
        return to[values.astype(np.int64)]
    return np.where(values >= 0, values + to, values)


def _sent(rows: np.ndarray) -> bytes | int:
    """Returns rows for another process; of NaN alone, as of tokens whose likelihood nobody knows,
    how many."""
    return rows.size if rows.dtype.kind == "f" and np.isnan(rows).all() else rows.tobytes()


def _rows(flat: "array[Any]", width: int) -> np.ndarray:
    """Returns flat rows as a two-dimensional view."""
    kind = f"{'f' if flat.typecode == 'd' else 'i'}{flat.itemsize}"
    return np.frombuffer(flat, kind).reshape(-1, width)


def _close(streams: dict[str, IO[bytes]]) -> None:
    for stream in streams.values():
        with suppress(OSError):  # what it could not write is not asked for
            stream.close()

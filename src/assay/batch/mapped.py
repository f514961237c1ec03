"""Large arrays in files that nobody else sees: the system may drop their pages, forks share them.

Where the temporary folder has no room they stay in memory.
"""

import ctypes
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any
from weakref import WeakSet

import numpy as np

LARGE = 1 << 17
"""Bytes that an array must have to lie in a file; what is smaller stays in memory."""
AT_ONCE = 1 << 16
"""Entries of a large array that are worked on together."""
_maps: "WeakSet[mmap.mmap]" = WeakSet()


def mapped(stream: IO[bytes], dtype: Any, size: int) -> np.ndarray:
    """Returns the first entries of a file as an array that is not written to; the file may be
    closed."""
    return np.frombuffer(_map(stream, mmap.ACCESS_READ), dtype, size)


def room(size: int, dtype: Any) -> np.ndarray:
    """Returns an array of zeros that can be written to: in a file of its own where it is large."""
    count = size * np.dtype(dtype).itemsize
    if count < LARGE:
        return np.zeros(size, dtype)
    try:
        with tempfile.TemporaryFile(prefix="assay-") as stream:
            _reserve(stream, count)
            return np.frombuffer(_map(stream, mmap.ACCESS_WRITE), dtype)
    except OSError:
        return np.zeros(size, dtype)


def is_shared(values: np.ndarray) -> bool:
    """Does it lie in a file, so that what a fork writes into it is seen here?"""
    return isinstance(getattr(values.base, "obj", None), mmap.mmap)


def _map(stream: IO[bytes], access: int) -> mmap.mmap:
    whole = mmap.mmap(stream.fileno(), 0, access=access)
    _maps.add(whole)
    return whole


def _reserve(stream: IO[bytes], count: int) -> None:
    """Gives a file its length, and the room for it: a page that finds none would end the process.

    Raises:
        OSError: there is none.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(stream.fileno(), 0, count)
    else:
        stream.truncate(count)


def stretches(size: int) -> Iterator[slice]:
    """Yields what of an array to work on together, from its start to its end."""
    for low in range(0, size, AT_ONCE):
        yield slice(low, min(low + AT_ONCE, size))
        let_go()


def let_go() -> None:
    """Drops the pages of all arrays in files from this process; they are read again when asked."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for each in tuple(_maps):
            each.madvise(mmap.MADV_DONTNEED)


def give_back() -> None:
    """Lets pages go, and has the C library give freed memory back to the system, where it is one
    that keeps it."""
    let_go()
    with suppress(OSError, AttributeError, TypeError):  # no such function, or no such library
        ctypes.CDLL(None).malloc_trim(0)

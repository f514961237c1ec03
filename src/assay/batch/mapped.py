"""Large arrays in a file that nobody else sees: the system may drop its pages, forks share them."""

import ctypes
import mmap
import tempfile
from contextlib import suppress

import numpy as np

LARGE = 1 << 19
"""Bytes that an array must have to lie in a file; what is smaller stays in memory."""
_ALIGNED = 64


def mapped(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays, read-only where they are large; a file of theirs goes with the last.

    Where the temporary folder has no room, all stay in memory.
    """
    large = {k: v for k, v in arrays.items() if v.nbytes >= LARGE and v.flags.c_contiguous}
    if not large:
        return arrays
    try:
        with tempfile.TemporaryFile(prefix="assay-") as stream:
            at: dict[str, int] = {}
            for name, values in large.items():
                at[name] = stream.seek(-stream.tell() % _ALIGNED, 1)
                stream.write(values.data)
            stream.flush()
            whole = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:
        return arrays
    return arrays | {
        name: np.frombuffer(whole, values.dtype, values.size, at[name]).reshape(values.shape)
        for name, values in large.items()
    }


def give_back() -> None:
    """Has the C library give freed memory back to the system, where it is one that keeps it."""
    with suppress(OSError, AttributeError, TypeError):  # no such function, or no such library
        ctypes.CDLL(None).malloc_trim(0)

"""A file appears whole or not at all: temporary name, fsync, rename, fsync of the folder.

What is no file, a pipe or a device, is written to as it is.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final

from assay.errors import DataError
from assay.files.outputs import told

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors that say that there is no room."""
_OPEN: Final = {"/dev/stdout": 1, "/dev/stderr": 2}
"""Names of what this process has open: written on where it stands, whatever it is."""
_TEMPORARY: Final = re.compile(r"\..+\.tmp-[0-9]+")


@contextmanager
def published(
    path: str | os.PathLike[str], *, ready: Callable[[Path], None] | None = None
) -> Generator[IO[bytes]]:
    """A file that appears under `path` only if the block succeeds: temp, fsync, rename, fsync.

    Under a link, its target is replaced and the link stays. A pipe or a device stays as well, and
    gets the bytes as they come.

    Args:
        path: where it is to be.
        ready: is called with where it lies, whole, before it is moved there.

    Raises:
        DataError: a folder is there; or there is no room, or no permission, to write it.
    """
    refuse_folder(path)
    if _is_stream(path):
        with _room(path), _opened(path, path) as stream:
            yield stream
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.tmp-{os.getpid()}")
    with told(target, undo=partial(target.unlink, missing_ok=True), moved=True) as say:
        stream = _opened(path, temporary)
        try:
            with _room(path):
                with stream:
                    yield stream
                    stream.flush()
                    os.fsync(stream.fileno())
                say(temporary, None)
                if ready is not None:
                    ready(temporary)
                temporary.replace(target)
                sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def publish(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file, as `published` does."""
    with published(path) as stream:
        stream.write(content)


def refuse_folder(path: str | os.PathLike[str]) -> None:
    """Raises DataError if there is a folder where a file is to be written."""
    if os.path.isdir(path or "."):
        raise DataError(f"{Path(path)}: is a folder; name a file")


def _is_stream(path: str | os.PathLike[str]) -> bool:
    """Is there something that takes bytes and that no file can replace?"""
    try:
        return os.fspath(path) in _OPEN or not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _opened(path: str | os.PathLike[str], at: str | os.PathLike[str]) -> IO[bytes]:
    """Opens `at`, which an error calls `path`."""
    with about(f"{path}: cannot be written"):
        if os.fspath(at) in _OPEN:
            return os.fdopen(os.dup(_OPEN[os.fspath(at)]), "wb")
        Path(at).parent.mkdir(parents=True, exist_ok=True)
        return Path(at).open("wb")


@contextmanager
def about(what: str | os.PathLike[str]) -> Generator[None]:
    """Makes an error of the system a DataError that says what it is about."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{what}: {error.strerror or error}") from None


@contextmanager
def _room(path: str | os.PathLike[str]) -> Generator[None]:
    """Says which file a full disk is about; any other error of the block is the block's."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from None


def sync(path: Path) -> None:
    """Makes what is at `path` survive a power cut, where such a thing can be synced at all."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Is it the name of a file that a killed `published` left?"""
    return _TEMPORARY.fullmatch(name) is not None

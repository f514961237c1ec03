"""A folder appears whole or not at all, and replaces another as a whole; locks, temporary ones."""

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from assay.errors import DataError, UsageError
from assay.files.atomic import FULL, about, sync
from assay.files.outputs import Ready, aside, told

MANIFEST: Final = "manifest.json"
"""What is in a folder of credit in the form of an engine."""
_KINDS: Final = ("tmp", "old")
"""What is being made, and what was moved aside for it."""
_LOCK: Final = ".assay-temporary"
"""In a temporary folder, held by those who use it."""


@contextmanager
def whole(
    path: Path, *, synced: bool = False, made: Collection[str] | None = None
) -> Generator[Path]:
    """A folder that takes the place of `path` only if the block succeeds; a link there stays.

    What killed processes left is taken away first, and folders above that were made for it go
    again where the block fails.

    Args:
        path: where it is to be.
        synced: it survives a power cut, with every file in it.
        made: paths in it of files and folders that are replaced; other files stay. None: all is
            replaced.

    Raises:
        UsageError: the current folder is in what would be replaced, or what would stay has a name
            that is needed.
        DataError: it cannot be written.
    """
    target = refuse_current(path)
    ours: list[str] | None = None if made is None else []
    undo = partial(taken_away, target, ours)
    with (
        told(target, inner=_beside(target, "tmp"), undo=undo, moved=True) as ready,
        _whole(target, path, ready, synced=synced, made=made, ours=ours) as fresh,
    ):
        yield fresh


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}-{os.getpid()}")


def taken_away(target: Path, made: Collection[str] | None) -> None:
    """Takes what was made from where it is, and folders that are empty without it.

    Args:
        target: the folder.
        made: paths in it. None: all of it.
    """
    ours = [target] if made is None else [target / name for name in made]
    for each in ours:
        removed(each)
    for folder in sorted({above for each in ours for above in each.parents}, reverse=True):
        if folder.is_relative_to(target):
            with suppress(OSError):  # not empty: others have put files there
                folder.rmdir()


def removed(path: Path) -> None:
    """Removes a file or a folder with all in it, if it is there.

    Raises:
        OSError: it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _whole(
    target: Path,
    path: Path,
    ready: Ready,
    *,
    synced: bool,
    made: Collection[str] | None,
    ours: list[str] | None,
) -> Generator[Path]:
    """Makes it; `ours` takes the files that are new in it, which those that stay are not."""
    new = _new_above(target)
    fresh, stale = (_beside(target, kind) for kind in _KINDS)
    _begin(target, fresh, path)
    try:
        yield fresh
        if ours is not None:
            files = (each for each in fresh.rglob("*") if each.is_symlink() or not each.is_dir())
            ours += (each.relative_to(fresh).as_posix() for each in files)
        if made is not None and target.exists():
            _carry(target, fresh, made, path)
        if synced:
            for each in [*fresh.rglob("*"), fresh]:
                sync(each)
        ready(fresh, ours)
        if target.exists():
            target.replace(stale)
        fresh.replace(target)
        if synced:
            sync(target.parent)
    finally:
        if stale.exists() and not target.exists():  # stopped between the two
            stale.replace(target)
        _cleared(new, fresh, stale)


def refuse_current(path: Path) -> Path:
    """Returns where a folder is that is to be replaced as a whole.

    Raises:
        UsageError: the current folder is in it, and would go from under one's feet.
    """
    target = Path(os.path.realpath(path))
    if Path.cwd().is_relative_to(target):
        raise UsageError(f"{path}: the current folder is in it; choose another --out")
    return target


def refuse_unwritable(path: Path) -> Path:
    """Returns where a folder is that `whole` is to make later; leaves nothing.

    Raises:
        UsageError: the current folder is in it.
        DataError: it cannot be written there.
    """
    target = refuse_current(path)
    new, fresh = _new_above(target), _beside(target, "tmp")
    try:
        _begin(target, fresh, path)
    finally:
        _cleared(new, fresh)
    return target


def _new_above(target: Path) -> list[Path]:
    return [folder for folder in target.parents if not folder.exists()]


def _cleared(new: list[Path], *folders: Path) -> None:
    """Removes folders, and of those that are new above them the empty ones."""
    for each in folders:
        shutil.rmtree(each, ignore_errors=True)
    for folder in new:
        with suppress(OSError):  # not empty: what was made is in it
            folder.rmdir()


def _begin(target: Path, fresh: Path, asked: Path) -> None:
    """Makes the folder that will be `target`; an error names it as it was `asked` for."""
    with about(f"{asked}: cannot be written"):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()


def _carry(target: Path, fresh: Path, made: Collection[str], asked: Path) -> None:
    """Links into `fresh` what lies in `target` and is none of what was made."""
    if not target.is_dir():
        raise UsageError(f"{asked}: a file is there by now; move it, or choose --out")
    for root, folders, files in os.walk(target):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in sorted([*links, *files]):
            inner = Path(root, name).relative_to(target)
            if any(each.as_posix() in made for each in (inner, *inner.parents)):
                continue
            if os.path.lexists(fresh / inner):
                raise UsageError(f"{asked / inner}: would be replaced; move it, or choose --out")
            with about(f"{asked / inner}: cannot be kept"):
                (fresh / inner).parent.mkdir(parents=True, exist_ok=True)
                _link(target / inner, fresh / inner)


def _link(old: Path, new: Path) -> None:
    """Gives a file a second name, or copies it where files have one name alone."""
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:
        shutil.copy2(old, new, follow_symlinks=False)


def sweep(target: Path) -> list[Path]:
    """Removes what killed processes left of a file or folder, and returns it; what one only moved
    aside comes back."""
    gone: list[Path] = []
    for left, kind, pid in unfinished(target):
        if _alive(pid):
            continue
        if kind == "old" and not target.exists():
            left.replace(target)
        else:
            with suppress(OSError):
                removed(left)
                gone.append(left)
    return gone


def unfinished(target: Path) -> Iterator[tuple[Path, str, int]]:
    """Yields what lies beside a file or folder while it is made, what it is, and whose."""
    for left in sorted(target.parent.glob(f".{glob.escape(target.name)}.*-*")):
        kind, _, pid = left.name.removeprefix(f".{target.name}.").partition("-")
        if kind in _KINDS and pid.isdecimal():
            yield left, kind, int(pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def locked(path: Path, busy: str) -> Generator[None]:
    """Keeps other processes from a lock file; freed by the system when the process dies.

    Raises:
        UsageError: another process holds it; the message is `busy`.
    """
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(busy) from None
        yield


@contextmanager
def temporary() -> Generator[Path]:
    """A folder for this process and its forks, which goes at the end of the block; those go too of
    which a kill left no process. A lock says which: none outlives its last process, whoever has
    that number now.

    Raises:
        DataError: there is no room in it, where an error of the block names no other file.
    """
    made = Path(tempfile.mkdtemp(prefix=".assay-"))
    try:
        with (made / _LOCK).open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.write(name := made.name.removeprefix("."))
            stream.flush()
            made = made.rename(made.with_name(name))  # found when locked
            sweep_temporary()
            with aside(made):
                yield made
    except OSError as error:
        if error.filename or error.errno not in FULL:
            raise
        raise DataError(
            f"{made.parent}: no temporary file can be written: {error.strerror}; make room there, "
            "or name another folder with TMPDIR"
        ) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def sweep_temporary() -> None:
    """Takes away the folders of this user that `temporary` made, which their lock's words say, and
    that no process holds."""
    for lock in Path(tempfile.gettempdir()).glob(f"assay-*/{_LOCK}"):
        with suppress(OSError):  # another's, or it has just gone
            if lock.parent.lstat().st_uid == os.getuid():
                with lock.open("r+b") as stream:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if stream.read() == os.fsencode(lock.parent.name):
                        shutil.rmtree(lock.parent, ignore_errors=True)


def walked(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields what `os.walk` does, without what audits and exports left below: their copy is no log.
    Of an export that is asked for itself the manifest is left out."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_left(os.path.join(root, name))]
        if MANIFEST in files and is_export(root):
            files.remove(MANIFEST)
        yield root, folders, files


def is_left(folder: str) -> bool:
    """Is it what an audit or an export left?"""
    return is_audit(folder) or is_export(folder)


def is_export(folder: str) -> bool:
    """Is it what `assay export` wrote?"""
    try:
        with open(os.path.join(folder, MANIFEST), "rb") as stream:
            return b'"schema": "assay.export/' in stream.read(400)
    except OSError:
        return False


def is_audit(folder: str) -> bool:
    """Is it the run directory of an audit, or one in the making?"""
    name = os.path.basename(folder)
    if name.startswith(".") and any(f".{kind}-" in name for kind in _KINDS):
        return True
    try:
        with open(os.path.join(folder, "run.json"), "rb") as stream:
            return b'"kind":"audit"' in stream.read(400)
    except OSError:
        return False

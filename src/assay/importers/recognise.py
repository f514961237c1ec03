"""What recognition may look at, gathered once without trusting the file."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from assay.errors import DataError
from assay.importers.base import Losses, Probe
from assay.importers.reading import documents, first_byte

_HEAD = 1 << 16
_MOST_NAMES = 10_000
_MOST_TRIED = 16
LOGS = (".traj", ".json", ".jsonl", ".jsonl.zst", ".ndjson")
"""How the name of a file with JSON in it ends."""


def probe(path: Path) -> Probe:
    """Returns what the first bytes and the first JSON value of `path` show.

    Raises:
        DataError: there is no such file or folder.
    """
    if path.is_dir():
        return _folder(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    first, is_list, fault = None, False, None
    try:
        is_list = first_byte(path) == b"["
        first = next(documents(path), ("", None))[1]
    except DataError as error:
        fault = error
    return Probe(path=path, head=head, first=first, is_list=is_list, names=(), fault=fault)


def _folder(path: Path) -> Probe:
    names = tuple(str(p.relative_to(path)) for p in islice(_below(path), _MOST_NAMES))
    logs = sorted((n for n in names if n.endswith(LOGS)), key=lambda n: ".traj" not in n)
    tried = (probe(path / name) for name in logs[:_MOST_TRIED])
    inside = next((seen for seen in tried if seen.first is not None), None)
    return Probe(path=path, head=b"", first=None, is_list=False, names=names, inside=inside)


def _below(path: Path) -> Iterator[Path]:
    return (p for p in sorted(path.rglob("*")) if p.is_file())


def log_files(path: Path, recognises: Callable[[Probe], bool], losses: Losses) -> Iterator[Path]:
    """Yields the files that make up one set: `path` itself, or every log below it, sorted.

    What is no JSON (a licence, a readme) or another format is counted as `not_a_log`.

    Raises:
        DataError: a file that should hold JSON does not, so the set may be incomplete.
    """
    if not path.is_dir():
        yield path
        return
    for file in _below(path):
        seen = probe(file) if file.name.endswith(LOGS) else None
        if seen is not None and seen.fault is not None:
            raise seen.fault
        if seen is not None and recognises(seen):
            yield file
        else:
            losses.add("not_a_log", str(file))

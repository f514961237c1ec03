"""What recognition may look at, gathered once without trusting the file."""

from itertools import islice
from pathlib import Path

from assay.errors import DataError
from assay.importers.base import Probe
from assay.importers.reading import documents, first_byte

_HEAD = 1 << 16
_MOST_NAMES = 10_000


def probe(path: Path) -> Probe:
    """Returns what the first bytes and the first JSON value of `path` show.

    Raises:
        DataError: there is no such file or folder.
    """
    if path.is_dir():
        files = (p for p in sorted(path.rglob("*")) if p.is_file())
        names = tuple(str(p.relative_to(path)) for p in islice(files, _MOST_NAMES))
        return Probe(path=path, head=b"", first=None, is_list=False, names=names)
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    try:
        first = next(documents(path), ("", None))[1]
        is_list = first_byte(path) == b"["
    except DataError:
        first, is_list = None, False
    return Probe(path=path, head=head, first=first, is_list=is_list, names=())

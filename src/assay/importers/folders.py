"""The files of one log that is kept as a folder."""

from collections.abc import Callable
from pathlib import Path

from assay.errors import DataError
from assay.importers.base import Losses


def files_of(path: Path, wanted: Callable[[str], bool], what: str, losses: Losses) -> list[Path]:
    """Returns the file itself, or the wanted files below a folder, sorted by length and name.

    Sorting by length first puts step 9 before step 10. Other files are counted as `not_a_log`.

    Args:
        path: a file or a folder.
        wanted: of a file name without its folder, is it part of the log?
        what: how such files are called, for the error.
        losses: where the others are counted.

    Raises:
        DataError: a folder without any wanted file.
    """
    if not path.is_dir():
        return [path]
    below = [file for file in path.rglob("*") if file.is_file()]
    files = [file for file in below if wanted(file.name)]
    if not files:
        raise DataError(f"{path}: no {what} in it; name the folder that has them")
    for file in sorted(set(below) - set(files)):
        losses.add("not_a_log", str(file))
    return sorted(files, key=lambda file: (str(file.parent), len(file.name), file.name))

"""What must hold of any file: one clear line, or records that are written and read back."""

import shutil
from pathlib import Path
from typing import NamedTuple

from assay.errors import AssayError
from assay.importers import IMPORTERS, Losses, load
from assay.importers.recognise import look
from assay.records import decode, encode
from tests.importers.hostile import fixture_files

FIXTURES = Path(__file__).parent.parent / "fixtures"


class Slot(NamedTuple):
    """One file of a copied fixture that can be spoiled, and what to read then."""

    log: Path
    file: Path
    content: bytes


def slots(format: str, folder: Path) -> list[Slot]:
    """Copies the fixture of a format into `folder` and returns its files, once per name."""
    source = FIXTURES / format
    shutil.copytree(source, folder, dirs_exist_ok=True)
    found: dict[str, Slot] = {}
    for file in fixture_files(source):
        at = folder / file.relative_to(source)
        alone = look(at, {format: IMPORTERS.get(format)()}).best() == [format]
        found[file.name] = Slot(at if alone else folder, at, file.read_bytes())
    return list(found.values())


def check(path: Path, format: str | None) -> bool:
    """Reads `path`; returns whether it was read to its end, without an error line.

    Raises:
        AssertionError: an error of several lines, or a record that does not survive being written.
    """
    losses = Losses()
    try:
        for trajectory in load(path, format=format, losses=losses)[1]:
            line = encode(trajectory)
            back = decode(line)
            assert back == trajectory, "a record changed when it was written and read"
            assert encode(back) == line, "a record is written in two ways"
    except AssayError as error:
        message = str(error)
        assert message.isprintable(), f"not one printable line: {message!r}"
        assert 0 < len(message) <= 520, f"{len(message)} characters"
        return False
    assert all(kind.isprintable() and len(kind) <= 80 for kind in losses.counts)
    return True

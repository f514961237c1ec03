"""A bank on disk: versions that never change, and a pointer to the one that counts.

    bank.json               schema "assay.bank/1": version and hash
    versions/000001.json    one whole version each, named by its number
    renamed.json            names that versions had before somebody was forgotten

A version is written whole before the pointer names it: a kill at any moment leaves a bank that
opens as the version before.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from assay.errors import DataError
from assay.files.atomic import is_temporary, publish
from assay.files.folders import locked
from assay.files.outputs import told
from assay.files.stamps import digest
from assay.files.strict import parse
from assay.skills.bank import Bank, name_of

SCHEMA: Final = "assay.bank/1"
_POINTER: Final = "bank.json"
_RENAMED: Final = "renamed.json"
_NUMBERED: Final = re.compile(r"[0-9]{6,}\.json")
_MOST: Final = 10**9
"""Versions."""


def is_bank(path: Path) -> bool:
    """Returns whether there is a bank."""
    return (path / _POINTER).is_file()


def is_begun(path: Path) -> bool:
    """Returns whether there is a bank of which a kill left the versions and no pointer, or of which
    the first version is being written; nothing of others is in it."""
    inside = {each.name for each in path.iterdir() if not is_temporary(each.name)}
    versions = path / "versions"
    if is_bank(path) or not versions.is_dir() or inside - {"versions", "LOCK"}:
        return False
    names = (each.name for each in versions.iterdir())
    return all(is_temporary(each) or _NUMBERED.fullmatch(each) for each in names)


def swept(path: Path) -> None:
    """Takes away what killed processes left half of a bank, while its lock is held."""
    for each in (*path.glob(".*.json.tmp-*"), *(path / "versions").glob(".*.json.tmp-*")):
        if is_temporary(each.name):
            each.unlink()


def save(path: Path, bank: Bank, *, since: Bank | None = None) -> Bank:
    """Writes a version and points to it; returns it. What killed processes left half goes.

    Args:
        path: folder of the bank.
        bank: the version.
        since: the version that it was made from. None: whatever counts now.

    Raises:
        UsageError: another process writes the bank.
        DataError: it cannot be written, or another version than `since` counts by now.
    """
    (path / "versions").mkdir(parents=True, exist_ok=True)
    with locked(path / "LOCK", f"{path}: another process writes this bank"), told(path):
        swept(path)
        if since is not None and is_bank(path) and opened(path).sha256 != since.sha256:
            raise DataError(f"{path}: another process changed it meanwhile; run this again")
        put(path, bank)
        point(path, bank)
    return bank


def put(path: Path, bank: Bank) -> None:
    """Writes a version, which does not count yet."""
    publish(_version(path, bank.version), msgspec.json.encode(bank))


def point(path: Path, bank: Bank) -> None:
    """Makes a version the one that counts."""
    said = {"schema": SCHEMA, "version": bank.version, "sha256": bank.sha256}
    publish(path / _POINTER, msgspec.json.encode(said) + b"\n")


def opened(path: Path, version: int | None = None) -> Bank:
    """Returns a version of a bank; None: the one that counts.

    Raises:
        DataError: there is none, or what lies there is not what was written.
    """
    if not is_bank(path):
        raise DataError(f"{path}: no skill bank (bank.json); assay skills build makes one")
    said = parse((path / _POINTER).read_bytes(), f"{path / _POINTER}")
    if not isinstance(said, dict) or said.get("schema") != SCHEMA:
        got = said.get("schema") if isinstance(said, dict) else None
        newer = "; a newer version wrote it, or it is none" if isinstance(got, str) else ""
        raise DataError(f"{path / _POINTER}: schema {got!r}; expected {SCHEMA!r}{newer}")
    number = said.get("version") if version is None else version
    if type(number) is not int or not 0 <= number <= _MOST:
        raise DataError(f"{path / _POINTER}: version is {number!r}; expected a whole number from 0")
    bank = _read(_version(path, number))
    if version is None and bank.sha256 != said.get("sha256"):
        raise DataError(f"{_version(path, number)}: its hash is not that of {_POINTER}: changed")
    return bank


def names(path: Path) -> dict[str, int]:
    """Returns the versions of a bank, by what records call them."""
    files = (path / "versions").glob("[0-9]*.json")
    now = {name_of(digest(each)): int(each.stem) for each in sorted(files)}
    return {**renamed(path), **now}


def renamed(path: Path) -> dict[str, int]:
    """Returns the versions that had other names before somebody was forgotten, by those names.

    Raises:
        DataError: the file that says so is damaged.
    """
    file = path / _RENAMED
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, int])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise DataError(f"{file}: {error}; expected names of versions and their numbers") from None


def write_renamed(path: Path, names: Mapping[str, int]) -> None:
    """Keeps which versions had other names."""
    publish(path / _RENAMED, msgspec.json.encode(names) + b"\n")


def _read(path: Path) -> Bank:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; expected a version of a bank") from None
    parse(content, f"{path}")
    try:
        return msgspec.json.decode(content, type=Bank)
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {error}; a newer version wrote it, or it was changed") from None


def _version(path: Path, number: int) -> Path:
    return path / "versions" / f"{number:06d}.json"

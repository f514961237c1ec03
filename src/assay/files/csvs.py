"""Rows of an untrusted CSV file, one at a time, as text."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from assay.errors import DataError, TornError
from assay.files.lines import MAX_RECORD
from assay.files.packed import opened, plain_name, unpacking
from assay.files.reading import STRICT, Tolerance, beginning

_ENDINGS = {".csv": ",", ".tsv": "\t"}
_MOST_COLUMNS = 10_000


def is_csv(path: Path) -> bool:
    """Has the file such a name?"""
    return plain_name(path).endswith(tuple(_ENDINGS))


def header(path: Path) -> tuple[str, ...]:
    """Returns the names of the columns; none where its beginning is not text."""
    try:
        text = beginning(path).decode("utf-8-sig", "ignore")
        return tuple(next(csv.reader(io.StringIO(text), delimiter=_delimiter(path)), ()))
    except csv.Error:
        return ()


def csv_rows(path: Path, told: Tolerance = STRICT) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (where, row) of a file whose first line names the columns.

    Raises:
        DataError: it is not UTF-8, a name comes twice, a row has more fields than the first line.
    """
    csv.field_size_limit(MAX_RECORD)
    with opened(path) as stream, unpacking(str(path)):
        text = io.TextIOWrapper(cast(IO[bytes], stream), "utf-8-sig", newline="")
        reader = csv.reader(text, delimiter=_delimiter(path), strict=True)
        try:
            names = next(reader, [])
            if len(set(names)) < len(names) or not 0 < len(names) <= _MOST_COLUMNS:
                raise DataError(f"{path}: the first line names no columns, or one of them twice")
            for index, fields in enumerate(reader):
                where = f"{path} row {index}"
                if len(fields) > len(names):
                    got = f"{len(fields)} fields; expected {len(names)}"
                    raise DataError(f"{where}: {got}, as the first line has")
                if fields and len(fields) < len(names):
                    told.torn(TornError(f"{where}: {len(fields)} fields of {len(names)}"))
                elif fields:
                    yield where, dict(zip(names, fields, strict=True))
        except UnicodeDecodeError:
            raise DataError(f"{path}: not UTF-8; convert it") from None
        except csv.Error as error:
            told.torn(TornError(f"{path} line {reader.line_num}: {error}"))


def _delimiter(path: Path) -> str:
    name = plain_name(path)
    return next((mark for ending, mark in _ENDINGS.items() if name.endswith(ending)), ",")

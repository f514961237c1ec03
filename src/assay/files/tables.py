"""Rows of an untrusted Parquet file, a few at a time, never more than it can believably hold."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from assay.errors import DataError, TornError, imported
from assay.files.parquet import declared

_ROWS_AT_ONCE = 16
"""A dictionary-packed column can repeat one long text in every row: few are unfolded at once."""
_MOST_UNPACKED = 50
"""Uncompressed bytes that the file may declare, per byte of the file."""
_FEW = 1 << 14
"""Values that a column of any file may declare; above it not more than the file has bytes."""


def rows(
    path: Path, *, to: str, columns: Collection[str] | None = None, leave: Collection[str] = ()
) -> Iterator[tuple[str, dict[str, Any], frozenset[str]]]:
    """Yields (where, row, names of the columns of doubles).

    Args:
        path: a Parquet file.
        to: what needs pyarrow, for the error where it is missing.
        columns: those that are read. None: all.
        leave: those that are not.

    Raises:
        MissingExtraError: pyarrow is not installed, which `to` needs.
        TornError: no whole Parquet file.
        DataError: it declares far more than it can hold.
    """
    pyarrow = imported("pyarrow", extra="parquet", to=to)
    parquet = imported("pyarrow.parquet", extra="parquet", to=to)
    try:
        with parquet.ParquetFile(path) as file:
            _check_size(file.metadata, path)
            doubles = frozenset(
                f.name for f in file.schema_arrow if pyarrow.types.is_float64(f.type)
            )
            index, names = 0, None if columns is None else sorted(columns)
            if leave:
                wanted = file.schema_arrow.names if names is None else names
                names = [name for name in wanted if name not in leave]
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names):
                for row in batch.to_pylist():
                    yield f"{path} row {index}", row, doubles
                    index += 1
    except DataError:
        raise
    # what C++ throws and pyarrow has no class for comes as RuntimeError
    except (pyarrow.ArrowException, OSError, ValueError, RuntimeError) as error:
        line = str(error).split("\n", 1)[0][:160]
        raise TornError(f"{path}: broken parquet: {line}") from None


def check_plain(value: Any, where: str) -> None:
    """Raises DataError for what Parquet can hold and JSON cannot: bytes, dates, decimals."""
    if isinstance(value, dict):
        for key, one in value.items():
            check_plain(one, f"{where}.{key}")
    elif isinstance(value, list):
        for one in value:
            check_plain(one, where)
    elif value is not None and not isinstance(value, (str, int, float, bool)):
        raise DataError(f"{where}: got {type(value).__name__}; expected text or messages")


def _check_size(metadata: Any, path: Path) -> None:
    """Raises DataError where the file declares far more data than it can hold."""
    size = path.stat().st_size
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    room, values = sum(group.total_byte_size for group in groups), metadata.num_rows
    try:
        for unpacked, count in declared(path):
            room, values = max(room, unpacked), max(values, count)
    except DataError as error:
        raise TornError(f"{path}: broken parquet: {error}") from None
    if room > max(_MOST_UNPACKED * size, 1 << 20) or values > max(size, _FEW):
        raise DataError(
            f"{path}: declares {room:,} bytes and {values:,} values; "
            f"not believable for a file of {size:,} bytes"
        )

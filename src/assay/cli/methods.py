"""`assay methods`: the table of methods, generated from the code."""

from dataclasses import MISSING, fields
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from assay.cli.options import Json, Terminal, emit, encoded
from assay.credit import METHODS

COLUMNS = ("name", "value", "unit", "peers", "carried", "scaling", "source")


def methods(json: Json = None) -> None:
    """Lists every method: what it values, compares, and who carries the result."""
    rows = [row(name) for name in METHODS.names()]
    if json is not None:
        emit([encoded({"schema": "assay.methods/1", "methods": rows})], json)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column == "name")
    for each in rows:
        table.add_row(*(str(each[column]) for column in COLUMNS))
    Terminal().print(table)


def row(name: str) -> dict[str, Any]:
    """Returns one method's row, with its options and their defaults."""
    cls = METHODS.get(name)
    options = {f.name: f.default for f in fields(cls) if f.default is not MISSING}  # pyright: ignore[reportArgumentType]
    shown = {key: None if value == float("inf") else value for key, value in options.items()}
    about = {column: getattr(cls, column) for column in COLUMNS}
    return {**about, "needs": list(cls.needs), "options": shown}

"""`assay methods`: the table of methods, generated from the code."""

from dataclasses import MISSING, fields
from typing import Any

from rich.markup import escape
from rich.table import Table

from assay.cli.options import LOOK, Json, Terminal, emit_one
from assay.credit import METHODS

COLUMNS = ("name", "value", "unit", "peers", "carried", "scaling", "source")


def methods(json: Json = None) -> None:
    """Lists every method: what it values, compares, and who carries the result."""
    rows = [row(name) for name in METHODS.names()]
    if json is not None:
        emit_one({"schema": "assay.methods/1", "methods": rows}, json)
        return
    table = Table(**LOOK, padding=(0, 1, 0, 0))
    for column in COLUMNS:
        least = {"unit": 10, "carried": 8, "value": 8, "scaling": 8}.get(column)
        no_wrap = column in ("name", "source")
        title = "arXiv" if column == "source" else column
        table.add_column(title, overflow="fold", no_wrap=no_wrap, min_width=least)
    for each in rows:
        authors, _, paper = each["source"].rpartition(", ")  # --json - has both
        paper = paper.removeprefix("arXiv:") if paper.startswith("arXiv:") else authors
        table.add_row(*(escape(each[column]) for column in COLUMNS[:-1]), escape(paper))
    Terminal().print(table)


def row(name: str) -> dict[str, Any]:
    """Returns one method's row, with its options and their defaults."""
    cls = METHODS.get(name)
    options = {f.name: f.default for f in fields(cls) if f.default is not MISSING}  # pyright: ignore[reportArgumentType]
    shown = {key: None if value == float("inf") else value for key, value in options.items()}
    about = {column: getattr(cls, column) for column in COLUMNS}
    return {**about, "needs": list(cls.needs), "options": shown}

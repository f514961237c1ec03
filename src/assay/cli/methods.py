"""`assay methods`: the table of methods, generated from the code."""

import textwrap
from dataclasses import MISSING, fields
from typing import Any

from rich.markup import escape
from rich.table import Table

from assay.cli.options import LOOK, Json, Terminal, emit_one
from assay.credit import METHODS

COLUMNS = ("name", "value", "unit", "peers", "carried", "scaling", "source")
_NAME = 13
"""Characters of a line of a name where the terminal is narrow."""


def methods(json: Json = None) -> None:
    """Lists every method: its value, its peers, and who carries it."""
    rows = [row(name) for name in METHODS.names()]
    if json is not None:
        emit_one({"schema": "assay.methods/1", "methods": rows}, json)
        return
    shown = [(*(each[column] for column in COLUMNS[:-1]), _paper(each["source"])) for each in rows]
    titles = (*COLUMNS[:-1], "arXiv")
    console = Terminal()
    if sum(_widths([titles, *shown], 0)) + len(titles) > console.width:
        shown = [(_folded(name), *cells) for name, *cells in shown]
    table = Table(**LOOK, padding=0, show_edge=False)
    for title, width in zip(titles, _widths([titles, *shown], console.width), strict=True):
        table.add_column(title, no_wrap=title == "name", width=width)
    for cells in shown:
        table.add_row(*map(escape, cells))
    console.print(table)


def _widths(lines: list[tuple[str, ...]], room: int) -> list[int]:
    """Returns widths of columns in which no word is broken; "value" takes what is left of `room`
    where not every column has its own."""
    columns = list(zip(*lines, strict=True))
    room -= len(columns) - 1
    full = [max(map(len, cells)) for cells in columns]
    if sum(full) <= room:
        return full
    widths = [max(len(word) for cell in cells for word in cell.split()) for cells in columns]
    widths[COLUMNS.index("value")] += max(room - sum(widths), 0)
    return widths


def _folded(name: str) -> str:
    """Returns a name that is broken behind underscores, where it is long."""
    parts = textwrap.wrap(name.replace("_", "_ "), _NAME + 1)
    return "\n".join(part.replace(" ", "") for part in parts)


def _paper(source: str) -> str:
    """Returns the arXiv number of a source, or its authors; `--json -` has both."""
    authors, _, paper = source.rpartition(", ")
    return paper.removeprefix("arXiv:") if paper.startswith("arXiv:") else authors


def row(name: str) -> dict[str, Any]:
    """Returns one method's row, with its options and their defaults."""
    cls = METHODS.get(name)
    options = {f.name: f.default for f in fields(cls) if f.default is not MISSING}  # pyright: ignore[reportArgumentType]
    shown = {key: None if value == float("inf") else value for key, value in options.items()}
    about = {column: getattr(cls, column) for column in COLUMNS}
    return {**about, "needs": list(cls.needs), "options": shown}

"""Our own pages, the viewer aside: one template, one file that loads nothing, all text escaped."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, final

from assay.report.figure import COLOURS


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """More than plain text in a cell: a smaller addition, a colour before it, a link, or a bar."""

    text: str = ""
    small: str = ""
    colour: str = ""
    link: str = ""
    up: str | None = None
    down: str | None = None
    """Shares of a bar in percent, in place of text."""


Content = str | Cell
Block = Mapping[str, Any]


def document(title: str, heading: str, blocks: Sequence[Block | None]) -> str:
    """Returns a whole page; blocks that are None are left out."""
    from jinja2 import Environment

    source = files("assay.report").joinpath("pages.html").read_text("utf-8")
    template = Environment(autoescape=True, keep_trailing_newline=True).from_string(source)
    return template.render(title=title, heading=heading, blocks=[b for b in blocks if b])


def heading(text: str) -> Block:
    """Returns a second-level heading."""
    return {"kind": "heading", "text": text}


def text(*parts: str, soft: bool = False) -> Block:
    """Returns a paragraph; every second part is set as code."""
    return {"kind": "text", "parts": parts, "soft": soft}


def listed(lines: Sequence[Content], name: str = "") -> Block:
    """Returns a list of a class."""
    return {"kind": "list", "lines": lines, "name": name}


def table(head: Sequence[Content], rows: Sequence[Sequence[Content]], name: str = "") -> Block:
    """Returns a table; a wide one scrolls."""
    return {"kind": "table", "head": head, "rows": rows, "name": name}


def figures(*svg: bytes) -> Block:
    """Returns pictures, side by side where there is room."""
    return {"kind": "figures", "data": [b64encode(each).decode() for each in svg]}


def keyed(number: int, name: str) -> Cell:
    """Returns a name beside the colour that its line has in a figure."""
    return Cell(text=name, colour=COLOURS[number])


def interval(value: float, ends: Sequence[float]) -> Cell:
    """Returns a number and its interval."""
    return Cell(text=f"{value:.3f}", small=f"{ends[0]:.3f} to {ends[1]:.3f}")


def difference(gap: Mapping[str, Any]) -> Cell:
    """Returns a difference and its interval."""
    return Cell(text=f"{gap['value']:+.3f}", small=f"{gap['low']:+.3f} to {gap['high']:+.3f}")

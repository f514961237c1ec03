"""Our own pages, the viewer aside, from `templates/`: HTML loads nothing and shows text as text."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.report.figure import COLOURS


def rendered(template: str, policies: Mapping[str, Any] | None = None, **values: Any) -> str:
    """Returns a whole page.

    Args:
        template: file of `templates/`; what ends in .html is escaped.
        policies: what was measured, by name: each has the colour of its line in the figures.
        **values: what else the template reads.
    """
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters["base64"] = _base64
    colours = dict(zip(policies or (), COLOURS, strict=False))
    return pages.get_template(template).render(policies=policies, colours=colours, **values)


def _base64(data: bytes) -> str:
    return b64encode(data).decode()

"""Our own pages, the viewer aside: a template each, one file that loads nothing, text escaped."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.report.figure import COLOURS


def document(template: str, policies: Mapping[str, Any], **values: Any) -> str:
    """Returns a whole page; every policy has the colour of its line in the figures."""
    from jinja2 import Environment, FileSystemLoader

    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters["base64"] = _base64
    colours = dict(zip(policies, COLOURS, strict=False))
    return pages.get_template(template).render(policies=policies, colours=colours, **values)


def _base64(data: bytes) -> str:
    return b64encode(data).decode()

"""The HTML around the data: hashes in its security policy, nothing from anywhere else."""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Final

from assay.report.stream import pieces

_HERE: Final = Path(__file__).parent
SCRIPTS: Final = (
    "dom",
    "data",
    "state",
    "virtual",
    "parts",
    "behaviour",
    "waste",
    "groups",
    "align",
    "replay",
    "whatif",
    "forest",
    "tree",
    "treepage",
    "group",
    "values",
    "heat",
    "rescued",
    "hints",
    "steps",
    "trajectory",
    "compare",
    "claims",
    "chart",
    "trust",
    "rubric",
    "schedule",
    "dead",
    "course",
    "skills",
    "main",
    "live",
)
"""Files of viewer/, in the order they are joined; together they are one function scope."""

_ESCAPES: Final = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def embedded(value: Any) -> Iterator[bytes]:
    """Yields JSON that is safe inside a script element, keys sorted."""
    for piece in pieces(value):
        text = piece.decode()
        for character, escape in _ESCAPES.items():
            text = text.replace(character, escape)
        yield text.encode("utf-8", "replace")


@cache
def script() -> str:
    """Returns the viewer: the files of viewer/ in one function scope."""
    parts = [(_HERE / "viewer" / f"{name}.js").read_text("utf-8") for name in SCRIPTS]
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "\n})();\n"


@cache
def style() -> str:
    """Returns the viewer's style sheet."""
    return (_HERE / "viewer" / "viewer.css").read_text("utf-8")


def policy(*, folder: bool) -> str:
    """Returns the content security policy: our script and style by hash, and nothing else.

    Args:
        folder: the page may read its own chunk files, next to it, and look for a newer page.
    """
    connect = "connect-src 'self'; " if folder else ""
    return (
        f"default-src 'none'; script-src '{_hash(script())}'; style-src '{_hash(style())}'; "
        f"img-src data:; {connect}base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def opening(index: dict[str, Any], *, folder: bool) -> Iterator[bytes]:
    """Yields the page up to the chunks. The viewer runs before they are read."""
    before, after = (_HERE / "page.html").read_text("utf-8").split("$index")
    title = "".join(_ESCAPED_HTML.get(c, c) for c in str(index["title"]))
    shown = {
        "policy": policy(folder=folder or bool(index.get("live"))),
        "title": title,
        "style": style(),
        "script": script(),
    }
    yield Template(before).substitute(shown).encode("utf-8", "replace")
    yield from embedded(index)
    yield Template(after).substitute(shown).encode("utf-8", "replace")


_ESCAPED_HTML: Final = {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    '"': "&quot;",
    "'": "&#39;",
    "\0": "",
}

CLOSING: Final = b"</body>\n</html>\n"


def chunk(number: int, packed: bytes) -> bytes:
    """Returns one chunk as an element that no browser executes."""
    return b'<script type="text/plain" id="c%d">%b</script>\n' % (number, base64.b64encode(packed))

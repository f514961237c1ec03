"""What a run directory says of itself."""

import json
import os
from pathlib import Path
from typing import Any


def is_training_run(path: Path) -> bool:
    """Returns whether `path` is a run directory that `assay train` made."""
    return written(path).get("kind") == "train"


def written(folder: Path) -> dict[str, Any]:
    """Returns what a run directory says of itself; nothing where it is none."""
    try:
        about = json.loads((folder / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def place_of(log: Path) -> str:
    """Returns where a log lies, in a form that can be written down."""
    return os.fsencode(os.path.realpath(log)).decode("utf-8", "backslashreplace")


def audited(folder: Path) -> str | None:
    """Returns where the log lies whose audit a run directory holds; None: it holds none, or one
    that does not say."""
    about = written(folder)
    return about.get("path") if about.get("kind") == "audit" else None


def page_of(out: Path) -> Path | None:
    """Returns the page in an audit's directory, which of a large set is a folder's; None: none."""
    pages = (out / "report.html", out / "report" / "index.html")
    return next((page for page in pages if page.is_file()), None)

"""What a run directory says of itself."""

import json
import os
from pathlib import Path
from typing import Any

from assay.errors import UsageError
from assay.files.folders import refuse_current


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


def replay_of(records: Path) -> Path:
    """Returns where `assay replay` leaves what it found out about records: beside them."""
    return Path(os.path.abspath(records)).parent / "replay"


def around(records: Path) -> dict[str, Path | None]:
    """Returns what the report reads beside records: where a replay of them would be, and the
    training run that made them, if one did."""
    run = Path(os.path.abspath(records)).parent
    return {"replay": replay_of(records), "run": run if is_training_run(run) else None}


def files_around(records: Path) -> list[Path]:
    """Returns the files of it, as far as they are there."""
    where = around(records)
    files = [replay_of(records) / name for name in ("decisions.jsonl", "truth.json")]
    if (run := where["run"]) is not None:
        files += [run / "metrics.jsonl", *sorted((run / "rescues").glob("*.jsonl"))]
    return [path for path in files if path.is_file()]


def page_of(out: Path) -> Path | None:
    """Returns the page in an audit's directory, which of a large set is a folder's; None: none."""
    pages = (out / "report.html", out / "report" / "index.html")
    return next((page for page in pages if page.is_file()), None)


def refuse_other(out: Path, schema: str) -> None:
    """Raises UsageError where something stands that an audit must not replace.

    Args:
        out: where it goes.
        schema: of run directories.
    """
    about = written(out)
    ours = (about.get("schema"), about.get("kind")) == (schema, "audit")
    if out.exists() and not (out.is_dir() and (ours or not any(out.iterdir()))):
        raise UsageError(f"{out}: exists and is no audit's directory; choose another with --out")
    if is_training_run(out):
        raise UsageError(f"{out}: a training run, which an audit must not replace; choose another")
    refuse_current(out)

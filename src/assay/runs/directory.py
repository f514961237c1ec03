"""What a run directory says of itself."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from assay.errors import DataError, UsageError
from assay.files.folders import refuse_current
from assay.files.shards import Shards, Source

BANK: Final = "bank"
"""Of a run directory: its skill bank, every version that it had."""
MADE: Final = frozenset(
    (
        *("run.json", "trajectories.jsonl.zst", "decisions.jsonl", "credit", "audit.json"),
        *("report.html", "report.json", "report", "sources.json"),
    )
)
"""What an audit leaves in its directory."""
SourceT = TypeVar("SourceT", Path, Source)


def is_training_run(path: Source) -> bool:
    """Returns whether `path` is a run directory that `assay train` made."""
    return isinstance(path, Path) and written(path).get("kind") == "train"


def unrolled(run: Path) -> bool:
    """Returns whether a training run learns without rollouts: it has spent tokens and has none."""
    ledger = run / "ledger.jsonl"
    begun = ledger.is_file() and ledger.stat().st_size > 0
    return begun and not any((run / "rollouts").glob("*.jsonl"))


def written(folder: Path) -> dict[str, Any]:
    """Returns what a run directory says of itself; nothing where it is none."""
    try:
        about = json.loads((folder / "run.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def records_of(log: SourceT) -> SourceT:
    """Returns the records in a run directory, also in each of several; anything else is returned as
    it is.

    Raises:
        DataError: the run directory holds none: its source held records already, or it learns
            from questions.
    """
    if isinstance(log, Shards):
        return replace(log, paths=tuple(map(records_of, log.paths)))
    if not (log / "run.json").is_file():
        return log
    if is_training_run(log):
        if unrolled(log):
            raise DataError(
                f"{log}: a run without rollouts, which learns from questions; measure it with "
                "assay eval, its questions lie in questions/"
            )
        return log / "rollouts"
    if not (records := log / "trajectories.jsonl.zst").is_file():
        source = written(log).get("path", "that was audited")
        raise DataError(f"{log}: holds no records, its log does; give that log, {source}")
    return records


def name_of(log: Source) -> str:
    """Returns what a log is called."""
    return log.name if isinstance(log, Shards) else log.resolve().name


def place_of(log: Source) -> str:
    """Returns where a log lies, in a form that can be written down."""
    if isinstance(log, Shards):
        return " ".join(place_of(Path(each)) for each in log.asked)
    return os.fsencode(os.path.realpath(log)).decode("utf-8", "backslashreplace")


def audited(folder: Path) -> str | None:
    """Returns where the log lies whose audit a run directory holds; None: it holds none, or one
    that does not say."""
    about = written(folder)
    return about.get("path") if about.get("kind") == "audit" else None


def replay_of(records: Path) -> Path:
    """Returns where `assay replay` leaves what it found out about records: beside them."""
    return Path(os.path.abspath(records)).parent / "replay"


def around(records: Source) -> dict[str, Path | None]:
    """Returns what the report reads beside records: where a replay of them would be, and the
    training run that made them, if one did; nothing beside several."""
    if isinstance(records, Shards):
        return {"replay": None, "run": None}
    run = Path(os.path.abspath(records)).parent
    return {"replay": replay_of(records), "run": run if is_training_run(run) else None}


def bank_of(records: Source) -> Path | None:
    """Returns the folder of the skill bank that a training run keeps beside its records; None: it
    keeps none."""
    run = around(records)["run"]
    return run / BANK if run is not None and (run / BANK / "bank.json").is_file() else None


def files_around(records: Source) -> list[Path]:
    """Returns the files of it, as far as they are there."""
    where = around(records)
    replay = where["replay"]
    files = [replay / name for name in ("decisions.jsonl", "truth.json")] if replay else []
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

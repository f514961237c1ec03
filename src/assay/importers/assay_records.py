"""Assay's own records: a file, plain or zstd, a folder of them, or a run directory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, final

from assay.importers.base import Importer, Losses, Probe
from assay.importers.recognise import log_files
from assay.records import Trajectory, read


@final
class AssayRecords(Importer):
    """Schema "assay.trajectory/1"; see docs/formats.md. Nothing is lost.

    Of a run directory (a folder with a run.json of schema "assay.run/1") the records alone are
    read: `rollouts/*.jsonl` of a training run, `trajectories.jsonl.zst` of an audit.
    """

    name: ClassVar[str] = "assay"
    title: ClassVar[str] = "Assay records"

    def recognises(self, probe: Probe) -> bool:
        if _run_kind(probe.path) is not None:
            return bool(_records_of_run(probe.path))
        return _is_record(probe.log)

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        if _run_kind(path) is not None:
            files = iter(_records_of_run(path))
        else:
            files = log_files(path, _is_record, losses)
        for file in files:
            yield from read(file)


def _is_record(probe: Probe) -> bool:
    return probe.has("schema") and str(probe.first["schema"]).startswith("assay.trajectory/")


def _run_kind(path: Path) -> str | None:
    """Returns the kind of a run directory; None: it is none."""
    try:
        about = json.loads((path / "run.json").read_bytes())
        return str(about["kind"]) if about["schema"] == "assay.run/1" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _records_of_run(path: Path) -> list[Path]:
    """Returns the record files of a run directory, in the order in which they were written."""
    files = sorted(
        (path / "rollouts").glob("*.jsonl"), key=lambda file: (len(file.name), file.name)
    )
    return files or sorted(path.glob("trajectories.jsonl*"))

"""Assay's own records, plain or zstd."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, final

from assay.importers.base import Importer, Losses, Probe
from assay.records import Trajectory, read


@final
class AssayRecords(Importer):
    """Schema "assay.trajectory/1"; see docs/formats.md. Nothing is lost."""

    name: ClassVar[str] = "assay"
    title: ClassVar[str] = "Assay records"

    def recognises(self, probe: Probe) -> bool:
        return probe.has("schema") and str(probe.first["schema"]).startswith("assay.trajectory/")

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        yield from read(path)

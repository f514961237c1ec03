"""Credit out, in the form that each engine takes. Adding one is one file and one line here."""

from assay.exporters.base import Exporter, Tally
from assay.exporters.nemo import Nemo
from assay.exporters.prime_rl import PrimeRl
from assay.exporters.rows import Row, Rows
from assay.exporters.skyrl import Skyrl
from assay.exporters.slime import Slime
from assay.exporters.trl import Trl
from assay.exporters.verifiers import Verifiers
from assay.registry import Registry

_TABLE: tuple[type[Exporter], ...] = (PrimeRl, Slime, Verifiers, Trl, Skyrl, Nemo)
EXPORTERS: Registry[Exporter] = Registry(
    "engine", {exporter.name: exporter for exporter in _TABLE}, group="assay.exporters"
)

__all__ = ["EXPORTERS", "Exporter", "Row", "Rows", "Tally"]

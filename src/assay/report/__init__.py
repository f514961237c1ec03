"""The report: one HTML file that opens from disk and asks nobody. Start with `build`."""

from assay.report.build import build
from assay.report.serve import serve

__all__ = ["build", "serve"]

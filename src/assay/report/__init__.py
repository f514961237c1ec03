"""The report: one HTML file that opens from disk and asks nobody. Start with `Report`."""

from assay.report.build import Report
from assay.report.serve import serve

__all__ = ["Report", "serve"]

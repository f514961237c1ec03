"""Advantages into a trainer. Importing this loads no torch; `assay.train.trl` does."""

from assay.train.recipe import Part, Recipe
from assay.train.rows import LAYOUTS, Layout, padded_rows, ragged
from assay.train.settings import BackOffSettings, RegimeSettings, ReplaySettings, Safety
from assay.train.signal import Signal, signal

__all__ = [
    "LAYOUTS",
    "BackOffSettings",
    "Layout",
    "Part",
    "Recipe",
    "RegimeSettings",
    "ReplaySettings",
    "Safety",
    "Signal",
    "padded_rows",
    "ragged",
    "signal",
]

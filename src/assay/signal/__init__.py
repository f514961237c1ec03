"""From a recipe to rows of a trainer's batch: everything a trainer needs, without torch."""

from assay.recipes import (
    BackOffSettings,
    Part,
    Recipe,
    RegimeSettings,
    ReplaySettings,
    Safety,
)
from assay.signal.bare import bare, per_row
from assay.signal.rows import LAYOUTS, Layout, padded_rows, ragged
from assay.signal.signal import Signal, signal

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
    "bare",
    "padded_rows",
    "per_row",
    "ragged",
    "signal",
]

"""What a run decides: the one `Recipe`, the settings of safety, and the recipes that ship."""

from assay.recipes.recipe import Part, Recipe
from assay.recipes.settings import BackOffSettings, RegimeSettings, ReplaySettings, Safety
from assay.recipes.shipped import read, shipped

__all__ = [
    "BackOffSettings",
    "Part",
    "Recipe",
    "RegimeSettings",
    "ReplaySettings",
    "Safety",
    "read",
    "shipped",
]

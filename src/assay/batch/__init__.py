"""Records to flat arrays, once. Start with `Batch`.

Axes: K trajectories, G groups, S model steps, C calls, R spans, N tokens.
"""

from assay.batch.batch import Batch
from assay.batch.columns import CATEGORIES, CLAIMS, ENDS, ROLES, UNTRAINABLE, Measure

__all__ = ["CATEGORIES", "CLAIMS", "ENDS", "ROLES", "UNTRAINABLE", "Batch", "Measure"]

"""Records to flat arrays, once. Start with `Batch`.

Axes: K trajectories, G groups, S model steps, C calls, R spans, N tokens.
"""

from assay.batch.batch import (
    CATEGORIES,
    CLAIMS,
    ENDS,
    ROLES,
    UNTRAINABLE,
    Batch,
    Measure,
)

__all__ = ["CATEGORIES", "CLAIMS", "ENDS", "ROLES", "UNTRAINABLE", "Batch", "Measure"]

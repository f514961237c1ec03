"""What a cluster would do with a recipe's groups: a discrete-event model with measured parameters.

    from assay.cluster import Measured, Plan, simulate
    seen = simulate(Plan(workers=1000, groups=500, staleness=2), measured, updates=60).outcome()

Needs simpy, of the extra [cluster].
"""

from assay.cluster.dispatch import Dispatch, Piece
from assay.cluster.history import History, Outcome
from assay.cluster.measured import Measured
from assay.cluster.model import simulate
from assay.cluster.plan import Plan

__all__ = ["Dispatch", "History", "Measured", "Outcome", "Piece", "Plan", "simulate"]

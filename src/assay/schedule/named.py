"""The order that a run's settings ask for."""

from collections.abc import Sequence

import numpy as np

from assay.schedule.bandit import Bandit
from assay.schedule.order import Mix, Order, Stages
from assay.schedule.settings import Schedule


def order_of(settings: Schedule, domains: Sequence[str]) -> Order:
    """Returns the order that settings ask for; of exact they are resolved."""
    if settings.mode == "tac":
        return Bandit(settings, len(domains))
    if settings.order:
        return Stages(tuple(domains.index(name) for name in settings.order))
    weights = settings.weights or dict.fromkeys(domains, 1.0)
    share_D = np.array([weights.get(name, 0.0) for name in domains])
    return Mix(share_D, settings.whole)

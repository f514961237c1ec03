"""How many different things a policy says."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float64

from assay.errors import DataError


def entropy(probability: Float64[np.ndarray, " V"]) -> float:
    """Returns -sum p log p in nats; 0 log 0 is 0."""
    some = probability[probability > 0]
    if (probability < 0).any() or not np.isclose(some.sum(), 1.0):
        raise DataError(f"entropy: probabilities sum to {probability.sum():g}; expected 1")
    return float(-(some * np.log(some)).sum()) + 0.0


def answer_entropy(answers: Sequence[Hashable]) -> float:
    """Returns the entropy of the answers' own frequencies, nats; at most log(number of samples)."""
    if not answers:
        raise DataError("answer_entropy: no answer; expected at least one")
    counts = np.array(list(Counter(answers).values()), float)
    return entropy(counts / counts.sum())


def distinct(answers: Sequence[Hashable]) -> int:
    """Returns how many different answers there are."""
    return len(set(answers))

"""One number for a sequence of seeds."""

from collections.abc import Sequence

import numpy as np


def number(seed: Sequence[int]) -> int:
    """Returns one seed of 63 bits for a sequence of them; sequences that differ are unrelated."""
    words = np.random.SeedSequence(list(seed)).generate_state(2, np.uint32).tolist()
    return (words[0] << 31) ^ words[1]

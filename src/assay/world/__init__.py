"""The embedded world: five families of tool-use tasks with exact verifiers, questions
on made-up facts, and your own.

Start with `Environment` (what an environment must do) and `load`.
"""

from assay.world.catalogue import BUILT_IN, FAMILIES, LEVELS, load
from assay.world.environment import Environment, HintKind, Reply

__all__ = [
    "BUILT_IN",
    "FAMILIES",
    "LEVELS",
    "Environment",
    "HintKind",
    "Reply",
    "load",
]

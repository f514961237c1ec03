"""Sampling trajectories: a backend continues text, environments answer, records come out.

Start with `backend.Backend` (what an engine must do) and `chain.collect`. Importing this loads no
torch; `assay.rollout.backends.local` does.
"""

from assay.rollout.backends.base import Backend, Reader, Sampling
from assay.rollout.chain import Planned, collect, tasks
from assay.rollout.progress import Progress
from assay.rollout.protocols.chat import Chat
from assay.rollout.protocols.line import Line
from assay.rollout.start import Start, points, seed_of, stand
from assay.rollout.tree import Shape, grow

__all__ = [
    "Backend",
    "Chat",
    "Line",
    "Planned",
    "Progress",
    "Reader",
    "Sampling",
    "Shape",
    "Start",
    "collect",
    "grow",
    "points",
    "seed_of",
    "stand",
    "tasks",
]

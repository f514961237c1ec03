"""Which calls also occur in a successful trajectory of the same task.

Axes: K trajectories, C calls.
"""

import numpy as np
from jaxtyping import Bool, Int8, Int64

from assay.kernels.codes import numbered


def sibling_evidence(
    key_C: Int64[np.ndarray, " C"],
    traj_C: Int64[np.ndarray, " C"],
    task_K: Int64[np.ndarray, " K"],
    passed_K: Bool[np.ndarray, " K"],
) -> Int8[np.ndarray, " C"]:
    """Returns 1 where another successful trajectory of the task makes the same call, 0 where none
    does, -1 where the task has no other successful trajectory to look at.

    Args:
        key_C: name and canonical arguments of each call, as a number >= 0.
        traj_C: trajectory of each call, in [0, K).
        task_K: task of each trajectory, >= 0.
        passed_K: which trajectories passed.
    """
    n_tasks = int(task_K.max(initial=-1)) + 1
    others_K = np.bincount(task_K, passed_K, n_tasks)[task_K] - passed_K
    pair_C, passing_C = numbered(task_K[traj_C], key_C), passed_K[traj_C]
    passing = np.flatnonzero(passing_C)
    _, first = np.unique(numbered(pair_C[passing], traj_C[passing]), return_index=True)
    owners_P = np.bincount(pair_C[passing[first]], minlength=int(pair_C.max(initial=-1)) + 1)
    owners_C = owners_P[pair_C] - passing_C  # successful trajectories with the same task and call
    return np.where(others_K[traj_C] > 0, owners_C > 0, -1).astype(np.int8)

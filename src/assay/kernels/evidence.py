"""Which calls also occur in a successful trajectory of the same task.

Axes: K trajectories, C calls.
"""

import numpy as np
from jaxtyping import Bool, Int8, Int64


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
    # one (task, key) per call; then how many different successful trajectories have it
    _, key_code = np.unique(key_C, return_inverse=True)
    n_keys = int(key_code.max(initial=-1)) + 1
    pair_C = task_K[traj_C] * n_keys + key_code
    passing = passed_K[traj_C]
    owned = np.unique(np.stack([pair_C[passing], traj_C[passing]], axis=1), axis=0)
    pairs, owners = np.unique(owned[:, 0], return_counts=True)
    at = np.minimum(np.searchsorted(pairs, pair_C), max(pairs.size - 1, 0))
    found = pairs[at] == pair_C if pairs.size else np.zeros(pair_C.size, bool)
    owners_C = np.where(found, owners[at] if pairs.size else 0, 0) - passing
    return np.where(others_K[traj_C] > 0, owners_C > 0, -1).astype(np.int8)

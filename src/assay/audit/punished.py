"""Right calls that GRPO punishes: which of it averages out over repeats, and which is not shown to.

docs/punished.md says in plain words what the split means. Axes: K trajectories, S steps, C calls,
P pairs of a context and a call.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.batch import Batch
from assay.kernels.codes import numbered

_ROUNDING = 1e-9
"""Share of a sum of |A| that is not told from 0."""


def punished_calls(batch: Batch, step_S: Float64[np.ndarray, " S"]) -> Bool[np.ndarray, " C"]:
    """Returns which calls are pushed down: their step, of advantage `step_S`, has A < 0."""
    return step_S[batch.step_C] < 0


def split(
    batch: Batch, step_S: Float64[np.ndarray, " S"], found_C: Bool[np.ndarray, " C"]
) -> dict[str, int]:
    """Returns how the punished calls that are right divide.

        net_p = sum of A over the calls of pair p,   p = (group, context, call)

    `punished_variance`: net_p >= 0. Elsewhere in the group the same call after the same context is
    rewarded at least as much, so in expectation nothing pushes it down. `punished_systematic`:
    net_p < 0, not shown to cancel. They add up to all. `punished_shared`: the same call after the
    same context is also rewarded, however much.
    """
    pair_C = numbered(contexts(batch)[batch.step_C], batch.key_C)
    push_C = np.nan_to_num(step_S[batch.step_C])
    net_C, size_C, up_C = (
        np.bincount(pair_C, values)[pair_C]
        for values in (push_C, np.abs(push_C), np.maximum(push_C, 0.0))
    )
    cancels_C = net_C >= -_ROUNDING * size_C
    return {
        "punished_shared": int((found_C & (up_C > 0)).sum()),
        "punished_variance": int((found_C & cancels_C).sum()),
        "punished_systematic": int((found_C & ~cancels_C).sum()),
    }


def contexts(batch: Batch) -> Int64[np.ndarray, " S"]:
    """Returns a number per step: equal where the policy stood in the same place of one group.

    That is the recorded state before the step, or where there is none, the calls of its trajectory
    so far that ran, in order: tools that answer the same to the same calls are in the same state
    then. What users said and what the policy thought is not compared.
    """
    group_S, steps = batch.group_K[batch.traj_S], np.arange(batch.traj_S.size)
    ran = np.flatnonzero(batch.ran_C != 0)  # unknown counts as run
    traj, key = batch.traj_S[batch.step_C[ran]], batch.key_C[ran]
    depth = np.arange(ran.size) - np.searchsorted(traj, traj)
    past, order = batch.group_K[traj], np.argsort(depth, kind="stable")
    for at in np.split(order, np.flatnonzero(np.diff(depth[order])) + 1) if ran.size else ():
        past[at] = numbered(past[at - 1] if depth[at[0]] else past[at], key[at])
    last_S = np.searchsorted(batch.step_C[ran], steps) - 1  # the last call before each step
    called_S = np.append(traj, -1)[last_S] == batch.traj_S
    state_S = batch.state_S
    recorded_S = state_S >= 0
    calls_S = np.where(called_S & ~recorded_S, np.append(depth, 0)[last_S] + 1, 0)
    past_S = np.where(called_S, np.append(past, 0)[last_S], 0)
    # histories of one length have numbers of their own, so the length is part of the place
    own_S = np.where(recorded_S, state_S, past_S)
    return numbered(group_S, recorded_S.astype(np.int64), calls_S, own_S)

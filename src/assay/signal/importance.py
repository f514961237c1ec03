"""How far a trajectory counts that was sampled with help, and is trained without it.

Such a trajectory holds two log-probabilities of each of its tokens: `logprobs`, of the policy that
reads it as it is trained, and `helped`, of what sampled it. With pi and mu for the two:

    truncated    min(1, pi / mu)          truncated importance sampling (Ionides 2008), cap 1
    shaped       gamma pi / (pi + gamma)^2    weight of grad log pi in that of f(pi)
    f            pi / (pi + gamma)            f itself, held fixed, as weight of grad log pi
    none         1                            as if the policy had sampled it without help

f = pi / (pi + gamma) is Critique-GRPO's shaping, 2025, https://arxiv.org/abs/2506.03106 (its paper
writes the first weight as f' = gamma / (pi + gamma)^2 before grad pi); LUFFY 2025,
https://arxiv.org/abs/2504.14945, has the same. Those do without mu. All three lie in [0, 1]: a
ratio of 1 is never pretended with them, and one above it never used. `shaped` is 1/4 at its
largest, at pi = gamma. "none" pretends: it is what the released code of RuscaRL 2025 does,
https://arxiv.org/abs/2508.16949, and a run takes it with a scaffold alone. The weight is of tokens,
one by one, and is no gradient's path.

Axes: N tokens.
"""

import numpy as np
from jaxtyping import Float64

from assay.batch import Batch
from assay.recipes.recipe import Importance


def importance(
    logprob_N: Float64[np.ndarray, " N"],
    helped_N: Float64[np.ndarray, " N"],
    kind: Importance = "truncated",
    gamma: float = 0.1,
) -> Float64[np.ndarray, " N"]:
    """Returns the weight of each token, in [0, 1]; 0 where a log-probability is NaN.

    Args:
        logprob_N: of the policy that is trained, nats.
        helped_N: of what sampled the token, nats.
        kind: which weight.
        gamma: above 0; read by "shaped" and "f".
    """
    pi_N = np.exp(np.minimum(logprob_N, 0.0))
    match kind:
        case "truncated":
            weight_N = np.exp(np.minimum(logprob_N - helped_N, 0.0))
        case "shaped":
            weight_N = gamma * pi_N / (pi_N + gamma) ** 2
        case "f":
            weight_N = pi_N / (pi_N + gamma)
        case "none":
            weight_N = np.ones(pi_N.size)
    return np.where(np.isnan(logprob_N) | np.isnan(helped_N), 0.0, weight_N)


def rescue_weight(batch: Batch, kind: Importance, gamma: float) -> Float64[np.ndarray, " N"] | None:
    """Returns the weight of each token of a batch: that of `importance` on sampled tokens of a
    trajectory that has `helped`, 1 elsewhere. None: 1 everywhere.

    A rescued trajectory without it is trained under what it was sampled with, as one that goes on
    from an earlier one is: it is the policy's own.
    """
    helped_N = batch.helped_N
    if helped_N is None:
        return None
    traj_N = np.repeat(batch.traj_R, batch.length_R)
    helped_K = np.bincount(traj_N, ~np.isnan(helped_N), len(batch.ids)) > 0
    weighed_N = np.repeat(batch.step_R >= 0, batch.length_R) & helped_K[traj_N]
    known_N = batch.logprob_N if batch.logprob_N is not None else np.full(helped_N.size, np.nan)
    return np.where(weighed_N, importance(known_N, helped_N, kind, gamma), 1.0)

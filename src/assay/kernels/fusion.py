"""What a step is worth, from how it fits, how good it is, and how it follows: ReasonFlux-PRM.

Axes: S steps, J components.
"""

from typing import Final, Literal

import numpy as np
from jaxtyping import Float64

from assay.errors import MethodError

PARTS: Final = ("align", "quality", "coherence")
"""Components, in order: cosine to the final answer; what a judge gives; `coherence`, in nats."""
WEIGHTS: Final = (0.3, 0.5, 0.2)
"""Of the components where they are bounded."""
Bound = Literal["sigmoid", "probability"]


def printed(part_SJ: Float64[np.ndarray, "S J"]) -> Float64[np.ndarray, " S"]:
    """Returns the fused value as the paper has it: components weighted by their own softmax.

        r = sum_k w_k v_k,     w = softmax(v),     dr / dv_k = w_k (1 + v_k - r)

    ReasonFlux-PRM 2025, https://arxiv.org/abs/2506.18896. It falls in a component that lies more
    than 1 below r: a step whose coherence is -6 is worth more than one whose coherence is -0.5.
    `bounded` does not. NaN where a component is.
    """
    raised = np.exp(part_SJ - part_SJ.max(1, keepdims=True))
    return (raised * part_SJ).sum(1) / raised.sum(1)


def bounded(
    part_SJ: Float64[np.ndarray, "S J"],
    weights: tuple[float, ...] = WEIGHTS,
    bound: Bound = "sigmoid",
) -> Float64[np.ndarray, " S"]:
    """Returns the fused value with every component in [0, 1] and weights that stay.

        r = sum_k w_k u_k / sum_k w_k
        u = (1 + align) / 2,  quality,  and 1 / (1 + exp(-coherence)) or exp(min(coherence, 0))

    Ours, for `printed` is not monotone; this one never falls in any component. exp is the chance
    that `coherence` is the log of, where the step itself is among those compared.

    Args:
        part_SJ: columns as in `PARTS`.
        weights: of the components, at least 0, not all 0.
        bound: of coherence.

    Returns:
        In [0, 1]; NaN where a component that has weight is.

    Raises:
        MethodError: align outside [-1, 1], quality outside [0, 1], or weights that are none.
    """
    if len(weights) != len(PARTS) or min(weights) < 0 or not 0 < sum(weights) < np.inf:
        raise MethodError(f"weights: got {weights}; expected three, at least 0, not all 0")
    for j, low in ((0, -1.0), (1, 0.0)):
        column = part_SJ[:, j]
        out = np.flatnonzero((column < low - 1e-6) | (column > 1.0 + 1e-6))
        if out.size:
            raise MethodError(
                f"{PARTS[j]} of step {out[0]} is {column[out[0]]:g}; expected [{low:g}, 1]"
            )
    align, quality, coherence = part_SJ.T
    nats = np.clip(coherence, -500, 500)
    within = 1 / (1 + np.exp(-nats)) if bound == "sigmoid" else np.exp(np.minimum(nats, 0.0))
    units = np.stack([(1.0 + align) / 2.0, quality, within], 1).clip(0.0, 1.0)
    share = np.array(weights) / sum(weights)
    return np.where(share > 0, share * units, 0.0).sum(1)


def coherence(
    near: float, others: Float64[np.ndarray, " _"], tau: float = 0.1, *, itself: bool = True
) -> float:
    """Returns how much likelier a step is to follow the one before than others are, in nats.

        near / tau - log( sum over others of exp(sim / tau)  [+ exp(near / tau)] )

    ReasonFlux-PRM, https://arxiv.org/abs/2506.18896. With the step itself in the sum it is the log
    of a probability, and at most 0; without, as some read the paper, it has no bound.

    Args:
        near: similarity of the step to the one before it (to the question, where it is the first).
        others: similarities of steps that do not follow it; empty only with `itself`.
        tau: above 0.
        itself: whether the step is in the sum.

    Raises:
        MethodError: tau not above 0, or nothing to compare with.
    """
    if tau <= 0 or (not itself and others.size == 0):
        raise MethodError(f"coherence: got tau {tau:g} and {others.size} others")
    among = np.append(others, near) if itself else others
    return near / tau - float(np.logaddexp.reduce(among / tau))


def trajectory_score(
    step: float | Float64[np.ndarray, " _"],
    final: float | Float64[np.ndarray, " _"],
    alpha: float = 0.8,
) -> float | Float64[np.ndarray, " _"]:
    """Returns mean step + alpha final; ReasonFlux-PRM, alpha .8 to 1, .1 does badly there."""
    return step + alpha * final

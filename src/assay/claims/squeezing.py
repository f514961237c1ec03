"""P18: what pushing a token down does to the entropy of its distribution, computed exactly.

One step of size eta against log pi of the sampled token y changes logits by

    z' = z - eta (e_y - pi),

so mass goes to the other tokens in proportion to their probability.
"""

import numpy as np
from jaxtyping import Float64


def pushed_down(
    logits_NV: Float64[np.ndarray, "N V"], token_N: np.ndarray, *, eta: float = 0.5
) -> tuple[Float64[np.ndarray, " N"], Float64[np.ndarray, " N"]]:
    """Returns (pi of the token, change of entropy in nats) for each position."""
    pi_NV = _softmax(logits_NV)
    push_NV = -pi_NV
    at = np.arange(token_N.size)
    push_NV[at, token_N] += 1.0
    after_NV = _softmax(logits_NV - eta * push_NV)
    return pi_NV[at, token_N], _entropy(after_NV) - _entropy(pi_NV)


def _softmax(logits_NV: Float64[np.ndarray, "N V"]) -> Float64[np.ndarray, "N V"]:
    shifted = np.exp(logits_NV - logits_NV.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def _entropy(pi_NV: Float64[np.ndarray, "N V"]) -> Float64[np.ndarray, " N"]:
    return -(pi_NV * np.log(np.maximum(pi_NV, 1e-300))).sum(1)

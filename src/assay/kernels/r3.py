"""How likely a policy finds a reference answer after each rollout's reasoning, as one reward each.

DRO 2025 to 2026, arXiv:2506.13351: R3, the reasoning reflection reward. Only a few tokens of a
reference depend on the reasoning (reflective tokens): those on which the rollouts of a group
differ. They are weighted up, the others would dilute them. It is one number a rollout, and not one
a token of its reasoning.

Axes: K rollouts of one group, T tokens of its reference. A row of NaN is a rollout that nobody
scored: it moves nothing, and its reward is NaN.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final, final

import numpy as np
from jaxtyping import Bool, Float64

from assay.errors import MethodError

OMEGA: Final = 1.5
"""Sharpness of R3's weights. Above 4 one token has them all."""
LOW: Final = 0.05
HIGH: Final = 0.85
"""A token that is less, or more, likely than this in every rollout says nothing of them."""
TOP: Final = 0.1
"""Share of the tokens whose spread is a group's dispersion."""


@final
@dataclass(frozen=True, slots=True)
class R3:
    """The rewards of one group, and what they were made of."""

    reward_K: Float64[np.ndarray, " K"]
    """NaN: nobody scored it, or there is nothing to compare."""
    weight_T: Float64[np.ndarray, " T"]
    """Of each token of the reference, adding up to 1; all 0 where no reward is defined."""
    sigma_T: Float64[np.ndarray, " T"]
    """Standard deviation over the rollouts, divided by their number (ddof = 0)."""
    kept_T: Bool[np.ndarray, " T"]
    """Which tokens count."""


def r3(
    p_KT: Float64[np.ndarray, "K T"],
    *,
    omega: float = OMEGA,
    low: float = LOW,
    high: float = HIGH,
    zscored: bool = True,
) -> R3:
    """Returns R3 of version 2, from probabilities.

        kept_j = not (min_i p_ij > high or max_i p_ij < low)
        q = clip(p, low, high);  sigma_j = std_i q_ij;  z = (sigma - mean) / (std + 1e-8) over kept
        w = softmax(omega z) over kept;  R3_i = sum_j w_j q_ij, in [low, high]

    The paper has a softmax of sigma with a sharpness of 1 to 2, and one token left above 4; raw
    sigma, at most .4, would weigh all tokens nearly alike there, so that sigma is z-scored.

    Args:
        p_KT: probability of each token of the reference; a row of NaN was not scored.
        omega: sharpness, at least 0; at 0 all kept tokens weigh alike.
        low: see above, 0 <= low < high <= 1.
        high: see above.
        zscored: whether sigma is z-scored, or taken as it is, to compare.

    Returns:
        Rewards NaN and weights 0 where no token is kept, or fewer than two rollouts are scored.

    Raises:
        MethodError: a number out of its range, or a row of which some is NaN.
    """
    _check(p_KT, 0.0, 1.0, "probabilities")
    if not (0.0 <= low < high <= 1.0 and 0.0 <= omega < np.inf):
        raise MethodError(
            f"r3: got low={low:g}, high={high:g}, omega={omega:g}; expected 0 <= low < high <= 1 "
            "and a finite omega of at least 0"
        )
    known_K = ~np.isnan(p_KT).any(1)
    p, clipped_KT = p_KT[known_K], np.clip(p_KT, low, high)
    if len(p) < 2:
        return _nothing(p_KT)
    kept_T = ~((p.min(0) > high) | (p.max(0) < low))
    sigma_T = _sigma(clipped_KT[known_K])
    if not kept_T.any():
        return _nothing(p_KT, sigma_T)
    kept = sigma_T[kept_T]
    score = (kept - kept.mean()) / (_sigma(kept) + 1e-8) if zscored else kept
    share = np.exp(omega * (score - score.max()))
    weight_T = np.zeros(kept_T.size)
    weight_T[kept_T] = share / share.sum()
    return R3(clipped_KT @ weight_T, weight_T, sigma_T, kept_T)


def r3_v1(
    logp_KT: Float64[np.ndarray, "K T"], masked_T: Float64[np.ndarray, " T"] | None = None
) -> R3:
    """Returns R3 of version 1, from log-probabilities; to compare, see `r3`.

        sigma_j = std_i log p_ij;  w = sigma / sum(sigma), uniform where all are 0
        R3_i = sum_j w_j (log p_ij - masked_j)

    The paper says only that a larger sigma weighs more. What `masked` adds is the same for all
    rollouts: centred in the group it cancels. Fewer than two scored rollouts: NaN, weights 0.

    Args:
        logp_KT: nats, at most 0; a row of NaN was not scored.
        masked_T: nats, of the same reference where the reasoning is masked. None: 0.

    Raises:
        MethodError: a number out of its range, or a row of which some is NaN.
    """
    _check(logp_KT, -np.inf, 0.0, "log-probabilities")
    known_K = ~np.isnan(logp_KT).any(1)
    if known_K.sum() < 2:
        return _nothing(logp_KT)
    sigma_T = _sigma(logp_KT[known_K])
    size = sigma_T.sum()
    weight_T = sigma_T / size if size > 0 else np.full(sigma_T.size, 1.0 / sigma_T.size)
    base_T = 0.0 if masked_T is None else masked_T
    return R3((logp_KT - base_T) @ weight_T, weight_T, sigma_T, np.ones(sigma_T.size, bool))


def propagated(
    p_KT: Float64[np.ndarray, "K T"], reflective_T: Bool[np.ndarray, " T"], gamma: float
) -> Float64[np.ndarray, "K T"]:
    """Returns probabilities that doubt at a reflective token lowers at those after it; for version
    1, whose authors found it costly.

        p_ij prod over reflective k < j of (p_ik + (1 - p_ik) (1 - exp(-gamma (j - k))))

    `reflective_T`: whose doubt is passed on; `gamma`: how soon it fades, at 0 never.

    Raises:
        MethodError: gamma below 0.
    """
    if not 0.0 <= gamma < np.inf:
        raise MethodError(f"r3: got gamma={gamma:g}; expected a finite number of at least 0")
    made_KT, at_T = p_KT.copy(), np.arange(p_KT.shape[1])
    for k in np.flatnonzero(reflective_T):
        faded_T = 1.0 - np.exp(-gamma * (at_T[k + 1 :] - k))
        doubted = p_KT[:, k : k + 1]
        made_KT[:, k + 1 :] *= doubted + (1.0 - doubted) * faded_T
    return made_KT


def length_reward(
    length_K: Float64[np.ndarray, " K"], reference: int, beta: float
) -> Float64[np.ndarray, " K"]:
    """Returns 1 - beta |length - reference| / reference, of answers without their reasoning; at
    most 1, not bounded below. R3 does not read the answer, which may grow.

    Raises:
        MethodError: a reference of no length.
    """
    if reference < 1:
        raise MethodError(f"r3: got a reference of length {reference}; expected at least 1")
    return 1.0 - beta * np.abs(reference - length_K) / reference


def dispersion(sigma_T: Float64[np.ndarray, " T"]) -> float:
    """Returns the mean of the largest tenth of sigma, of one token at least; NaN: no token.

    A group in which it is small has nothing to learn from: its rewards are ranked by noise.
    """
    if not sigma_T.size:
        return float("nan")
    count = ceil(TOP * sigma_T.size)
    return float(np.sort(sigma_T)[-count:].mean())


def _sigma(value: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Returns the deviation over the first axis; exactly 0 where all are equal: their mean may be
    off by a rounding."""
    return np.where(np.ptp(value, axis=0) == 0.0, 0.0, value.std(0))


def _nothing(
    given_KT: Float64[np.ndarray, "K T"], sigma_T: Float64[np.ndarray, " T"] | None = None
) -> R3:
    rollouts, size = given_KT.shape
    sigma_T = np.zeros(size) if sigma_T is None else sigma_T
    return R3(np.full(rollouts, np.nan), np.zeros(size), sigma_T, np.zeros(size, bool))


def _check(given_KT: Float64[np.ndarray, "K T"], low: float, high: float, what: str) -> None:
    if given_KT.shape[1] == 0:
        raise MethodError("r3: the reference has no token; expected at least one")
    missing_KT = np.isnan(given_KT)
    torn = missing_KT.any(1) & ~missing_KT.all(1)
    value = given_KT[~missing_KT]
    if torn.any() or not ((value >= low) & (value <= high)).all():
        raise MethodError(
            f"r3: expected {what} from {low:g} to {high:g}, or a whole row of NaN; got "
            f"{value.min(initial=0.0):g} to {value.max(initial=0.0):g}, "
            f"{int(torn.sum())} rows of which only some is NaN"
        )

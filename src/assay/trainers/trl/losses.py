"""Loss terms on tensors: pure functions, each with its formula. Needs torch.

Axes: B rows, T padded length. A mask is 1 on tokens that the policy sampled, 0 elsewhere.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped

from assay.trainers.losses import ce


def off_policy_keep(
    advantage: Float[torch.Tensor, "B T"],
    new: Float[torch.Tensor, "B T"],
    old: Float[torch.Tensor, "B T"],
    mask: Shaped[torch.Tensor, "B T"],
    *,
    threshold: float,
) -> Float[torch.Tensor, "B 1"]:
    """Returns 1 for a sequence to keep, 0 for one to drop: negative in total, and off-policy.

        drop  iff  sum_t A_t < 0  and  mean_t (log pi_old - log pi_new) > threshold

    DeepSeek-V3.2's rule, over whole sequences: with one advantage per sequence it is TRL's
    `off_policy_mask_threshold`. A log-probability that is NaN counts as no change.
    """
    gap = torch.nan_to_num(old - new.detach(), nan=0.0) * mask
    mean_gap = gap.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    negative = (advantage * mask).sum(1, keepdim=True) < 0
    return (~(negative & (mean_gap > threshold))).to(advantage.dtype)


def sequence_old(
    new: Float[torch.Tensor, "B T"],
    old: Float[torch.Tensor, "B T"],
    mask: Shaped[torch.Tensor, "B T"],
) -> Float[torch.Tensor, "B T"]:
    """Returns old log-probabilities under which token ratios are those of GSPO-token.

        old'_t = sg(log pi_new,t) - s
        s = mean over the row's sampled tokens of sg(log pi_new) - log pi_old

    The ratio pi_new,t / exp old'_t has the value exp(s), the sequence's, at every token, and the
    gradient of its own token. Stock TRL's ratio of a sequence has the mean of all gradients, so
    that a row's advantages count by their mean alone; where they are equal the two are the same.
    GSPO 2025, https://arxiv.org/abs/2507.18071, section 4.3.
    """
    still = new.detach()
    gap = ((still - old) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    return still - gap


def preserved(
    advantage: Float[torch.Tensor, "B T"],
    new: Float[torch.Tensor, "B T"],
    old: Float[torch.Tensor, "B T"],
    mask: Shaped[torch.Tensor, "B T"],
    span: Int[torch.Tensor, "B T"],
) -> Float[torch.Tensor, ""]:
    """Returns the likelihood-preserving term: what actions with A >= 0 lost, per token.

        1/n  sum over spans s with A_s >= 0 and D_s > 0 of  sum_{t in s} max(0, d_t)

    d_t = log pi_old - log pi_new, D_s its sum over the span, n the tokens of spans with A_s >= 0. A
    span is one action, its A the sum over its tokens. It is the cross-entropy of the tokens that
    fell, less what it was. LLDS 2025, https://arxiv.org/abs/2512.04220. 0 on-policy.
    """
    counted = (mask > 0) & (span >= 0)
    if not bool(counted.any()):
        return new.sum() * 0.0
    _, which = torch.unique(span[counted], return_inverse=True)
    lost = torch.where(torch.isnan(old), 0.0, old - new.detach())
    sums = torch.zeros(2, int(which.max()) + 1, dtype=new.dtype, device=new.device)
    sums[0].scatter_add_(0, which, lost[counted])
    sums[1].scatter_add_(0, which, advantage[counted].to(new.dtype))
    held, falling = sums[1] >= 0, (sums[1] >= 0) & (sums[0] > 0)
    weight = torch.zeros_like(lost)
    weight[counted] = (falling[which] & (lost[counted] > 0)).to(new.dtype)
    count = held[which].sum()
    return ce(new, weight, count) - ce(old, weight, count)


class RatioFacts(NamedTuple):
    """Counts and maxima of a micro-batch, by the sign of the advantage; 0-dim tensors."""

    positive: torch.Tensor
    """Tokens with A > 0."""
    negative: torch.Tensor
    """Tokens with A < 0."""
    clipped_positive: torch.Tensor
    """Of those with A > 0: ratio above 1 + high."""
    clipped_negative: torch.Tensor
    """Of those with A < 0: ratio below 1 - low."""
    largest_positive: torch.Tensor
    """Largest ratio where A > 0; 0 where there is none."""
    largest_negative: torch.Tensor
    """Largest ratio where A < 0; 0 where there is none."""
    largest: torch.Tensor
    """Largest ratio of any sampled token; NaN if one is."""


@torch.no_grad()
def ratio_facts(
    advantage: Float[torch.Tensor, "B T"],
    new: Float[torch.Tensor, "B T"],
    old: Float[torch.Tensor, "B T"] | None,
    mask: Shaped[torch.Tensor, "B T"],
    *,
    low: float,
    high: float,
) -> RatioFacts:
    """Returns how far sampled tokens moved, by sign. `old` None: on-policy, every ratio is 1."""
    counted = mask > 0
    up, down = (advantage > 0) & counted, (advantage < 0) & counted
    known = new if old is None else torch.where(torch.isnan(old), new, old)
    ratio = torch.exp(new - known)
    zero = torch.zeros_like(ratio)
    return RatioFacts(
        up.sum(),
        down.sum(),
        (up & (ratio > 1.0 + high)).sum(),
        (down & (ratio < 1.0 - low)).sum(),
        torch.where(up, ratio, zero).amax(),
        torch.where(down, ratio, zero).amax(),
        torch.where(counted, ratio, zero).amax(),
    )

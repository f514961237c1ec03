"""Losses on tensors, pure, one a kind of `assay.signal.losses`, for every engine. Needs torch.

Axes: B rows, T padded length, V tokens of the vocabulary that a teacher names, W = V + 1 with the
rest, Q questions. `weight` is 0 where a token is not the term's; each is a sum over tokens divided
by `count`, by default the tokens of a weight that is not 0. Log-probabilities are in nats.
"""

import torch
from jaxtyping import Bool, Float, Num

from assay.kernels.rlag import Gains

Rows = Float[torch.Tensor, "B T"]
Weights = Num[torch.Tensor, "B T"]
Named = Float[torch.Tensor, "B T V"]
Tailed = Float[torch.Tensor, "B T W"]
Scalar = Float[torch.Tensor, ""]
Means = Float[torch.Tensor, " Q"]


def mean_of(value: Rows, weight: Weights, count: Num[torch.Tensor, ""] | None = None) -> Scalar:
    """Returns sum(weight value) / count; a token of weight 0 may hold anything."""
    counted = weight != 0
    count = counted.sum() if count is None else count
    return (torch.where(counted, value, 0.0) * weight).sum() / count.clamp(min=1)


def importance(new: Rows, old: Rows, cap: float) -> Rows:
    """Returns sg( min(pi_new / pi_old, cap) ), truncated importance sampling (Ionides 2008).

    An old log-probability that is NaN counts as on-policy. With cap <= the ratio a likelihood that
    it weighs is a plain one, as TOPR weighs positives.
    """
    gap = torch.nan_to_num(new.detach() - old, nan=0.0)
    return torch.exp(torch.clamp(gap, max=20.0)).clamp(max=cap)


def rl(
    new: Rows,
    old: Rows,
    advantage: Rows,
    *,
    low: float,
    high: float,
    count: Num[torch.Tensor, ""] | None = None,
) -> Scalar:
    """Returns PPO's clipped loss, 2017, https://arxiv.org/abs/1707.06347.

    1/n sum_t  -min( r_t A_t, clip(r_t, 1 - low, 1 + high) A_t ),   r = pi_new / pi_old
    """
    ratio = torch.exp(new - torch.where(torch.isnan(old), new.detach(), old))
    bound = ratio.clamp(1.0 - low, 1.0 + high)
    sign = advantage.sign()
    return mean_of(-torch.minimum(ratio * sign, bound * sign), advantage.abs(), count)


def ce(new: Rows, weight: Weights, count: Num[torch.Tensor, ""] | None = None) -> Scalar:
    """Returns the weighted negative log-likelihood, 1/n sum_t -w_t log pi_new,t."""
    return mean_of(-new, weight, count)


def ref_kl(
    new: Rows,
    reference: Rows,
    weight: Weights,
    *,
    estimator: str = "k3",
    count: Num[torch.Tensor, ""] | None = None,
) -> Scalar:
    """Returns an estimate of KL(policy || reference) from the sampled tokens alone.

        k3:  exp(d) - d - 1,   k2:  d^2 / 2,      d = log pi_ref - log pi_new

    k3 is what TRL's `beta` weighs. The gradient of k2 on the policy's own tokens is that of the KL
    in expectation, -d grad log pi_new; that of k3 is not. Schulman 2020, "Approximating KL".
    """
    d = reference - new
    value = torch.expm1(d) - d if estimator == "k3" else d.square() / 2
    return mean_of(value, weight, count)


def tailed(logp: Named) -> Tailed:
    """Returns log-probabilities with one more, of all the tokens that are not named:
    log(1 - sum_v p_v), with a sum of at most 1 - 1e-7."""
    named = torch.logsumexp(logp, -1, keepdim=True).clamp(max=-1e-7)
    return torch.cat([logp, torch.log(-torch.expm1(named))], -1)


def topk_kl(
    new: Named,
    teacher: Named,
    weight: Weights,
    *,
    alpha: float = 1.0,
    count: Num[torch.Tensor, ""] | None = None,
) -> Scalar:
    """Returns the divergence of policy S and teacher T over V named tokens and one tail class.

        alpha 0:  KL(T || S);   alpha 1:  KL(S || T)
        else:     (1 - alpha) KL(S || M) + alpha KL(T || M),   M = (1 - alpha) S + alpha T

    SDPO 2026, https://arxiv.org/abs/2601.20802.
    """
    s, t = tailed(new), tailed(teacher)
    if alpha in (0.0, 1.0):
        value = _kl(s, t) if alpha else _kl(t, s)
    else:
        parts = torch.stack([s + s.new_tensor(1 - alpha).log(), t + t.new_tensor(alpha).log()])
        middle = torch.logsumexp(parts, 0)
        value = (1 - alpha) * _kl(s, middle) + alpha * _kl(t, middle)
    return mean_of(value, weight, count)


def _kl(a: Tailed, b: Tailed) -> Rows:
    return (a.exp() * (a - b)).sum(-1)


def topk_clipped(
    new: Named,
    old: Named,
    teacher: Named,
    weight: Weights,
    *,
    cap: float,
    low: float = 0.2,
    high: float = 0.28,
    count: Num[torch.Tensor, ""] | None = None,
) -> Scalar:
    """Returns the clipped loss whose advantages are a teacher's, over V tokens that it names.

        A_v = clip(log pi_T,v - log pi_old,v, -cap, cap) softmax_v(log pi_old)
        sum_v  max( -A_v r_v, -A_v clip(r_v, 1 - low, 1 + high) ),   r_v = pi_new,v / pi_old,v

    OpenClaw-RL's top-K distillation, 2026, https://arxiv.org/abs/2603.10165 (later version).
    """
    advantage = (teacher - old).clamp(-cap, cap) * torch.softmax(old, -1)
    ratio = torch.exp(new - old)
    bound = ratio.clamp(1.0 - low, 1.0 + high)
    return mean_of(torch.maximum(-advantage * ratio, -advantage * bound).sum(-1), weight, count)


def margin(
    know: Means,
    augmented: Means,
    naive: Means,
    distilled: Means,
    same: Bool[torch.Tensor, " Q"],
    gains: Gains,
) -> Means:
    """Returns the margin of each question, whose loss is -log sigmoid(margin).

        bD k + bA min(ca, high) - bN max(cr, low) + bC cc - gamma
        bD = know, or know_same where both options are one: bA and bN are then 0

    RLAG 2025, https://arxiv.org/abs/2509.20162; as in its code with bA = bN and bC = 0. What is cut
    off has no gradient.

    Args:
        know: k, mean log-probability of the context's tokens, nats.
        augmented: ca, of the chosen option with the context.
        naive: cr, of the rejected option without it.
        distilled: cc, of the chosen option without it. `know` alone is read everywhere: the others
            may hold any number where their weight is 0.
        same: whether both options are one.
        gains: the weights.
    """
    pair = gains.augmented * augmented.clamp(max=gains.high) - gains.naive * naive.clamp(
        min=gains.low
    )
    known = torch.where(same, gains.know_same, gains.know) * know
    told = gains.distilled * distilled if gains.distilled else 0.0
    return known + torch.where(same, 0.0, pair) + told - gains.gamma


def preferred(
    margin: Means, weight: Num[torch.Tensor, " Q"], total: Num[torch.Tensor, ""] | None = None
) -> Scalar:
    """Returns sum_q w_q -log sigmoid(margin_q) / total, by default the sum of the weights; 0 where
    nothing has one."""
    total = weight.sum() if total is None else total
    lost = (weight * torch.nn.functional.softplus(-margin)).sum()
    return lost / total.clamp(min=torch.finfo(margin.dtype).tiny)

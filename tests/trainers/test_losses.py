"""One function a kind of loss: numbers worked out by hand, gradients against finite differences."""

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from assay.kernels.rlag import Gains  # noqa: E402
from assay.trainers.losses import (  # noqa: E402
    ce,
    importance,
    margin,
    mean_of,
    preferred,
    ref_kl,
    rl,
    tailed,
    topk_clipped,
    topk_kl,
)


def rows(*values: list[float]) -> "torch.Tensor":
    return torch.tensor(values, dtype=torch.float64)


def named(*values: float) -> "torch.Tensor":
    """Probabilities of V tokens at one place, as log-probabilities (1, 1, V)."""
    return torch.log(rows(list(values)))[None]


def test_each_term_is_divided_by_its_own_tokens() -> None:
    # (2 * 1 + 1 * 3) / 2: the third token is not the term's, whatever it holds
    assert mean_of(rows([1, 3, math.nan]), rows([2, 1, 0])).item() == 2.5
    assert mean_of(rows([1, 3, 9]), rows([2, 1, 0]), torch.tensor(5)).item() == 1.0
    assert mean_of(rows([1.0]), rows([0])).item() == 0.0
    # a token that is pushed away has a weight below 0, and is one of the term's
    assert mean_of(rows([1, 3, 9]), rows([-1, 2, 0])).item() == 2.5


def test_the_clip_by_hand() -> None:
    # ratios 2, .5, 2, .5 at A = 1, 1, -1, -1 with clip [.8, 1.28]:
    # min(2, 1.28) = 1.28; min(.5, .8) = .5; min(-2, -1.28) = -2; min(-.5, -.8) = -.8
    new = rows([2.0, 0.5, 2.0, 0.5, 3.0]).log()
    loss = rl(new, torch.zeros_like(new), rows([1, 1, -1, -1, 0]), low=0.2, high=0.28)
    assert loss.item() == pytest.approx(-(1.28 + 0.5 - 2.0 - 0.8) / 4)
    # one at a time, for 1.28 - .8 is 1.2 - .72 as well
    for ratio, advantage, expected in ((2.0, 1.0, -1.28), (0.5, -1.0, 0.8)):
        one = rl(rows([ratio]).log(), rows([0.0]), rows([advantage]), low=0.2, high=0.28)
        assert one.item() == pytest.approx(expected)
    # an old log-probability that nobody knows: ratio 1
    unknown = rl(rows([-1.0]), rows([math.nan]), rows([-2.0]), low=0.2, high=0.2)
    assert unknown.item() == 2.0
    # and taught all the same: -A r, r = 1
    leaf = rows([-1.0]).requires_grad_()
    rl(leaf, rows([math.nan]), rows([-2.0]), low=0.2, high=0.2).backward()
    assert leaf.grad is not None
    assert leaf.grad.item() == 2.0


def test_likelihood_by_hand() -> None:
    assert ce(rows([-1.0, -3.0, -9.0]), rows([1, 0.5, 0])).item() == pytest.approx(2.5 / 2)
    gaps = rows([0.5, 5.0, math.nan, -1.0])
    ratio = importance(torch.zeros_like(gaps), -gaps, cap=2.0)
    assert ratio.tolist()[0] == pytest.approx([math.exp(0.5), 2.0, 1.0, math.exp(-1.0)])
    leaf = rows([-1.0]).requires_grad_()  # it weighs a loss and is none
    assert not importance(leaf, rows([-1.5]), cap=2.0).requires_grad


def test_distance_from_a_reference_by_hand() -> None:
    # d = ln 2: k3 = 2 - ln 2 - 1, k2 = (ln 2)^2 / 2; at d = 0 nothing
    new, reference = rows([-1.0, -1.0]), rows([-1.0 + math.log(2), -1.0])
    k3 = ref_kl(new, reference, rows([1, 1]))
    assert k3.item() == pytest.approx((1 - math.log(2)) / 2)
    k2 = ref_kl(new, reference, rows([1, 1]), estimator="k2")
    assert k2.item() == pytest.approx(math.log(2) ** 2 / 4)
    # the gradient of k2 is -d, that of a reverse KL on one's own tokens
    leaf = new.clone().requires_grad_()
    ref_kl(leaf, reference, rows([1, 1]), estimator="k2").backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist()[0] == pytest.approx([-math.log(2) / 2, 0.0])


@pytest.mark.parametrize(
    ("alpha", "expected"), [(1.0, 0.342585), (0.0, 0.340536), (0.5, 0.082844), (0.2, 0.053491)]
)
def test_divergence_over_named_tokens_and_a_tail(alpha: float, expected: float) -> None:
    # S = .5 .3 | .2, T = .2 .7 | .1; KL(S || T) = .5 ln 2.5 + .3 ln 3/7 + .2 ln 2 = .342585
    loss = topk_kl(named(0.5, 0.3), named(0.2, 0.7), rows([1]), alpha=alpha)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_the_tail_of_everything_is_nearly_nothing() -> None:
    assert tailed(named(0.5, 0.5))[0, 0, -1].item() == pytest.approx(-16.118096, abs=1e-6)


def test_a_teachers_clipped_loss_by_hand() -> None:
    # deltas -1, 1, 0, ln .4 = -.916291 (cut at 1); weights .6 .2 .1 .05 over .95
    old, teacher = named(0.6, 0.2, 0.1, 0.05), named(0.1, 0.7, 0.1, 0.02)
    same = topk_clipped(old, old, teacher, rows([1]), cap=1.0)
    assert same.item() == pytest.approx(0.469278, abs=1e-6)
    # ratios .75 (floored at .8: .505263), 1.6 (cut at 1.28: -.269474), 1, 1
    drifted = topk_clipped(named(0.45, 0.32, 0.1, 0.05), old, teacher, rows([1]), cap=1.0)
    assert drifted.item() == pytest.approx(0.284015, abs=1e-6)


WEIGHT = rows([1.0, 0.5, 0.0], [2.0, 0.0, 1.0])
OLD = rows([-1.0, -2.0, -0.5], [-0.7, -1.1, -3.0])
V = torch.log_softmax(torch.arange(24, dtype=torch.float64).sin().view(2, 3, 4), -1)[..., :3]
KINDS: dict[str, Callable[..., "torch.Tensor"]] = {
    "rl": lambda x: rl(x, OLD, WEIGHT - 0.75, low=0.2, high=0.28),
    "ce": lambda x: ce(x, WEIGHT),
    "ref_kl k3": lambda x: ref_kl(x, OLD, WEIGHT),
    "ref_kl k2": lambda x: ref_kl(x, OLD, WEIGHT, estimator="k2"),
    "topk_kl forward": lambda x: topk_kl(x[..., None] - 1.5 + V, V, WEIGHT, alpha=0.0),
    "topk_kl reverse": lambda x: topk_kl(x[..., None] - 1.5 + V, V, WEIGHT),
    "topk_kl between": lambda x: topk_kl(x[..., None] - 1.5 + V, V, WEIGHT, alpha=0.3),
    "topk_kl clipped": lambda x: topk_clipped(x[..., None] + V, V, V.flip(-1), WEIGHT, cap=1.0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_differences(kind: str) -> None:
    torch.manual_seed(0)
    new = (-0.4 * torch.rand(2, 3, dtype=torch.float64) - 0.1).requires_grad_()
    assert torch.autograd.gradcheck(KINDS[kind], (new,), eps=1e-6, atol=1e-7)
    (gradient,) = torch.autograd.grad(KINDS[kind](new), new)
    assert gradient.abs().max() > 1e-3
    if kind != "rl":  # a token of weight 0 teaches nothing
        assert gradient[WEIGHT == 0].abs().max() == 0


def means(*values: float) -> "torch.Tensor":
    return torch.tensor(values, dtype=torch.float64)


VECTORS = [
    # .2 * -2 + .5 * min(-.5, -.2) - .5 * max(-1, -5) - .8 = -.4 - .25 + .5 - .8 = -.95
    # ln(1 + e^.95) = 1.276956
    (-2.0, -0.5, -1.0, False, -0.95, 1.276956),
    # both are cut: .2 * -2 + .5 * -.2 - .5 * -5 - .8 = -.4 - .1 + 2.5 - .8 = 1.2
    (-2.0, -0.05, -9.0, False, 1.2, 0.263282),
    # one option: .5 * -1.2 - .8 = -1.4
    (-1.2, -0.4, -0.4, True, -1.4, 1.620417),
]


@pytest.mark.parametrize(("know", "chosen", "rejected", "same", "x", "loss"), VECTORS)
def test_the_margin_of_a_context_by_hand(
    know: float, chosen: float, rejected: float, same: bool, x: float, loss: float
) -> None:
    given = means(know), means(chosen), means(rejected), means(0.0), torch.tensor([same])
    made = margin(*given, Gains())
    assert made.item() == pytest.approx(x, abs=1e-6)
    assert preferred(made, means(1.0)).item() == pytest.approx(loss, abs=1e-5)
    # the configuration file's gamma: 7.2 lower, where -log sigmoid is the margin less e^x
    far = margin(*given, Gains(gamma=8.0))
    assert far.item() == pytest.approx(x - 7.2, abs=1e-6)
    assert preferred(far, means(1.0)).item() == pytest.approx(7.2 - x, abs=3e-3)


def test_each_reward_of_a_margin_has_its_own_weight() -> None:
    # 1 * -2 + 3 * -.5 - 4 * -1 + 5 * -.25 - 6 = -2 - 1.5 + 4 - 1.25 - 6 = -6.75
    # one option: 2 * -2 + 5 * -.25 - 6 = -11.25
    gains = Gains(know=1.0, know_same=2.0, augmented=3.0, naive=4.0, distilled=5.0, gamma=6.0)
    given = (means(each, each) for each in (-2.0, -0.5, -1.0, -0.25))
    assert margin(*given, torch.tensor([False, True]), gains).tolist() == [-6.75, -11.25]


def test_what_a_margin_cuts_off_has_no_gradient() -> None:
    leaves = [means(a, b).requires_grad_() for a, b in ((-2, -2), (-0.05, -1), (-9, -1), (-3, -3))]
    made = margin(*leaves, torch.tensor([False, False]), Gains(distilled=0.25))
    preferred(made, means(1.0, 1.0)).backward()
    slope = -torch.sigmoid(-made.detach()) / 2  # of the mean loss by the margin
    for leaf, gain in zip(leaves, ([0.2, 0.2], [0, 0.5], [0, -0.5], [0.25, 0.25]), strict=True):
        torch.testing.assert_close(leaf.grad, slope * means(*gain))
    # one option, which is neither raised nor lowered
    pair = [means(-1.0).requires_grad_() for _ in range(4)]
    preferred(margin(*pair, torch.tensor([True]), Gains()), means(1.0)).backward()
    assert [each.grad is not None and each.grad.item() != 0 for each in pair[:3]] == [1, 0, 0]


def test_a_term_that_is_off_may_hold_anything() -> None:
    far = margin(means(-1.0), means(-1.0), means(-1.0), means(math.nan), torch.tensor([False]),
                 Gains())  # fmt: skip
    assert far.item() == pytest.approx(-1.0)


def test_questions_are_weighed() -> None:
    # (3 ln 2 + 1 ln(1 + e^-1)) / 4, ln(1 + e^-1) = .313262
    found = preferred(means(0.0, 1.0, 5.0), means(3.0, 1.0, 0.0))
    assert found.item() == pytest.approx((3 * math.log(2) + 0.313262) / 4, abs=1e-6)
    # of a part of a step, by what the whole of it weighs: 3 ln 2 / 8
    part = preferred(means(0.0), means(3.0), torch.tensor(8.0, dtype=torch.float64))
    assert part.item() == pytest.approx(3 * math.log(2) / 8)
    # weights below 1 are shares, and not cut to 1
    assert preferred(means(0.0), means(0.25)).item() == pytest.approx(math.log(2))
    leaf = means(0.0).requires_grad_()
    preferred(leaf, means(0.0)).backward()
    assert leaf.grad is not None
    assert leaf.grad.item() == 0.0

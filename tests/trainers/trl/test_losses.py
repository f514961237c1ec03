"""Loss terms on numbers that were worked out by hand."""

import math

import pytest

torch = pytest.importorskip("torch")

from assay.trainers.losses import ce, importance  # noqa: E402
from assay.trainers.trl.losses import (  # noqa: E402
    off_policy_keep,
    preserved,
    ratio_facts,
    sequence_old,
)


def rows(*values: list[float]) -> "torch.Tensor":
    return torch.tensor(values)


def test_off_policy_negatives_are_dropped_whole() -> None:
    mask = rows([1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 1, 1])
    advantage = rows([-1.0, -1.0, 0], [-1, -1, -1], [1, 1, 1], [-3, 1, 1])
    old = torch.zeros(4, 3)
    # mean fall: 0.6 (the padding's -9 is not counted), 0.4, 0.9, 0.9 of which one token is NaN
    new = rows([-0.7, -0.5, -9.0], [-0.4, -0.4, -0.4], [-0.9, -0.9, -0.9], [-0.9, -0.9, -0.9])
    keep = off_policy_keep(advantage, new, old, mask, threshold=0.5)
    assert keep.tolist() == [[0.0], [1.0], [1.0], [0.0]]
    old[3, 0] = float("nan")  # counts as no change: mean 0.6
    assert off_policy_keep(advantage, new, old, mask, threshold=0.7)[3].item() == 1.0


def test_a_sequences_ratio_meets_each_tokens_advantage_and_gradient() -> None:
    # the row rose by (1 + 0)/2 = .5 nats a token; the last token is padding, whatever it says
    new = rows([0.0, -1.0, 7.0]).requires_grad_()
    old = sequence_old(new, rows([-1.0, -1.0, 0.0]), rows([1, 1, 0]))
    ratio = torch.exp(new - old)
    assert ratio.tolist()[0][:2] == pytest.approx([math.exp(0.5)] * 2)
    (ratio * rows([1.0, -1.0, 0.0])).sum().backward()
    assert new.grad is not None
    assert new.grad.tolist()[0] == pytest.approx([math.exp(0.5), -math.exp(0.5), 0.0])


def test_preserved_by_hand() -> None:
    # span 0, A = 2: d = 1, -0.5, D = 0.5 > 0, so max(0, d) sums to 1 over its 2 tokens.
    # span 1, A = -2: not held. Last token: a tool's.
    span = torch.tensor([[0, 0, 1, 1, -1]])
    advantage = rows([1.0, 1.0, -1.0, -1.0, 0.0])
    old = torch.full((1, 5), -1.0)
    new = rows([-2.0, -0.5, -3.0, -3.0, 0.0]).requires_grad_()
    mask = rows([1, 1, 1, 1, 0])
    loss = preserved(advantage, new, old, mask, span)
    assert loss.item() == pytest.approx(0.5)
    loss.backward()
    assert new.grad is not None
    assert new.grad.tolist() == [[-0.5, 0.0, 0.0, 0.0, 0.0]]


def test_preserved_leaves_an_action_that_gained_in_all() -> None:
    # d = 1, -1.5: D = -0.5, so the token that lost is left alone too
    new = rows([-2.0, 0.5])
    loss = preserved(
        rows([1.0, 1.0]), new, rows([-1.0, -1.0]), rows([1, 1]), torch.tensor([[0, 0]])
    )
    assert loss.item() == 0.0


def test_preserved_is_nothing_on_policy_or_without_spans() -> None:
    new = rows([-2.0, -0.5]).requires_grad_()
    span, ones = torch.tensor([[0, 0]]), rows([1.0, 1.0])
    loss = preserved(ones, new, new.detach(), ones, span)
    loss.backward()
    assert new.grad is not None
    assert (loss.item(), new.grad.abs().sum().item()) == (0.0, 0.0)
    assert preserved(ones, new, new.detach(), ones, span - 1).item() == 0.0


def test_replayed_truncates_the_ratio_and_not_the_gradient() -> None:
    # ratios 1 and e, cut at 2: -(1 * -1 + 2 * -2) / 2 = 2.5; the third token is no sampled one
    new = rows([-1.0, -2.0, -5.0]).requires_grad_()
    loss = ce(new, rows([1, 1, 0]) * importance(new, rows([-1.0, -3.0, 0.0]), cap=2.0))
    assert loss.item() == pytest.approx(2.5)
    loss.backward()
    assert new.grad is not None
    assert new.grad.tolist() == [[-0.5, -1.0, 0.0]]


def test_ratio_facts_by_sign() -> None:
    old = torch.zeros(1, 6)
    new = torch.log(rows([1.5, 0.5, 1.1, 0.7, 9.0, 4.0]))
    advantage = rows([1.0, 1.0, -1.0, -1.0, -1.0, 0.0])
    mask = rows([1, 1, 1, 1, 0, 1])  # the fifth, ratio 9, is not counted
    facts = ratio_facts(advantage, new, old, mask, low=0.2, high=0.2)
    # A > 0: 1.5 above 1.2, 0.5 is free; A < 0: 0.7 below 0.8, 1.1 is free
    assert (facts.positive.item(), facts.clipped_positive.item()) == (2, 1)
    assert (facts.negative.item(), facts.clipped_negative.item()) == (2, 1)
    assert facts.largest_positive.item() == pytest.approx(1.5)
    assert facts.largest_negative.item() == pytest.approx(1.1)
    assert facts.largest.item() == pytest.approx(4.0)
    same = ratio_facts(advantage, new, None, mask, low=0.2, high=0.2)
    assert (same.largest.item(), same.largest_negative.item()) == (1.0, 1.0)


def test_a_broken_ratio_is_seen() -> None:
    facts = ratio_facts(rows([1.0]), rows([math.nan]), rows([0.0]), rows([1]), low=0.2, high=0.2)
    assert math.isnan(facts.largest.item())

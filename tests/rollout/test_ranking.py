"""The likeliest tokens of a policy, and what its teacher says of them, against plain passes."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from assay.rollout.ranking import ranked  # noqa: E402
from tests.rollout.test_teaching import BLOCK, BOTH, RECORD, blocks  # noqa: E402
from tests.rollout.test_teaching import policy as policy  # noqa: E402


def table(policy: Any, before: list[int], after: list[int]) -> Any:
    """log p of all tokens at each of those after."""
    with torch.no_grad():
        logp = policy(torch.tensor([before + after])).logits[0].log_softmax(-1)
    return logp[len(before) - 1 : len(before) + len(after) - 1]


def test_top_tokens_are_the_policys_and_the_teacher_is_asked_about_them(policy: Any) -> None:
    found = ranked([RECORD, RECORD], policy, blocks("prompt"), nullcontext, k=3)
    assert [(each.record, each.step) for each in found] == [(0, 1), (0, 3), (1, 1), (1, 3)]
    texts = [
        ([3, 4], [3, 4, *BLOCK], [5, 6, 7]),
        ([3, 4, 5, 6, 7, 8], [3, 4, *BOTH, 5, 6, 7, 8], [9, 1]),
    ]
    for each, (bare, told, after) in zip(found, texts * 2, strict=True):
        own, taught = table(policy, bare, after), table(policy, told, after)
        values, tokens = own.topk(3, dim=1)
        np.testing.assert_array_equal(each.token_NV, tokens.numpy())
        np.testing.assert_allclose(each.own_NV, values.numpy(), atol=1e-6)
        np.testing.assert_allclose(each.told_NV, taught.gather(1, tokens).numpy(), atol=1e-6)


def test_the_teacher_is_who_stands_there_while_it_is_asked(policy: Any) -> None:
    weight = policy.lm_head.weight

    @contextmanager
    def sharper() -> Iterator[None]:
        weight.data *= 2.0
        yield
        weight.data /= 2.0

    plain = ranked([RECORD], policy, blocks("prompt"), nullcontext, k=16)
    other = ranked([RECORD], policy, blocks("prompt"), sharper, k=16)
    for mine, theirs in zip(plain, other, strict=True):
        np.testing.assert_allclose(mine.own_NV, theirs.own_NV)
        again = 2.0 * mine.told_NV
        again -= np.log(np.exp(again).sum(1, keepdims=True))
        np.testing.assert_allclose(theirs.told_NV, again, atol=1e-6)


def test_the_temperature_and_a_small_vocabulary(policy: Any) -> None:
    (first, _) = ranked([RECORD], policy, blocks("prompt"), nullcontext, k=99, temperature=2.0)
    assert first.token_NV.shape == (3, 16), "all that there are"
    with torch.no_grad():
        logits = policy(torch.tensor([[3, 4, 5, 6, 7]])).logits[0, 1:4] / 2.0
    expected = logits.log_softmax(-1).gather(1, torch.tensor(first.token_NV))
    np.testing.assert_allclose(first.own_NV, expected.numpy(), atol=1e-6)
    with torch.no_grad():
        logits = policy(torch.tensor([[3, 4, *BLOCK, 5, 6, 7]])).logits[0, 4:7] / 2.0
    expected = logits.log_softmax(-1).gather(1, torch.tensor(first.token_NV))
    np.testing.assert_allclose(first.told_NV, expected.numpy(), atol=1e-6)

"""Texts of a slice whose log-probabilities are rewards, and their means, against plain forwards."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("trl", reason="needs the extra assay[train]")

import torch

from assay.kernels.rlag import Gains, Pairs
from assay.policy.loading import load
from assay.policy.scoring import plain
from assay.rollout.protocols.line import Line
from assay.rollout.questions import Scored, questions
from assay.runs.internalise import Slice, means
from tests.runs import tiny


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return load(str(tiny.policy(tmp_path_factory.mktemp("policy"))))


def sliced(tokenizer: Any, *, scored: bool = True) -> Slice:
    asked = questions(tiny.Asked, [0, 1], Line(tokenizer))
    found = Scored(np.zeros((2, 4)), np.zeros((2, 4)), tokens=0, forwards=0)
    pairs = Pairs(np.array([2, 1]), np.array([3, 1]))
    return Slice(asked, pairs, np.ones(2), found if scored else None)


def read(tokenizer: Any, rows: dict[str, tuple[Any, int]]) -> dict[str, tuple[str, int]]:
    return {name: (tokenizer.decode(list(ids)), given) for name, (ids, given) in rows.items()}


def test_the_texts_of_a_pair_and_what_of_them_is_given(opened: tuple[Any, Any]) -> None:
    _, tokenizer = opened
    made = read(tokenizer, sliced(tokenizer).rows(0, Gains(distilled=0.5)))
    assert made == {
        "know": ("a\n", 1),
        "augmented": ("?a\na\n=c\n", 6),
        "naive": ("?a\n=d\n", 4),
        "distilled": ("?a\n=c\n", 3),  # the whole turn
    }
    # one option: there is no pair
    made = read(tokenizer, sliced(tokenizer).rows(1, Gains(distilled=0.5)))
    assert made == {"know": ("b\n", 1), "distilled": ("?b\n=b\n", 3)}
    # what weighs nothing is not passed forward
    part = sliced(tokenizer)
    assert set(part.rows(0, Gains())) == {"know", "augmented", "naive"}
    assert set(part.rows(0, Gains(augmented=0.0))) == {"know", "naive"}
    assert set(part.rows(0, Gains(naive=0.0))) == {"know", "augmented"}
    assert set(sliced(tokenizer, scored=False).rows(0, Gains(distilled=0.5))) == {"know"}


def test_means_are_those_of_plain_forwards_with_their_gradient(opened: tuple[Any, Any]) -> None:
    model, _ = opened
    rows = [((2, 7, 8), 1), ((7, 3, 8, 6, 3, 8), 4), ((4, 8), 1)]
    found = means(model, rows)
    for (ids, given), mean in zip(rows, found.tolist(), strict=True):
        assert mean == pytest.approx(np.mean(plain(model, ids)[given - 1 :]), abs=1e-5)
    weight = model.get_output_embeddings().weight
    model.zero_grad()
    found[1].backward()
    step = 1e-2
    with torch.no_grad():
        slope = weight.grad[3, 0].item()
        weight[3, 0] += step
        high = means(model, rows)[1].item()
        weight[3, 0] -= 2 * step
        low = means(model, rows)[1].item()
        weight[3, 0] += step
    assert slope == pytest.approx((high - low) / (2 * step), rel=0.05, abs=1e-3)

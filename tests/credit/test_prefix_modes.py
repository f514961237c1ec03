"""A step that leaves share, repeated or trained once, by the gradient that a loss makes of it.

The policy is a table of logits, one row for each place of a node's tokens, and the gradient is
added up here token by token: A (e_token - pi). The ratio is 1.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.credit import method
from assay.records import ModelStep, Trajectory
from tests.credit.worlds import batch_of, one

VOCABULARY = 4
Loss = Literal["sum", "row mean"]
Gradient = dict[tuple[str, int], np.ndarray]


def leaf(outcome: float, *path: tuple[str, int]) -> Trajectory:
    """A leaf along nodes, each of so many tokens, which its name decides."""
    steps = [
        ModelStep(
            text=name,
            token_ids=tuple((len(name) + n) % VOCABULARY for n in range(size)),
            node=name,
            parent=path[i - 1][0] if i else None,
        )
        for i, (name, size) in enumerate(path)
    ]
    return one(outcome, tree="t", steps=steps)


def gradient(leaves: Sequence[Trajectory], loss: Loss, **options: str) -> Gradient:
    """Returns the gradient of each row of the table; "row mean" divides the tokens of a leaf by
    their number, as grpo and sapo do."""
    advantage_N = method("tree_grpo", **options)(batch_of(leaves)).advantage_N
    found: Gradient = defaultdict(lambda: np.zeros(VOCABULARY))
    at = 0
    for each in leaves:
        models = [step for step in each.steps if isinstance(step, ModelStep)]
        size = sum(len(step.token_ids or ()) for step in models)
        for step in models:
            for n, token in enumerate(step.token_ids or ()):
                logits = np.cos(np.arange(1, VOCABULARY + 1) * (1 + n + len(step.text)))
                pull = np.eye(VOCABULARY)[token] - np.exp(logits) / np.exp(logits).sum()
                share = 1 / size if loss == "row mean" else 1.0
                found[step.node or "", n] += advantage_N[at] * share * pull
                at += 1
    return dict(found)


def apart(one: Gradient, other: Gradient) -> float:
    assert one.keys() == other.keys()
    return max(float(np.abs(one[key] - other[key]).max()) for key in one)


paths = st.lists(st.integers(0, 2), min_size=1, max_size=4)
shapes = st.lists(st.tuples(paths, st.integers(0, 2)), min_size=1, max_size=7)


@settings(max_examples=30, deadline=None)
@given(shape=shapes, sizes=st.lists(st.integers(1, 3), min_size=4, max_size=4))
@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean"])
def test_repeated_or_once_with_the_sum_is_one_gradient_of_a_sum_over_tokens(
    aggregation: str, shape: list[tuple[list[int], int]], sizes: list[int]
) -> None:
    leaves = [
        leaf(outcome / 2, *(("".join(map(str, path[: i + 1])), sizes[i]) for i in range(len(path))))
        for path, outcome in shape
    ]
    repeat, once = (
        gradient(leaves, "sum", prefix_mode=mode, aggregation=aggregation)
        for mode in ("repeat", "dedup_sum")
    )
    assert apart(repeat, once) <= 1e-9


# T5: leaves 1 0 0 of 10, 20 and 20 tokens, one of which all share; z 1.154699 -.577349 -.577349.
# A sum over tokens gives the shared one 0 in all modes; a mean over each row 1.154699/10 - 2 *
# .577349/20 = .057735 repeated, 0 once. Its first copy's row has 10 tokens.
T5 = [
    leaf(outcome, ("r", 1), (name, size))
    for outcome, name, size in ((1.0, "aa", 9), (0.0, "bbb", 19), (0.0, "cccc", 19))
]


@pytest.mark.parametrize(
    ("mode", "loss", "aggregation", "pull"),
    [
        *((mode, "sum", "token_mean", 0.0) for mode in ("repeat", "dedup_sum", "dedup_mean")),
        ("repeat", "row mean", "token_mean", 0.057735),
        ("dedup_sum", "row mean", "token_mean", 0.0),
        ("dedup_mean", "row mean", "token_mean", 0.0),
        ("repeat", "sum", "sequence_mean", 0.057735),
        ("dedup_sum", "sum", "sequence_mean", 0.057735),
        ("dedup_mean", "sum", "sequence_mean", 0.019245),
    ],
)
def test_t5_what_a_beginning_of_all_leaves_is_given(
    mode: str, loss: Loss, aggregation: str, pull: float
) -> None:
    options = {"prefix_mode": mode, "compare": "intra", "aggregation": aggregation}
    given = gradient(T5, loss, **options)["r", 0]
    unit = gradient([leaf(1.0, ("r", 1)), leaf(0.0, ("x", 1))], "sum", compare="intra")["r", 0]
    # two leaves alone: z is .707106, so that `unit` is .707106 of what an advantage of 1 gives
    np.testing.assert_allclose(given, pull * unit / 0.707106, atol=1e-6)


def test_a_mean_over_rows_tells_a_shared_step_apart_and_not_what_one_leaf_has() -> None:
    repeat, once = (
        gradient(T5, "row mean", prefix_mode=mode, compare="intra")
        for mode in ("repeat", "dedup_sum")
    )
    for key, value in repeat.items():
        assert np.allclose(value, once[key], atol=1e-12) == (key[0] != "r")

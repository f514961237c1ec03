"""Rows of which a trainer knows reward, mask and group."""

import numpy as np
import pytest

from assay.batch import CATEGORIES
from assay.recipes import Recipe
from assay.signal import bare, signal

MASK = np.array([[1, 1, 0, 1, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 1, 0, 0]], bool)


def test_by_hand() -> None:
    # dr_grpo: outcome less the group's mean. a: 1 and 0, mean 1/2; b: 0.25 and 0.5, mean 0.375
    batch = bare(np.array([1.0, 0.25, 0.0, 0.5]), ["a", "b", "a", "b"], MASK)
    advantage_KT, weight_KT = signal(batch, Recipe.of("dr_grpo")).rows(width=5)
    expected = np.array([0.5, -0.125, -0.5, 0.125])[:, None] * MASK
    np.testing.assert_array_equal(advantage_KT, expected)
    np.testing.assert_array_equal(weight_KT, MASK)


def test_nobody_scored_it() -> None:
    batch = bare(np.array([1.0, np.nan, 0.0, np.nan]), ["a"] * 4, MASK)
    advantage_KT, weight_KT = signal(batch, Recipe.of("dr_grpo")).rows(width=5)
    np.testing.assert_array_equal(advantage_KT[[1, 3]], 0.0)
    np.testing.assert_array_equal(weight_KT[[1, 3]], 0.0)
    assert advantage_KT[0, 0] == 0.5


@pytest.mark.parametrize(("bar", "passes"), [(1.0, 0.0), (0.2, 0.5)])
def test_the_bar_is_the_recipe_s(bar: float, passes: float) -> None:
    batch = bare(np.array([0.25, 0.0]), ["a", "a"], MASK[:2], pass_at=bar)
    made = signal(batch, Recipe.of({"method": "dr_grpo", "pass_at": bar}))
    assert made.facts()["pass_rate"] == passes
    solved = [batch.category_K[0] == CATEGORIES.index("true_success")]
    assert solved == [passes > 0]

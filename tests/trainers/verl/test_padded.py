"""Padded rows in and out, as verl gives and takes them, whatever mask and groups are made of.

verl itself is not needed.
"""

import numpy as np
import pytest

from assay.errors import UsageError
from assay.recipes import Recipe

torch = pytest.importorskip("torch")

# group, outcome, and which of six tokens the policy sampled; a row may have none
ROWS = (
    ("a", 1.0, (1, 1, 0, 1, 0, 0)),
    ("b", 0.25, (1, 0, 0, 0, 0, 0)),
    ("a", 0.0, (0, 0, 1, 1, 1, 1)),
    ("b", 0.75, (1, 1, 1, 0, 0, 0)),
    ("a", 0.0, (0, 0, 0, 0, 0, 0)),
)
GROUPS = [group for group, *_ in ROWS]
# less the group's mean; a's is that of two, for the row without a token has no vote. b: 0.5
EXPECTED = np.array([0.5, -0.25, -0.5, 0.25, 0.0])[:, None] * np.array([row[2] for row in ROWS])


def given(mask_dtype="int64", reward_dtype="float32"):
    mask = torch.tensor([row[2] for row in ROWS]).to(getattr(torch, mask_dtype))
    rewards = torch.zeros(len(ROWS), 6, dtype=getattr(torch, reward_dtype))
    for k, (_, outcome, _) in enumerate(ROWS):
        rewards[k, k] = outcome  # in whatever token they are paid
    return rewards, mask


def found(rewards, mask, index, recipe=None):
    from assay.trainers.verl.estimators import advantage_of

    before = rewards.clone(), mask.clone()
    made = advantage_of(Recipe.of(recipe or "dr_grpo"), rewards, mask, index)
    assert torch.equal(rewards, before[0])  # verl goes on to read both
    assert torch.equal(mask, before[1])
    assert made.dtype == rewards.dtype
    return made


@pytest.mark.parametrize("rewards", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("mask", ["int64", "int32", "bool", "float32", "bfloat16"])
def test_by_hand(mask, rewards):
    made = found(*given(mask, rewards), np.array(GROUPS, object))
    np.testing.assert_array_equal(made.float().numpy(), EXPECTED)


@pytest.mark.parametrize(
    "index",
    [
        GROUPS,
        np.array(GROUPS),
        np.array([0, 7, 0, 7, 0]),
        torch.tensor([0, 7, 0, 7, 0]),
        np.array([0, "b", 0, "b", 0], object),
    ],
)
def test_groups_are_whatever_is_equal(index):
    np.testing.assert_array_equal(found(*given(), index).numpy(), EXPECTED)


def test_what_is_read_of_rows(monkeypatch):
    # bfloat16 counts to 256 and no further: 257 tokens are 257 of them still
    from assay.signal import bare
    from assay.trainers.verl import estimators

    seen = []
    monkeypatch.setattr(estimators, "bare", lambda *a, **k: seen.append((a, k)) or bare(*a, **k))
    mask = torch.ones(2, 300, dtype=torch.int64)
    mask[0, 257:] = 0
    rewards = torch.zeros(2, 300, dtype=torch.bfloat16)
    rewards[1, 7] = 0.5
    for mask_dtype in (torch.int64, torch.int32, torch.bool, torch.float32, torch.bfloat16):
        recipe = {"method": "opo", "pass_at": 0.25}
        found(rewards, mask.to(mask_dtype), ["a", "a"], recipe)
        (((outcome_K, groups, length_K), options),) = seen
        assert (outcome_K.tolist(), groups) == ([0.0, 0.5], ["a", "a"])
        assert (length_K.tolist(), options) == ([257, 300], {"pass_at": 0.25})
        seen.clear()


@pytest.mark.parametrize("mask_dtype", ["int64", "bool", "float32"])
def test_who_does_not_ask_for_lengths_is_told_whether_there_is_any_token(monkeypatch, mask_dtype):
    from assay.signal import bare
    from assay.trainers.verl import estimators

    seen = []
    monkeypatch.setattr(estimators, "bare", lambda *a, **k: seen.append(a[2]) or bare(*a, **k))
    rewards, mask = given(mask_dtype)
    found(rewards, mask, GROUPS)  # the third begins with a token that was not sampled
    found(rewards, mask, GROUPS, {"method": "dr_grpo", "gates": ["degenerate"]})
    found(rewards, mask, GROUPS, {"methods": [{"name": "dr_grpo"}, {"name": "opo"}]})
    assert [each.tolist() for each in seen] == [[1, 1, 1, 1, 0], *[[3, 1, 4, 3, 0]] * 2]


@pytest.mark.parametrize("name", ["dr_grpo", "nsr"])
def test_a_batch_without_tokens_gets_no_advantage(name):
    made = found(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.int64), ["a", "a"], name)
    assert made.shape == (2, 0)


def test_without_groups_it_is_refused_in_one_line():
    with pytest.raises(UsageError, match="each row's group is needed"):
        found(*given(), None)

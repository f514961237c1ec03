"""Our numbers against the installed verl's own functions, token by token, in float64.

Needs an environment of its own: `make test-verl`.
"""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from assay.credit import method
from assay.credit.presets import PRESETS
from assay.records import ModelStep
from tests.credit.worlds import answer, batch_of, one

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("verl") is None, reason="needs verl: make test-verl"
    ),
]

PAGE = Path(__file__).parents[2] / "docs" / "verl.md"

# outcome, and the tokens it sampled before and after one tool result of two tokens
WORLD = {
    "hard": [(1.0, 3, 2), (0.0, 1, 1), (0.0, 4, 3), (0.0, 2, 5)],
    "graded": [(0.3, 2, 2), (0.9, 5, 1), (0.125, 1, 1)],
    "dead": [(0.0, 2, 2), (0.0, 3, 1)],
    "easy": [(1.0, 1, 1), (1.0, 2, 1), (0.0, 6, 1), (1.0, 1, 2), (1.0, 3, 3)],
}
LONE = {"lone": [(1.0, 2, 1)], "lone fail": [(0.0, 1, 1)]}


def batch(world, rewards=None):
    def steps(before, after):
        first = ModelStep(text="x", token_ids=tuple(range(before)))
        return [first, answer(), answer(), ModelStep(text="y", token_ids=tuple(range(after)))]

    def named(outcome, before, _):
        return {} if rewards is None else rewards(outcome, before)

    return batch_of(
        one(outcome, group=group, steps=steps(*lengths), rewards=named(outcome, *lengths))
        for group, members in world.items()
        for outcome, *lengths in members
    )


def padded(world, dtype="float64"):
    """What verl takes: rewards on each last token, a mask of what was sampled, group labels."""
    import torch

    members = [(group, *member) for group, found in world.items() for member in found]
    width = max(before + 2 + after for _, _, before, after in members)
    rewards = torch.zeros(len(members), width, dtype=getattr(torch, dtype))
    mask = torch.zeros_like(rewards)
    for row, (_, outcome, before, after) in enumerate(members):
        mask[row, :before] = 1
        mask[row, before + 2 : before + 2 + after] = 1
        rewards[row, before + 1 + after] = outcome
    return rewards, mask, np.array([group for group, *_ in members], dtype=object)


def theirs(function, world, **options):
    """verl's advantages, laid end to end as ours are."""
    from verl.trainer.ppo import core_algos

    rewards, mask, index = padded(world)
    found, _ = getattr(core_algos, function)(
        token_level_rewards=rewards, response_mask=mask, index=index, **options
    )
    lengths = [before + 2 + after for members in world.values() for _, before, after in members]
    return np.concatenate([row[:n].numpy() for row, n in zip(found, lengths, strict=True)])


def ours(name, world, **options):
    made = batch(world)
    return method(name, **{"like": "verl", **options})(made).advantage_N


@pytest.mark.parametrize(
    ("name", "function", "options"),
    [
        ("grpo", "compute_grpo_outcome_advantage", {}),
        ("dr_grpo", "compute_grpo_outcome_advantage", {"norm_adv_by_std_in_grpo": False}),
        ("rloo", "compute_rloo_outcome_advantage", {}),
    ],
)
def test_token_by_token(name, function, options):
    actual, expected = ours(name, WORLD), theirs(function, WORLD, **options)
    np.testing.assert_array_equal(actual == 0.0, expected == 0.0)
    # sums are added in another order: a few units in the last place
    np.testing.assert_allclose(actual, expected, rtol=1e-15, atol=0)
    # the deviation of 1 that verl gives a lone trajectory is float32, and so is its sum with eps
    lone = theirs(function, LONE, **options)
    np.testing.assert_allclose(ours(name, LONE), lone, rtol=1e-7, atol=0)


@pytest.mark.parametrize(
    ("name", "function", "options"),
    [
        ("grpo", "compute_grpo_outcome_advantage", {}),
        ("dr_grpo", "compute_grpo_outcome_advantage", {"norm_adv_by_std_in_grpo": False}),
    ],
)
def test_bit_for_bit_where_sums_are_exact(name, function, options):
    # outcomes of 0 and 1 in groups of four: every sum and mean is exact in float64
    world = {"a": WORLD["hard"], "b": [(float(i < 3), 1, 1) for i in range(4)]}
    actual, expected = ours(name, world), theirs(function, world, **options)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    "function", ["compute_rloo_outcome_advantage", "compute_rloo_vectorized_outcome_advantage"]
)
def test_rloo_to_the_last_place(function):
    # three orders of the same operations: r - (sum - r)/(n - 1), (n r - sum)/(n - 1) and the loop's
    np.testing.assert_allclose(ours("rloo", WORLD), theirs(function, WORLD), rtol=5e-16, atol=0)


def test_the_vectorised_grpo_is_single_precision_inside():
    # its means and deviations are float32 whatever the rewards are
    actual, expected = (
        ours("grpo", WORLD),
        theirs("compute_grpo_vectorized_outcome_advantage", WORLD),
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)
    lone = theirs("compute_grpo_vectorized_outcome_advantage", LONE)
    np.testing.assert_allclose(lone, ours("grpo", LONE), rtol=1e-6)


def test_the_vectorised_rloo_gives_a_lone_trajectory_nothing():
    # unlike the loop of the same name in the same file
    function = "compute_rloo_vectorized_outcome_advantage"
    np.testing.assert_array_equal(theirs(function, LONE), 0.0)
    np.testing.assert_array_equal(ours("rloo", LONE, singleton="zero"), 0.0)


def test_opo_with_lone_trajectories():
    # its baseline weighs outcomes by the number of sampled tokens; a lone trajectory has 0
    both = {**WORLD, **LONE}
    expected = theirs("compute_opo_outcome_advantage", both)
    np.testing.assert_allclose(ours("opo", both), expected, rtol=1e-14, atol=1e-15)


BOTH = {**WORLD, **LONE}


def test_gpg_with_lone_trajectories():
    # its alpha, 16 rows over 9 that are not 0, is float32 there; the rest is float64
    expected = theirs("compute_gpg_outcome_advantage", BOTH)
    alpha = float(np.float32(16 / 9))
    np.testing.assert_allclose(
        ours("gpg", BOTH) * (alpha / (16 / 9)), expected, rtol=1e-15, atol=1e-16
    )


def test_reinforce_plus_plus_to_the_last_digits():
    function = "compute_reinforce_plus_plus_outcome_advantage"
    expected = theirs(function, BOTH, config=SimpleNamespace(gamma=1.0))
    # sums over 70 tokens in another order, and their counts plus 1e-8
    np.testing.assert_allclose(ours("reinforce_plus_plus", BOTH), expected, rtol=1e-9, atol=1e-9)


def test_reinforce_plus_plus_baseline_to_the_last_digits():
    expected = theirs("compute_reinforce_plus_plus_baseline_outcome_advantage", BOTH)
    actual = ours("reinforce_plus_plus_baseline", BOTH)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


def test_gdpo_of_one_reward():
    # without names there is one reward, the outcome, in the precision it is given in
    expected = theirs("compute_gdpo_outcome_advantage", BOTH)
    made = batch(BOTH, rewards=lambda outcome, _: {"all": outcome})
    actual = method("gdpo", like="verl")(made).advantage_N
    # the deviation of 1 of a lone one, and its sum with eps, are float32 there: 1e-8 of all
    np.testing.assert_allclose(actual, expected, rtol=3e-8, atol=3e-8)


def test_gdpo_of_several_rewards():
    # rewards that it reads by name are float32 there, and so is all that follows
    import torch

    rewards, _, _ = padded(BOTH)
    weights = {"right": 1.0, "long": 0.5}
    members = [(outcome, before) for found in BOTH.values() for outcome, before, _ in found]
    width = rewards.shape[1]
    given = torch.zeros(len(members), 1 + width, dtype=torch.int64)
    given[:, 0] = 1
    given[:, 1:][torch.arange(len(members)), (rewards != 0).int().argmax(1)] = 1
    expected = theirs(
        "compute_gdpo_outcome_advantage",
        BOTH,
        config={"gdpo_reward_keys": [*weights], "gdpo_reward_weights": [*weights.values()]},
        non_tensor_batch={
            "right": np.array([outcome for outcome, _ in members]),
            "long": np.array([before / 4 for _, before in members]),
        },
        batch={"prompts": torch.zeros(len(members), 1), "attention_mask": given},
    )
    made = batch(BOTH, rewards=lambda outcome, before: {"right": outcome, "long": before / 4})
    actual = method("gdpo", like="verl", weights=weights)(made).advantage_N
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("scaled", [True, False])
def test_grpo_passk_to_the_last_digits(scaled):
    config = {"norm_adv_by_std_in_grpo": scaled}
    expected = theirs("compute_grpo_passk_outcome_advantage", WORLD, config=config)
    actual = ours("grpo_passk", WORLD, **({} if scaled else {"scale": "none"}))
    np.testing.assert_allclose(actual, expected, rtol=1e-15, atol=0)
    with pytest.raises(ValueError, match="at least 2 samples"):
        theirs("compute_grpo_passk_outcome_advantage", LONE, config=config)
    np.testing.assert_array_equal(ours("grpo_passk", LONE), 0.0)


def test_lone_trajectories_are_raw_there_and_zero_here_unless_asked_for():
    for name, function in (
        ("grpo", "compute_grpo_outcome_advantage"),
        ("rloo", "compute_rloo_outcome_advantage"),
    ):
        assert np.abs(theirs(function, LONE)).max() > 0.999
        np.testing.assert_array_equal(ours(name, LONE, like=None), 0.0)


def test_twelve_equal_rewards_become_a_signal_there():
    # 0.7 is no float32; the mean of twelve of them misses it by round-off, their deviation is more
    # round-off, and eps is of the same size
    import torch
    from verl.trainer.ppo import core_algos

    world = {"same": [(0.7, 1, 1)] * 12}
    rewards, mask, index = padded(world, dtype="float32")
    found, _ = core_algos.compute_grpo_outcome_advantage(rewards, mask, index)
    assert found.dtype == torch.float32
    assert float(found.abs().max()) == pytest.approx(0.106, abs=0.001)
    np.testing.assert_array_equal(ours("grpo", world), 0.0)


def test_a_masked_row_poisons_the_baseline_there():
    # the third attempt was cut off by infrastructure: its tokens are masked, its reward of 0 is not
    from verl.trainer.ppo import core_algos

    world = {"g": [(1.0, 1, 1), (0.0, 1, 1), (0.0, 1, 1)]}
    rewards, mask, index = padded(world)
    mask[2] = 0
    found, _ = core_algos.compute_grpo_outcome_advantage(rewards, mask, index)
    # mean 1/3, sample deviation sqrt(1/3): 2/3 and -1/3 of it, as if three attempts counted
    np.testing.assert_allclose(found[:2, 0], [1.154699, -0.577349], atol=1e-5)
    dropped = {"g": world["g"][:2]}
    np.testing.assert_allclose(ours("grpo", dropped)[[0, 4]], [0.707106, -0.707106], atol=1e-5)
    unscored = {"g": [*world["g"][:2], (None, 1, 1)]}
    np.testing.assert_allclose(ours("grpo", unscored)[[0, 4]], [0.707106, -0.707106], atol=1e-5)


def test_the_page_says_of_each_estimator_which_of_ours_it_is():
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY as REGISTRY

    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    said = {name: ours for names, ours in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(said) == {name for name, by in REGISTRY.items() if by.__module__.startswith("verl.")}
    named = {each for ours in said.values() for each in re.findall(r"\[(\w+)\]", ours)}
    assert named == {name for name, engines in PRESETS.items() if "verl" in engines}
    assert all(name in ours or name.endswith("_vectorized") for name, ours in said.items()
               if ours != "none")  # fmt: skip


def test_verl_has_presets_for_what_is_pinned_here():
    assert {name for name, engines in PRESETS.items() if "verl" in engines} == {
        "grpo",
        "dr_grpo",
        "rloo",
        "opo",
        "gpg",
        "reinforce_plus_plus",
        "reinforce_plus_plus_baseline",
        "gdpo",
        "grpo_passk",
    }

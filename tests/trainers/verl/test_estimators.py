"""Level 1: methods in verl's table, called as verl calls them. `make test-verl`."""

import importlib.util
from typing import Any

import numpy as np
import pytest

pytestmark = [
    pytest.mark.verl,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        importlib.util.find_spec("verl") is None, reason="needs verl: make test-verl"
    ),
]

SCORES = {"a": [1.0, 0.0, 0.0, 0.0], "b": [1.0, 1.0, 0.0], "dead": [0.0, 0.0]}


def data() -> Any:
    """verl's batch: rewards on each last token, ragged masks with holes, group labels."""
    import torch
    from verl import DataProto

    rows = [(group, score) for group, scores in SCORES.items() for score in scores]
    mask = torch.zeros(len(rows), 8)
    rewards = torch.zeros(len(rows), 8)
    for k, (_, score) in enumerate(rows):
        mask[k, : 2 + k % 3] = 1
        mask[k, 4 : 5 + k % 4] = 1
        rewards[k, 4 + k % 4] = score
    made = DataProto.from_dict(
        tensors={"token_level_rewards": rewards, "response_mask": mask},
        non_tensors={"uid": np.array([group for group, _ in rows], dtype=object)},
    )
    return made, rewards, mask


def by_verl(name: str) -> Any:
    """The advantages that verl's own path computes for an estimator by name."""
    from verl.trainer.ppo.ray_trainer import compute_advantage

    batch, _, mask = data()
    return compute_advantage(batch, adv_estimator=name).batch["advantages"], mask


def test_dr_grpo_by_hand() -> None:
    # outcome less the group's mean: a 1/4, b 2/3, dead 0
    found, mask = by_verl("dr_grpo")
    expected = [0.75, -0.25, -0.25, -0.25, 1 / 3, 1 / 3, -2 / 3, 0.0, 0.0]
    np.testing.assert_array_equal(
        found.numpy(), (np.array(expected, np.float32)[:, None] * mask.numpy())
    )


@pytest.mark.parametrize("mask_dtype", ["int64", "float32", "bool"])
@pytest.mark.parametrize(
    ("name", "theirs", "options"),
    [
        ("grpo", "grpo", {}),
        ("grpo", "grpo_vectorized", {}),
        ("dr_grpo", "grpo", {"norm_adv_by_std_in_grpo": False}),
        ("dr_grpo", "grpo_vectorized", {"norm_adv_by_std_in_grpo": False}),
        ("rloo", "rloo", {}),
        ("rloo", "rloo_vectorized", {}),
    ],
)
def test_a_method_of_ours_equals_verl_s_where_both_have_it(
    name: str, theirs: str, options: dict[str, Any], mask_dtype: str
) -> None:
    import torch
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    from assay.recipes import Recipe
    from assay.trainers.verl.estimators import advantage_of

    _, rewards, mask = data()
    mask = mask.to(getattr(torch, mask_dtype))
    index = np.array([g for g, scores in SCORES.items() for _ in scores], dtype=object)
    given = {"token_level_rewards": rewards, "response_mask": mask, "index": index}
    expected, _ = get_adv_estimator_fn(theirs)(**given, **options)
    found = advantage_of(Recipe.of(name, like="verl"), rewards, mask, index)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6, atol=1e-7)


def test_failures_alone_teach_in_nsr() -> None:
    found, mask = by_verl("nsr")
    failed = np.array([s == 0 for scores in SCORES.values() for s in scores])
    assert (found.numpy()[failed][mask.numpy()[failed] > 0] < 0).all()
    np.testing.assert_array_equal(found.numpy()[~failed], 0.0)


def test_level_2_outside_its_trainer_is_refused_in_one_line() -> None:
    from assay.errors import UsageError

    with pytest.raises(UsageError, match="only the synchronous trainer has"):
        by_verl("assay")


def test_the_loss_is_verl_s_to_the_bit() -> None:
    import torch
    from verl.trainer.ppo.core_algos import get_policy_loss_fn
    from verl.workers.config import FSDPActorConfig

    given = torch.Generator().manual_seed(0)
    old, new = torch.randn(2, 5, 6, generator=given)
    mask = torch.rand(5, 6, generator=given) > 0.4
    mask[4] = False  # a padding row
    settings = FSDPActorConfig(strategy="fsdp2", rollout_n=1, ppo_mini_batch_size=5,
                               ppo_micro_batch_size_per_gpu=5)  # fmt: skip
    arguments = {"old_log_prob": old, "log_prob": new, "response_mask": mask,
                 "advantages": torch.randn(5, 6, generator=given) * mask,
                 "config": settings}  # fmt: skip
    theirs, own = (get_policy_loss_fn(name)(**arguments) for name in ("vanilla", "assay"))
    assert torch.equal(theirs[0], own[0])
    largest = float((new - old).exp()[mask].max())
    assert own[1] == {**theirs[1], "actor/assay_ratio_max": pytest.approx(largest)}

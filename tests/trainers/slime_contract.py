"""What slime, as of autumn 2026, does between a rollout and its advantage function: the fields
of a `Sample`, `BatchBuilder.convert`, what `split_by_dp` hands to a rank, and the calls of the two
hooks. Written from its documented contract; none of its code is here.
"""

from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

import torch

CARRIED = [
    "tokens",
    "response_lengths",
    "rewards",
    "truncated",
    "loss_masks",
    "sample_indices",
    "rollout_ids",
    "rollout_log_probs",
    "teacher_log_probs",
]
"""Fields of samples that reach a rank; `metadata` is none of them."""


class Status(Enum):
    """How a sample ended."""

    COMPLETED = "completed"
    TRUNCATED = "truncated"
    ABORTED = "aborted"


@dataclass
class Sample:
    """One row: prompt and response tokens, and what is known of them."""

    tokens: list[int]
    response_length: int
    reward: Any
    group_index: int | None = 0
    index: int = 0
    rollout_id: int | None = None
    loss_mask: list[int] | None = None
    rollout_log_probs: list[float] | None = None
    teacher_log_probs: list[float] | None = None
    status: Status = Status.COMPLETED
    remove_sample: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    train_metadata: dict[str, Any] | None = None


def arguments(**given: Any) -> SimpleNamespace:
    """The options that the hooks read, as slime's parser has them by default."""
    default = {
        "use_opd": False,
        "normalize_advantages": False,
        "use_critic": False,
        "reward_key": None,
        "calculate_per_token_loss": False,
        "hf_checkpoint": "nowhere",
    }
    return SimpleNamespace(**{**default, **given})


def converted(args: Any, samples: list[Sample], hook: Any) -> dict[str, list[Any]]:
    """Rewards first, then the mask, then the fields that samples have."""
    raw, rewards = hook(args, samples)
    assert len(raw) == len(rewards) == len(samples)
    for sample in samples:
        if sample.loss_mask is None:
            sample.loss_mask = [1] * sample.response_length
        assert len(sample.loss_mask) == sample.response_length
        if sample.remove_sample:
            sample.loss_mask = [0] * sample.response_length
    data: dict[str, list[Any]] = {
        "tokens": [each.tokens for each in samples],
        "response_lengths": [each.response_length for each in samples],
        "rewards": rewards,
        "loss_masks": [each.loss_mask for each in samples],
    }
    for name, key in (("teacher_log_probs",) * 2, ("train_metadata", "metadata")):
        if getattr(samples[0], name) is not None:
            data[key] = [getattr(each, name) for each in samples]
    return data


def rank(data: dict[str, list[Any]], rows: list[int]) -> dict[str, Any]:
    """One rank's part: its rows of the fields that are carried, as tensors; and `kl`, zeros."""
    part: dict[str, Any] = {k: [data[k][row] for row in rows] for k in CARRIED if k in data}
    part["tokens"] = [torch.tensor(each) for each in part["tokens"]]
    if "teacher_log_probs" in part:
        part["teacher_log_probs"] = [
            torch.tensor(each, dtype=torch.float32) for each in part["teacher_log_probs"]
        ]
    part["kl"] = [torch.zeros(length) for length in part["response_lengths"]]
    return part

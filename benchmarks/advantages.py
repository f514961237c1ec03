"""Advantages of 1,024 ragged trajectories, against writing the array and against verl.

python benchmarks/advantages.py            # against np.repeat
python benchmarks/advantages.py --verl     # and against verl 0.9.1, in .venv-verl
"""

import sys

import numpy as np

from assay.batch import Batch
from assay.credit import method
from assay.records import ModelStep, Trajectory
from measure import Ratio, best, paired, publish

K, GROUP, LONGEST = 1024, 8, 4096
RAGGED = (
    *("grpo", "dr_grpo", "rloo", "max_rl", "quantile", "asym_re", "reinforce", "psr", "nsr"),
    *("w_reinforce", "grpo_positive", "grpo_negative", "ngrpo", "avspo", "ebpo", "pass_at_k"),
)
"""Methods with one advantage per trajectory: what the budget is about."""


def ragged(seed: int = 0) -> tuple[Batch, np.ndarray]:
    """Returns a batch of 1,024 trajectories of one sampled run each, and their lengths."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, LONGEST + 1, K)
    shared = tuple(range(LONGEST))
    trajectories = (
        Trajectory(
            id=str(k),
            task=str(k // GROUP),
            group=str(k // GROUP),
            outcome=float(rng.random() < 0.4),
            steps=(ModelStep(token_ids=shared[: lengths[k]]),),
        )
        for k in range(K)
    )
    return Batch.of(trajectories), lengths


def against_writing(batch: Batch) -> list[Ratio]:
    """Returns each method's time over that of writing one float per token."""
    value_R = np.random.default_rng(0).random(batch.length_R.size)
    write = lambda: np.repeat(value_R, batch.length_R)  # noqa: E731
    ratios = []
    for name in RAGGED:
        by = method(name)
        work = lambda by=by: by(batch).advantage_N  # noqa: E731
        ratios.append(Ratio(f"{name} / np.repeat", paired(work, write, repeat=31), 3.0, "at most"))
    return ratios


def against_verl(batch: Batch, lengths: np.ndarray) -> list[Ratio]:
    """Returns verl's time over ours on the same outcomes, theirs padded, ours both ways."""
    import torch
    from verl.trainer.ppo import core_algos

    torch.set_num_threads(2)
    width = int(lengths.max())
    mask = torch.arange(width)[None, :] < torch.as_tensor(lengths)[:, None]
    rewards = torch.zeros(K, width)
    rewards[torch.arange(K), torch.as_tensor(lengths) - 1] = torch.as_tensor(
        batch.outcome_K, dtype=torch.float32
    )
    index = np.array([str(g) for g in batch.group_K], dtype=object)
    ratios = []
    variants = {
        "grpo": ("grpo_vectorized", "grpo"),
        "rloo": ("rloo_vectorized", "rloo"),
    }
    for name, theirs in variants.items():
        by = method(name)
        ours = best(lambda by=by: by(batch).advantage_N, repeat=31)
        for variant, budget in zip(theirs, (4.0, 20.0), strict=True):
            estimator = core_algos.get_adv_estimator_fn(variant)
            other = best(
                lambda estimator=estimator: estimator(
                    token_level_rewards=rewards,
                    response_mask=mask.float(),
                    index=index,
                    config=None,
                ),
                repeat=9,
            )
            ratios.append(
                Ratio(
                    f"verl {variant} / {name}",
                    other / ours,
                    budget,
                    "at least",
                    f"{other * 1e3:.2f} ms / {ours * 1e3:.2f} ms",
                )
            )
    return ratios


def main() -> None:
    batch, lengths = ragged()
    ratios = against_writing(batch)
    verl = "--verl" in sys.argv
    if verl:
        ratios += against_verl(batch, lengths)
    publish("advantages_verl" if verl else "advantages", ratios, tokens=int(lengths.sum()))


if __name__ == "__main__":
    main()

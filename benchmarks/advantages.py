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


VERL = {"grpo": ("grpo_vectorized", "grpo"), "rloo": ("rloo_vectorized", "rloo")}
"""Methods that verl has too, and its variants: in tensors, which write their rows as fast as the
memory takes them, as we do; and in a loop."""


def against_verl(batch: Batch, lengths: np.ndarray) -> tuple[list[Ratio], dict[str, float]]:
    """Returns verl's time over ours on the same outcomes, theirs padded and ours ragged; and, in
    milliseconds, what each takes that is given verl's padded rows and gives such."""
    import torch
    from verl.trainer.ppo import core_algos

    from assay.recipes import Recipe
    from assay.trainers.verl.estimators import advantage_of

    torch.set_num_threads(1)  # as we have; several wait for each other on a busy machine
    width = int(lengths.max())
    mask = (torch.arange(width)[None, :] < torch.as_tensor(lengths)[:, None]).float()
    rewards = torch.zeros(K, width)
    rewards[torch.arange(K), torch.as_tensor(lengths) - 1] = torch.as_tensor(
        batch.outcome_K, dtype=torch.float32
    )
    index = np.array([str(g) for g in batch.group_K], dtype=object)
    given = {"token_level_rewards": rewards, "response_mask": mask, "index": index}
    ratios: list[Ratio] = []
    padded: dict[str, float] = {}
    for name, variants in VERL.items():
        by, recipe = method(name), Recipe.of(name, like="verl")
        ours = best(lambda by=by: by(batch).advantage_N, repeat=101)
        whole = lambda recipe=recipe: advantage_of(recipe, rewards, mask, index)  # noqa: E731
        padded[f"assay {name}"] = best(whole, repeat=101) * 1e3
        for variant, budget in zip(variants, (1.0, 20.0), strict=True):
            estimator = core_algos.get_adv_estimator_fn(variant)
            other = best(lambda estimator=estimator: estimator(**given, config=None), repeat=101)
            padded[f"verl {variant}"] = other * 1e3
            note = f"{other * 1e3:.2f} ms / {ours * 1e3:.2f} ms"
            called = f"verl {variant} / {name}"
            ratios.append(Ratio(called, other / ours, budget, "at least", note))
    return ratios, padded


def main() -> None:
    batch, lengths = ragged()
    ratios = against_writing(batch)
    tokens = int(lengths.sum())
    if "--verl" not in sys.argv:
        publish("advantages", ratios, tokens=tokens)
        return
    verl, padded = against_verl(batch, lengths)
    for name, milliseconds in padded.items():
        print(f"{name}, padded rows in and out: {milliseconds:.2f} ms")
    publish("advantages_verl", ratios + verl, tokens=tokens, padded_ms=padded)


if __name__ == "__main__":
    main()

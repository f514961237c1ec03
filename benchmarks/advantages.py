"""Advantages of 1,024 ragged trajectories, against writing the array and against verl.

python benchmarks/advantages.py            # against np.repeat
python benchmarks/advantages.py --verl     # and against verl 0.9.1, in .venv-verl
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np

from assay.batch import Batch
from assay.credit import method
from assay.records import ModelStep, Trajectory
from measure import Ratio, best, bests, paired, parser, publish

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


VERL = {
    "grpo": (("grpo_vectorized", "grpo"), {}),
    "dr_grpo": (("grpo_vectorized", "grpo"), {"norm_adv_by_std_in_grpo": False}),
    "rloo": (("rloo_vectorized", "rloo"), {}),
}
"""Methods that verl has too, and its variants: in tensors, and in a loop over rows."""


def given_by_verl(batch: Batch, lengths: np.ndarray, mask_dtype: str = "int64") -> dict[str, Any]:
    """Returns the outcomes as verl's trainer hands them over: rewards in float32, its mask of
    whole numbers, and an id of 36 letters for each prompt."""
    import torch

    last = torch.as_tensor(lengths) - 1
    mask = torch.arange(LONGEST)[None, :] <= last[:, None]
    rewards = torch.zeros(K, LONGEST)
    rewards[torch.arange(K), last] = torch.as_tensor(batch.outcome_K, dtype=torch.float32)
    uid = [str(UUID(int=g)) for g in range(batch.n_groups)]
    return {
        "token_level_rewards": rewards,
        "response_mask": mask.to(getattr(torch, mask_dtype)),
        "index": np.array([uid[g] for g in batch.group_K], dtype=object),
    }


def memory_s_limit(given: dict[str, Any]) -> Callable[[], object]:
    """Returns what nobody can do without: rewards and mask read once, the advantages written."""
    import torch

    rewards, mask = given["token_level_rewards"], given["response_mask"]
    as_many_bytes = torch.zeros(mask.numel() * mask.element_size() // 4)

    def work() -> object:
        return rewards.sum(), as_many_bytes.sum(), torch.empty_like(rewards).fill_(1.0)

    return work


def milliseconds(*seconds: float) -> str:
    """Returns times of a ratio, to be read."""
    return " / ".join(f"{1e3 * each:.2f} ms" for each in seconds)


def against_verl(batch: Batch, lengths: np.ndarray, mask_dtype: str = "int64") -> list[Ratio]:
    """Returns what an estimator of ours takes over the memory's limit and what verl's take over
    ours, padded rows in and out; and over ours where nothing is padded."""
    from verl.trainer.ppo import core_algos

    from assay.recipes import Recipe
    from assay.trainers.verl.estimators import advantage_of

    given = given_by_verl(batch, lengths, mask_dtype)
    limit, ratios = memory_s_limit(given), list[Ratio]()
    for name, (variants, options) in VERL.items():
        ragged_by = method(name)
        ours = partial(advantage_of, Recipe.of(name, like="verl"), *given.values())
        found = [core_algos.get_adv_estimator_fn(each) for each in variants]
        theirs = [partial(each, **given, **options) for each in found]
        unpadded = lambda by=ragged_by: by(batch).advantage_N  # noqa: E731
        least, padded, tensors, short = bests(limit, ours, theirs[0], unpadded, repeat=51)
        loop = best(theirs[1], repeat=7)
        called = f"{name}, {mask_dtype} mask"
        note = f"{milliseconds(padded, least)}; verl {variants[0]} {tensors / least:.2f}"
        ratios.append(Ratio(f"{called} / memory's limit", padded / least, 3.5, "at most", note))
        for variant, other, least_won, short_won in (
            (variants[0], tensors, 0.6, 1.0),
            (variants[1], loop, 2.0, 10.0),
        ):
            for kind, own, budget in (("padded", padded, least_won), ("ragged", short, short_won)):
                won, note = f"verl {variant} / {called}, {kind}", milliseconds(other, own)
                ratios.append(Ratio(won, other / own, budget, "at least", note))
    return ratios


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--verl", action="store_true", help="and against verl's estimators")
    verl = options.parse_args().verl
    batch, lengths = ragged()
    ratios, tokens = against_writing(batch), int(lengths.sum())
    if not verl:
        publish("advantages", ratios, tokens=tokens)
        return
    import torch

    torch.set_num_threads(1)  # as Ray gives verl's trainer
    for mask_dtype in ("int64", "float32"):  # as its trainers hand it over, and as cheap as it gets
        ratios += against_verl(batch, lengths, mask_dtype)
    publish("advantages_verl", ratios, tokens=tokens)


if __name__ == "__main__":
    main()

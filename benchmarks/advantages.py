"""Advantages of 1,024 ragged trajectories, against writing the array and against verl.

python benchmarks/advantages.py            # against np.repeat
python benchmarks/advantages.py --verl     # and against verl 0.9.1, in .venv-verl
"""

import ctypes
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
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


VERL: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "grpo": (("grpo_vectorized", "grpo"), {}),
    "dr_grpo": (("grpo_vectorized", "grpo"), {"norm_adv_by_std_in_grpo": False}),
    "rloo": (("rloo_vectorized", "rloo"), {}),
    "opo": (("opo",), {}),
    "gpg": (("gpg",), {}),
    "reinforce_plus_plus": (
        ("reinforce_plus_plus",),
        {"config": SimpleNamespace(gamma=1.0)},
    ),
    "reinforce_plus_plus_baseline": (("reinforce_plus_plus_baseline",), {}),
    "grpo_passk": (("grpo_passk",), {"config": {}}),
}
"""Methods that verl has too, and its variants: in tensors, then in a loop over rows or tokens. GDPO
is not among them: its named rewards are not in what an estimator of ours is given."""
IN_TENSORS = ("grpo_vectorized", "rloo_vectorized")


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


def keep_memory() -> None:
    """Lets arrays lie in memory that was written on before, whoever came first; a page fault for
    each 4 KiB of a new one would be most of what is measured. Of glibc alone."""
    trim_threshold, mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    libc.mallopt(trim_threshold, 2**30)
    libc.mallopt(mmap_threshold, 2**25)


def against_verl(batch: Batch, lengths: np.ndarray, mask_dtype: str) -> list[Ratio]:
    """Returns, for each method that verl has too, what ours takes over the memory's limit, and each
    variant of verl's over ours. The note has what verl's fastest takes over the limit: the most
    that anyone can win of it.
    """
    from verl.trainer.ppo import core_algos

    from assay.recipes import Recipe
    from assay.trainers.verl.estimators import advantage_of

    given = given_by_verl(batch, lengths, mask_dtype)
    limit, ratios = memory_s_limit(given), list[Ratio]()
    for name, (variants, options) in VERL.items():
        tensors = [each for each in variants if each in IN_TENSORS]
        ours = partial(advantage_of, Recipe.of(name, like="verl"), *given.values())
        theirs = {
            each: partial(core_algos.get_adv_estimator_fn(each), **given, **options)
            for each in variants
        }
        least, own, *beside = bests(limit, ours, *(theirs[each] for each in tensors), repeat=301)
        took = dict(zip(tensors, beside, strict=True))
        took |= {each: best(theirs[each]) for each in theirs if each not in tensors}
        fastest = min(took, key=took.__getitem__)
        called = f"{name}, {mask_dtype} mask"
        note = f"{milliseconds(own, least)}; verl {fastest} {took[fastest] / least:.2f}"
        ratios.append(Ratio(f"{called} / memory's limit", own / least, 3.5, "at most", note))
        for variant, other in took.items():
            budget = 0.7 if variant in IN_TENSORS else 1.5
            won, note = f"verl {variant} / {called}", milliseconds(other, own)
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
    keep_memory()
    for mask_dtype in ("int64", "float32"):  # as its trainers hand it over, and as cheap as it gets
        ratios += against_verl(batch, lengths, mask_dtype)
    publish("advantages_verl", ratios, tokens=tokens)


if __name__ == "__main__":
    main()

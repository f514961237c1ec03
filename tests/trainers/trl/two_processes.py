"""One of several processes: trains two steps on given rollouts and writes what it ended with.

python -m torch.distributed.run --nproc_per_node 2 -m tests.trainers.trl.two_processes FOLDER
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from assay.runs.start import part
from assay.signal.losses import LossTerm, TopK
from assay.signal.origins import OriginRow

from .tiny import ROWS, batch_of, ours, torch


def counted() -> list[str]:
    """Returns the ids of the trajectories that this process reads, as it reads them."""
    from assay.batch.build import Builder

    read, add = [], Builder.complete

    def noted(builder: Any, completions: Any) -> None:
        read.extend(completions.ids)
        add(builder, completions)

    Builder.complete = noted
    return read


def taught(processes: int) -> Callable[[int], list[OriginRow]]:
    """Returns what gives each process its further rows: of two the second has two of three."""
    three = np.log(np.array([[0.7, 0.2], [0.1, 0.3], [0.5, 0.4]]))
    target = TopK(token_NV=np.array([[4, 5], [5, 6], [1, 4]]), logprob_NV=three)
    long = LossTerm("sdpo", "topk_kl", np.array([0.5, 0.5, 0.0]), target)
    short = LossTerm("sdpo", "topk_kl", np.array([0.0, 0.0, 1.0]), target)
    plain = LossTerm("more", "ce", np.array([1.0, 1.0, 1.0]))
    rows = [
        OriginRow((3, 4), (4, 5, 1), (1, 1, 1), ratio="one", losses=losses)
        for losses in ((long,), (short,), (long, plain))
    ]
    first = int(os.environ.get("RANK", "0"))
    mine = rows if processes == 1 else [rows[:1], rows[1:]][first]
    return lambda step: mine if step != 1 else rows[:1] if first == 0 else []


def main(folder: Path, processes: int) -> None:
    # 16 rows in all; a group of 8 spans both processes where there are two
    rows = [*ROWS, *([*row[:-1], 8, 1] for row in ROWS)]
    rewards = [1.0, 0, 0, None, 0, 0, 1.0, 0, *[0.0] * 8]
    masks = [[1] * (len(row) - 1) + [int(k % 3 > 0)] for k, row in enumerate(rows)]
    from .tiny import rollouts

    trainer: Any = ours(
        folder,
        recipe={
            "methods": [{"name": "grpo", "weight": 0.5}, {"name": "psr", "weight": 0.5}],
            "denominator": "kept",
            # only the first process has successes to replay
            "safety": {
                "all_fail": "bounded",
                "cap": 1.0,
                "off_policy": 5.0,
                "replay": {"below": 1.0},
            },
        },
        rewards=rewards,
        roll=rollouts(rows, env_mask=masks),
        given={
            "metrics_path": folder / f"metrics{processes}.jsonl",
            "say": lambda _: None,
            "rows": taught(processes),
        },
        per_device_train_batch_size=16 // processes,
        num_generations=8,
        max_steps=3,
        num_iterations=2,
        optim="sgd",
        learning_rate=0.5,
        ddp_backend="gloo" if processes > 1 else None,
        max_completion_length=8,
    )
    read = counted()
    advantages = batch_of(trainer)["advantages"]
    built = list(read)
    trainer.train()
    flat = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    rank = trainer.accelerator.process_index
    replay = [list(sample.completion_ids) for sample in trainer.session.replay.kept.values()]
    written = {
        "weights": flat.tolist(),
        "advantages": advantages.tolist(),
        "replay": replay,
        "built": built,
    }
    (folder / f"end{processes}.{rank}.json").write_text(json.dumps(written))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]))
    part()  # a process that ends with its connections open is aborted now and then

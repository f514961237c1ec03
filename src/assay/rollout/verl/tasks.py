"""Tasks of an environment as verl's dataset, without a file. Needs verl's environment.

    data.custom_cls.path=pkg://assay.rollout.verl.tasks  data.custom_cls.name=Tasks
    data.train_files=lookup/even@0:2048  data.val_files=lookup/even@1000000:1000064

What follows the @ are the seeds of the tasks, first to last, the last one not included.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, final

import torch
from torch.utils.data import Dataset

from assay.errors import UsageError
from assay.world.catalogue import load

_NAMED: Final = re.compile(r"(?P<name>.+)@(?P<first>\d+):(?P<end>\d+)")


@final
class Tasks(Dataset[dict[str, Any]]):
    """One row a task: its text, and what the agent loop `assay` needs to play it."""

    def __init__(
        self,
        data_files: str | Sequence[str],
        tokenizer: Any = None,
        config: Any = None,
        processor: Any = None,
        max_samples: int = -1,
    ) -> None:
        """Takes what verl gives a dataset; of `config` nothing is read.

        Raises:
            UsageError: a name that is not ENVIRONMENT@FIRST:END, or no task.
        """
        names = [data_files] if isinstance(data_files, str) else list(data_files)
        self._tasks = [each for name in names for each in tasks_of(name)]
        if max_samples > 0:
            self._tasks = self._tasks[:max_samples]

    def __len__(self) -> int:
        """Returns how many tasks there are."""
        return len(self._tasks)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns the row of a task."""
        name, seed = self._tasks[index]
        text = load(name).reset(seed)
        return {
            "raw_prompt": [{"role": "user", "content": text}],
            "data_source": name,
            "agent_name": "assay",
            "index": seed,
            "extra_info": {"environment": name, "seed": seed, "index": seed},
            "reward_model": {"style": "rule", "ground_truth": ""},
            "tools_kwargs": {},
            "interaction_kwargs": {},
            "dummy_tensor": torch.tensor([0], dtype=torch.uint8),
        }


def tasks_of(named: str) -> list[tuple[str, int]]:
    """Returns (environment, seed) of the tasks that ENVIRONMENT@FIRST:END names.

    Raises:
        UsageError: it is written otherwise, or names no task.
    """
    found = _NAMED.fullmatch(str(named))
    seeds = range(int(found["first"]), int(found["end"])) if found else range(0)
    if found is None or not seeds:
        raise UsageError(
            f"tasks {named!r}: expected ENVIRONMENT@FIRST:END, as lookup/even@0:2048, with at "
            "least one seed"
        )
    load(found["name"])  # said here, and not by a worker
    return [(found["name"], seed) for seed in seeds]

"""One of two processes: trains with rescue, and writes what its ladder remembers after each batch.

python -m torch.distributed.run --nproc_per_node 2 -m tests.runs.two_rescuing POLICY FOLDER
"""

import json
import sys
from pathlib import Path
from typing import Any

from assay.rescue.rescuer import Rescuer
from assay.runs.config import parsed
from assay.runs.start import part, start
from tests.runs import tiny

CONFIG: dict[str, Any] = {
    "env__name": "tests.runs.tiny:Hinted",
    "rescue__kind": "ladder",
    "rescue__rungs": ["oracle"],
    "rescue__after": 1,
    "rescue__tries": 4,
    "rescue__share": 1.0,
    "rescue__budget": 9.0,
    "rescue__again": 3,
    "rescue__lag": 1,
    "train__group": 2,
    "train__prompts": 8,
    "train__pool": 4096,
}


def noted(folder: Path) -> None:
    """Writes each ladder's memory, and what was played again, after each batch."""
    call = Rescuer.__call__

    def kept(self: Rescuer, *args: Any, process: int = 0, **given: Any) -> Any:
        made = call(self, *args, process=process, **given)
        row = {
            "state": self.state(),
            "facts": self.facts(),
            "rows": [each.id for each in made.rows],
        }
        with (folder / f"memory{process}.jsonl").open("a") as stream:
            stream.write(json.dumps(row) + "\n")
        return made

    Rescuer.__call__ = kept  # type: ignore[method-assign]


if __name__ == "__main__":
    policy, folder = map(Path, sys.argv[1:])
    noted(folder)
    start(parsed(tiny.settings(policy, steps=3, **CONFIG)), folder / "run", seed=5)
    part()

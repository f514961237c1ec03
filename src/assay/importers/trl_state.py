"""At which steps a run was evaluated, by the state that its trainer saves beside the log.

`trainer_state.json` of the output folder or of a checkpoint in it lists all that was logged up to
its step: what an evaluation logged begins with `eval_`.
"""

from pathlib import Path
from typing import NamedTuple

from assay.errors import DataError
from assay.files.reading import contents
from assay.files.strict import parse

_STATE = "trainer_state.json"


class Evaluated(NamedTuple):
    """What the last state of a run says."""

    upto: int = -1
    """The last step that it knows of."""
    steps: frozenset[int] = frozenset()
    """Those after which an evaluation ran."""

    def at(self, step: int | None) -> bool | None:
        """Did an evaluation run after a step? None: nothing tells."""
        return None if step is None or step > self.upto else step in self.steps


def states(folder: Path) -> list[Path]:
    """Returns the states of the run whose log is a folder."""
    saved = (folder.parent / _STATE, *folder.parent.glob(f"checkpoint-*/{_STATE}"))
    return [file for file in saved if file.is_file()]


def evaluated(folder: Path) -> Evaluated:
    """Returns at which steps the run whose log is a folder was evaluated."""
    return max(map(_read, states(folder)), default=Evaluated())


def _read(file: Path) -> Evaluated:
    try:
        state = parse(contents(file), str(file), nan=lambda *_: None)
    except DataError:
        return Evaluated()
    upto, history = (
        state.get(key) if isinstance(state, dict) else None
        for key in ("global_step", "log_history")
    )
    if not isinstance(upto, int) or not isinstance(history, list):
        return Evaluated()
    rows = [row for row in history if isinstance(row, dict) and isinstance(row.get("step"), int)]
    evaluations = (row["step"] for row in rows if any(key.startswith("eval_") for key in row))
    return Evaluated(upto, frozenset(evaluations))

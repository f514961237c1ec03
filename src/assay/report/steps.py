"""What the pages show of steps whatever the method: calls, and what is known of them."""

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Int64

from assay.batch.blocks import Blocks
from assay.records import ModelStep, Trajectory
from assay.report.reasons import Evidence
from assay.report.replay import Replays


@final
class Steps:
    """The steps of some trajectories."""

    def __init__(
        self,
        blocks: Blocks,
        ks: Int64[np.ndarray, " _"],
        passed_K: Bool[np.ndarray, " K"],
        ids: Sequence[str],
        hide: Callable[[str], str],
        replays: Replays,
    ) -> None:
        """Looks at the trajectories `ks`, ascending, and at all of their tasks that passed."""
        batch, task_K = blocks.of(ks).batch, blocks.batch.task_K
        siblings = np.flatnonzero(passed_K & np.isin(task_K, task_K[ks]))
        self._evidence = Evidence(batch, passed_K, ids, blocks.of(siblings).batch)
        self._index = batch.index_S.tolist()
        start = np.append(0, np.cumsum(blocks.counted("S")[ks])).tolist()
        self._steps = {k: (start[n], start[n + 1]) for n, k in enumerate(ks.tolist())}
        self._first_call = np.searchsorted(batch.step_C, np.arange(len(self._index) + 1)).tolist()
        self._correct, self._key = (batch.correct_C == 1).tolist(), batch.key_C.tolist()
        self._node, self._parent = batch.node_S.tolist(), batch.parent_S.tolist()
        self._hide, self._replays = hide, replays

    def of(self, k: int, trajectory: Trajectory) -> list[dict[str, Any]]:
        """Returns the steps of one of them."""
        steps: list[dict[str, Any]] = []
        for s in range(*self._steps[k]):
            index, first = self._index[s], self._first_call[s]
            step = trajectory.steps[index]
            # those of a copied step are of nobody here
            count = self._first_call[s + 1] - first
            calls = step.calls[:count] if isinstance(step, ModelStep) else ()
            steps.append(
                {
                    "index": index,
                    "calls": [self._hide(call.name) for call in calls],
                    "key": ",".join([str(key) for key in self._key[first : first + len(calls)]]),
                    "correct": [n for n in range(len(calls)) if self._correct[first + n]],
                    "evidence": self._evidence.of(s, k),
                    **self._place(s),
                    **self._replays.of(k, index),
                }
            )
        return steps

    def _place(self, s: int) -> dict[str, int]:
        """Returns the node of a step and the one before it, as far as the log names them."""
        both = {"node": self._node[s], "parent": self._parent[s]}
        return {name: number for name, number in both.items() if number >= 0}

"""What verl's processes load in the tests: ragged groups, rollouts of several outputs, a witness.

By VERL_USE_EXTERNAL_MODULES=tests.trainers.verl.ragged, in every process.
"""

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from torch.utils.data import Dataset
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput, register
from verl.trainer.ppo.core_algos import get_policy_loss_fn, register_policy_loss

from assay.rollout.verl.tasks import Tasks

SEEN = "ASSAY_TEST_WITNESS"
"""Environment variable: folder that gets a file for each micro-batch that the actor trains on."""


class Ragged(Dataset[dict[str, Any]]):
    """Groups of two, three or four; of every other task the rollouts have several outputs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._tasks = Tasks(*args, **kwargs)

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self._tasks[index]
        name = "split" if row["index"] % 2 else "assay"
        return {**row, "__rollout_n__": 2 + row["index"] % 3, "agent_name": name}


@register("split")
class Split(AgentLoopBase):
    """Odd rollouts give two outputs, cut after the first turn, and neither brings a record."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from assay.rollout.verl.loop import WorldLoop

        super().__init__(*args, **kwargs)
        self._world = WorldLoop(*args, **kwargs)

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        whole = await self._world.run(sampling_params, **kwargs)
        ended = np.flatnonzero(np.diff(whole.response_mask) == -1)
        if not kwargs["session_id"] % 2 or not ended.size:
            return whole
        cut = int(ended[0]) + 1
        fed = [*whole.prompt_ids, *whole.response_ids]
        begin = len(whole.prompt_ids)
        again = cut + int(np.argmax(whole.response_mask[cut:]))  # where the next turn starts
        return [
            part(whole, fed[:begin], slice(0, cut)),
            part(whole, fed[: begin + again], slice(again, None)),
        ]


def part(whole: AgentLoopOutput, prompt: list[int], of: slice) -> AgentLoopOutput:
    extra = {k: v for k, v in whole.extra_fields.items() if k != "trajectory"}
    return AgentLoopOutput(
        prompt_ids=prompt,
        response_ids=whole.response_ids[of],
        response_mask=whole.response_mask[of],
        response_logprobs=whole.response_logprobs[of],
        reward_score=whole.reward_score,
        num_turns=1,
        metrics=whole.metrics,
        extra_fields={**extra, "reward_extra_info": {}},
    )


@register_policy_loss("witness")
def witness(**given: Any) -> Any:
    """verl's loss, which writes down what it was given."""
    folder = Path(os.environ[SEEN])
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: given[name].detach().numpy() for name in ("advantages", "response_mask")}
    rank = os.environ.get("RANK", "0")
    number = len(list(folder.glob(f"{rank}_*.npz")))
    made = folder / f"{uuid4().hex}.tmp"
    with made.open("wb") as file:
        np.savez(file, **arrays)
    made.rename(folder / f"{rank}_{number:04d}.npz")
    return get_policy_loss_fn("vanilla")(**given)

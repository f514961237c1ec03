"""Tinker cookbook summaries: `iteration_N/<base>_rollout_summaries.jsonl`, a line a trajectory.

They have rewards and lengths, no text and no tokens: the fates of groups and what they cost. What
is of training and what of an evaluation stands in files beside each other: groups of their own,
counted.
"""

from collections.abc import Iterator
from typing import final

from assay.importers.base import Importer, Record, keys
from assay.records import Ledger, ModelStep, Trajectory

_KEYS = keys(
    "schema_version split iteration group_idx traj_idx tags sampling_client_step total_reward"
    " final_reward trajectory_metrics final_ob_len steps"
)
_STEP = keys("step_idx ob_len ac_len reward episode_done metrics logs")


@final
class Tinker(Importer):
    """One file of summaries, an iteration's folder, or the folder of the run."""

    name = "tinker"
    title = "Tinker rollout summaries"
    record = "a rollout summary object"
    needs = "schema_version:int split:text iteration:int group_idx:int traj_idx:int steps:array"
    names = r".*rollout_summaries\.jsonl"
    called = "*_rollout_summaries.jsonl"

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_KEYS)
        if (version := record.whole("schema_version")) != 1:
            raise record.wrong("schema_version", version, "1")
        record.lose("no_text")
        split, iteration = record.need("split", str), record.whole("iteration")
        if split != "train":
            record.lose(f"of_evaluation:{split}")
        task = f"{split}/{record.whole('group_idx')}"
        group = f"{iteration}/{task}{record.run(2)}"
        trial = record.whole("traj_idx")
        steps: list[ModelStep] = []
        tokens = 0
        for step in record.each("steps", "a step object", needed=True):
            step.lose_unknown(_STEP, "step_key")
            steps.append(ModelStep(reward=step.score("reward")))
            tokens += step.whole("ac_len") or 0
        final_reward = record.score("final_reward")
        sampled = record.whole("sampling_client_step")
        yield record.trajectory(
            group,  # tasks are numbered anew in each iteration
            steps,
            trial=trial,
            id=f"{group}/{trial}",
            outcome=record.scored(record.score("total_reward")),
            rewards={} if final_reward is None else {"final_reward": final_reward},
            policy_version=None if sampled is None else str(sampled),
            ledger=Ledger(tokens=tokens),
        )

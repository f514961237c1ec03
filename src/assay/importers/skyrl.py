"""SkyRL evaluation dumps: `dumped_evals/global_step_N_evals/<source>.jsonl`, a line a rollout.

Prompt and response are decoded text, tools' results among it; there are no ids of tokens, tasks or
groups, so rollouts of one file with one prompt are a group. Training batches are pickles, which are
never read.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from assay.importers.base import Importer, Record, ends, keys, prompt_name
from assay.importers.chatml import told, wrote
from assay.importers.messages import Steps
from assay.records import End, Trajectory

_KEYS = keys("input_prompt output_response score stop_reason env_class env_extras data_source")
_ENDS: dict[str, End] = ends(
    answered="stop done", budget="length max_turns", infra="abort error timeout"
)
_FOLDER = re.compile(r"global_step_([0-9]{1,15})_evals")


@final
class Skyrl(Importer):
    """One dump, the folder of one step, or `dumped_evals`."""

    name = "skyrl"
    title = "SkyRL evaluation dump"
    record = "an object with input_prompt, output_response and score"
    needs = "input_prompt:text output_response:text score stop_reason env_class"

    def beside(self, file: Path) -> tuple[Path, ...]:
        return (file.with_name("aggregated_results.jsonl"),)

    def trajectories(self, record: Record) -> Iterator[Trajectory]:
        record.lose_unknown(_KEYS)
        prompt, at = record.need("input_prompt", str), record.origin()
        folder = _FOLDER.fullmatch(record.file.parent.name)
        run = record.run(2)
        group = f"{record.file.parent.name}/{at.path}/{prompt_name(prompt)}{run}"
        steps = Steps()
        told(steps, prompt)
        wrote(steps, record.need("output_response", str), record)
        record.lose("group_is_prompt")
        record.lose("no_tokens")
        if record.index == 0:
            record.lose("evaluation_dump")
        word = record.text("stop_reason", "unknown")
        if word not in _ENDS:
            record.lose(f"stop_reason:{word}"[:80])
        yield record.trajectory(
            prompt_name(prompt),
            steps,
            trial=record.groups.trial(group),
            id=f"{record.file.parent.name}/{at.path}/{at.index}{run}",
            group=group,
            outcome=record.scored(_score(record)),
            end=_ENDS.get(word, "unknown"),
            policy_version=None if folder is None else folder[1],
            origin=record.origin(
                environment=record.maybe("env_class", str), source=record.maybe("data_source", str)
            ),
        )


def _score(record: Record) -> float | None:
    """Returns the score; of one that is given per token, the sum."""
    score: Any = record.raw.get("score")
    if not isinstance(score, list):
        return record.score("score")
    record.lose("score_per_token")
    parts = [part for one in score if (part := record.as_score(one, "score")) is not None]
    return sum(parts) if parts else None

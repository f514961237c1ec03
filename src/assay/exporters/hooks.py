"""What engines call: each looks up, or passes on, what `assay export` wrote."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from assay.errors import AlignmentError, DataError, UsageError
from assay.exporters.slime import FILE, key_of
from assay.files.lines import rows


def slime(args: Any, rollout_data: dict[str, Any]) -> None:
    """Sets the advantages of slime's samples: `--custom-advantage-function-path`.

    Reads the export in the folder that the environment names as ASSAY_EXPORT, and knows a sample
    by its tokens. Returns are the advantages. Context parallelism must be off: a rank then has the
    whole response.

    Raises:
        UsageError: ASSAY_EXPORT is not set.
        DataError: a sample is not in the export, or is in it with two credits.
        AlignmentError: a rank has a part of a response alone.
    """
    table = _table(_folder())
    found: list[Any] = []
    samples = zip(*(rollout_data[key] for key in ("tokens", "response_lengths", "kl")), strict=True)
    for number, (tokens, length, like) in enumerate(samples):
        values = table.get(key_of(tokens.tolist()), _MISSING)
        if values is _MISSING:
            raise DataError(f"sample {number}: its tokens are not in {_folder() / FILE}")
        if values is None:
            raise DataError(f"sample {number}: two credits for its tokens in {_folder() / FILE}")
        if len(like) != length or length > len(values):
            raise AlignmentError(
                f"sample {number}: {len(like)} of {length} tokens of the response are here; "
                "turn context parallelism off"
            )
        found.append(like.new_tensor(values[len(values) - length :]))
    rollout_data["advantages"] = found
    rollout_data["returns"] = [each.clone() for each in found]


_MISSING: list[float] = []


def _folder() -> Path:
    folder = os.environ.get("ASSAY_EXPORT")
    if not folder:
        raise UsageError("ASSAY_EXPORT is not set; name the folder that `assay export` wrote")
    return Path(folder)


@cache
def _table(folder: Path) -> dict[str, list[float] | None]:
    """Returns the advantages of each sample by its tokens; None where they differ."""
    table: dict[str, list[float] | None] = {}
    for row in rows(folder / FILE):
        key, values = row["tokens_sha256"], row["advantages"]
        table[key] = values if table.get(key, values) == values else None
    return table


def skyrl(token_level_rewards: Any, response_mask: Any, **_: Any) -> tuple[Any, Any]:
    """Returns (advantages, returns) for SkyRL's `register_advantage_estimator`: the rewards of each
    token as they are, where it counts."""
    advantages = token_level_rewards * response_mask
    return advantages, advantages.clone()


def generator_output(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the rows of an export as SkyRL's `GeneratorOutput`, a list for each key.

    `rollout_logprobs` is None unless every row has them. `trajectory_ids` are pairs of instance and
    repetition, for `TrajectoryID(*pair)`.
    """
    with (Path(folder) / "generator_output.jsonl").open() as stream:
        lines = [json.loads(line) for line in stream]
    output: dict[str, Any] = {key: [line[key] for line in lines] for key in lines[0]}
    if any(each is None for each in output["rollout_logprobs"]):
        output["rollout_logprobs"] = None
    return {**output, "rollout_metrics": None}

"""SkyRL: rows of a `GeneratorOutput`, with one reward a token: the advantage.

A registered estimator passes them on: `assay.exporters.hooks.skyrl`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, final

from assay.exporters.base import Exporter, Tally, to_train
from assay.exporters.rows import Row
from assay.files.lines import write_rows
from assay.importers.base import Groups

STOPS: Final = {"answered": "stop", "budget": "length", "infra": "error", "unknown": "stop"}


@final
class Skyrl(Exporter):
    """`generator_output.jsonl`, a line a row."""

    name = "skyrl"
    engine = "SkyRL 0.4.0"
    checked = "by its own `validate_generator_output`"
    writes = "`generator_output.jsonl`, read by `assay.exporters.hooks.generator_output`"
    grain = "per token of the response, as token rewards"
    lacks = "without the hook as its estimator SkyRL sums them; unscored tokens are masked"

    def write(self, rows: Iterable[Row], folder: Path, tally: Tally) -> None:
        """Writes the rows that a trainer may see."""
        write_rows(folder / "generator_output.jsonl", _lines(rows, tally))


def _lines(rows: Iterable[Row], tally: Tally) -> Iterator[dict[str, Any]]:
    groups = Groups()
    for row in to_train(rows, tally):
        of, at = row.trajectory, row.prompt
        logprobs = row.sampled_logprobs
        yield {
            "prompt_token_ids": row.token_ids[:at],
            "response_ids": row.token_ids[at:],
            "rewards": row.values[at:],
            "loss_masks": [int(each) for each in row.trained[at:]],
            "stop_reasons": STOPS[of.end],
            "rollout_logprobs": None if logprobs is None else logprobs[at:],
            "trajectory_ids": (of.group, groups.trial(of.group)),
        }

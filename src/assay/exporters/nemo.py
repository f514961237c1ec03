"""NeMo-RL: rows of `train_data_step{N}.jsonl`, as its logger lays them out."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, final

from assay.exporters.base import Exporter, Tally, to_train
from assay.exporters.rows import Row
from assay.files.lines import write_rows


@final
class Nemo(Exporter):
    """`train_data_step0.jsonl`, a line a sample, each value a batch of one."""

    name = "nemo"
    engine = "NeMo-RL 0.6, its logger"
    checked = "against the logger's layout, by the reader `nemo` of Assay"
    writes = "`train_data_step0.jsonl`"
    grain = "per token of the whole sequence"
    lacks = "groups, tasks and calls; NeMo-RL writes this form and does not read it back"

    def write(self, rows: Iterable[Row], folder: Path, tally: Tally) -> None:
        """Writes the rows that a trainer may see."""
        write_rows(folder / "train_data_step0.jsonl", _lines(rows, tally))


def _lines(rows: Iterable[Row], tally: Tally) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(to_train(rows, tally)):
        line: dict[str, Any] = {
            "content": [step.text for step in row.trajectory.steps],
            "rewards": row.trajectory.outcome,
            "input_lengths": len(row.token_ids),
            "token_ids": row.token_ids,
            "token_loss_mask": [int(each) for each in row.trained],
            "sample_loss_mask": 1.0,
            "advantages": row.values,
        }
        if (logprobs := row.sampled_logprobs) is not None:
            line["generation_logprobs"] = logprobs
        else:
            tally.lost.add("no_logprobs", row.trajectory.id)
        yield {**{key: [value] for key, value in line.items()}, "idx": number}

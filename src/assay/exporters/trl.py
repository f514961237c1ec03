"""TRL: a table with the tensors that `GRPOTrainer._compute_loss` takes, a row a trajectory.

The trainer takes advantages of one value a token from a subclass that replaces them in what
`_generate_and_score_completions` returns; docs/export.md has one.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Final, final

from assay.errors import imported
from assay.exporters.base import Exporter, Tally, to_train
from assay.exporters.rows import Row
from assay.files.atomic import published

_AT_ONCE: Final = 256


@final
class Trl(Exporter):
    """`rows.parquet`, read by `datasets`."""

    name = "trl"
    engine = "TRL 1.16.0"
    checked = "by the gradient of its loss, from the table as datasets 5.2.0 reads it"
    writes = "`rows.parquet`"
    grain = "per token of the completion"
    lacks = "TRL has no reader of such rows: a subclass puts them in; unscored tokens are masked"

    def write(self, rows: Iterable[Row], folder: Path, tally: Tally) -> None:
        """Writes the rows that a trainer may see.

        Raises:
            MissingExtraError: pyarrow is not installed.
        """
        pa = imported("pyarrow", extra="parquet", to="--to trl")
        parquet = imported("pyarrow.parquet", extra="parquet", to="--to trl")
        ids, floats = pa.list_(pa.int64()), pa.list_(pa.float64())
        schema = pa.schema(
            [
                *((name, pa.string()) for name in ("id", "task", "group")),
                *((name, ids) for name in ("prompt_ids", "completion_ids", "tool_mask")),
                *((name, floats) for name in ("advantages", "sampling_per_token_logps")),
                ("reward", pa.float64()),
            ]
        )
        path = folder / "rows.parquet"
        with published(path) as out, parquet.ParquetWriter(out, schema) as writer:
            lines = map(_line, to_train(rows, tally))
            while some := list(islice(lines, _AT_ONCE)):
                writer.write_table(pa.Table.from_pylist(some, schema))


def _line(row: Row) -> dict[str, Any]:
    at, of, logprobs = row.prompt, row.trajectory, row.sampled_logprobs
    return {
        "id": of.id,
        "task": of.task,
        "group": of.group,
        "prompt_ids": row.token_ids[:at],
        "completion_ids": row.token_ids[at:],
        "tool_mask": [int(each) for each in row.trained[at:]],
        "advantages": row.values[at:],
        "sampling_per_token_logps": None if logprobs is None else logprobs[at:],
        "reward": of.outcome,
    }

"""slime: a file of advantages by tokens, and the function that looks them up.

    --custom-advantage-function-path assay.exporters.hooks.slime      ASSAY_EXPORT=DIR

A rank sees its own samples alone, so credit is computed here and only looked up there.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from assay.exporters.base import Exporter, Tally, with_ids
from assay.exporters.rows import Row
from assay.files.lines import write_rows

FILE: Final = "advantages.jsonl"


@final
class Slime(Exporter):
    """`advantages.jsonl`, a line a sample."""

    name = "slime"
    engine = "slime main of 2026-09"
    checked = "against its documented contract, with torch tensors"
    writes = f"`{FILE}`, read by `assay.exporters.hooks.slime`"
    grain = "per token of the response"
    lacks = "unscored and dropped: 0, and the sample still counts in the loss's denominator"

    def write(self, rows: Iterable[Row], folder: Path, tally: Tally) -> None:
        """Writes a line for each row with ids; the hook refuses samples that have none."""
        write_rows(folder / FILE, _lines(rows, tally))


def _lines(rows: Iterable[Row], tally: Tally) -> Iterator[dict[str, Any]]:
    seen: dict[str, str] = {}
    for row in with_ids(rows, tally):
        if not row.kept:
            tally.lost.add(f"dropped_as_0:{row.decision.reason}", row.trajectory.id)
        elif unscored := int((row.sampled & ~row.scored).sum()):
            tally.lost.add("unscored_token_as_0", row.trajectory.id, unscored)
        key, values = key_of(row.token_ids), row.values
        digest = hashlib.sha256(np.asarray(values).tobytes()).hexdigest()
        if seen.setdefault(key, digest) != digest:
            tally.lost.add("same_tokens_other_credit", row.trajectory.id)
        tally.wrote(row)
        yield {
            "id": row.trajectory.id,
            "group": row.trajectory.group,
            "tokens_sha256": key,
            "prompt": row.prompt,
            "advantages": values,
        }


def key_of(token_ids: Sequence[int]) -> str:
    """Returns the name of a sample: SHA-256 of its token ids as little-endian 64-bit integers."""
    return hashlib.sha256(np.asarray(token_ids, "<i8").tobytes()).hexdigest()

"""Rows of verl's batch as records, and advantages back onto its rows. No verl.

Axes: B rows, N tokens, K trajectories, T padded length. verl's key of a row is uid_session_output;
rows of one uid are a group, of one session one rollout. Padding rows are made up, and get zeros.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from jaxtyping import Float32, Float64
from msgspec import structs

from assay.errors import AlignmentError, DataError
from assay.records import Grade, Step, Trajectory, UserStep
from assay.signal import Signal
from assay.signal.given import FIELD, filled, given_record, lacking, steps_of_mask
from assay.signal.origins import row_of

PADDING: Final = "is_padding"
"""Tag of a row that verl made up."""
Decode = Callable[[Sequence[int]], str]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of verl's, as it was stored."""

    key: str
    prompt: list[int]
    response: list[int]
    mask: list[int]
    """1 per token that the policy sampled."""
    score: float
    """Sum of the row's rewards."""
    extra: Mapping[str, Any]
    """What the agent loop added."""
    task: str = ""
    values: Mapping[str, Sequence[float]]
    """"logprobs" and "entropies", where they are known: nats, one a token of the response."""

    def record(self, decode: Decode) -> tuple[Trajectory, int]:
        """Returns the record of the row, and how many of its leading tokens are the prompt.

        Raises:
            AlignmentError: the agent loop's record has other tokens than the row.
        """
        given = self.extra.get(FIELD)
        if given is None:
            return self._bare(decode), len(self.prompt)
        record, skip = given_record(given, self.response, row=0, outcome=self.score, rewards={})
        sampled = list(row_of(record).sampled)
        if sampled != self.mask:
            at = next(t for t, pair in enumerate(zip(sampled, self.mask, strict=True))
                      if pair[0] != pair[1])  # fmt: skip
            raise AlignmentError(
                f"verl's row {self.key!r}, token {at}: response_mask says {self.mask[at]} and the "
                f"record {sampled[at]}; expected the same: 1 where the policy sampled"
            )
        return record, skip

    def _bare(self, decode: Decode) -> Trajectory:
        """Returns the record of a row that brought none: each run of the mask is a step."""
        steps: list[Step] = [UserStep(text=decode(self.prompt), token_ids=tuple(self.prompt))]
        steps += steps_of_mask(self.response, self.mask, decode)
        return Trajectory(
            id=self.key,
            task=self.task,
            group=self.task,
            steps=tuple(steps),
            outcome=self.score,
            grades=(Grade(level="E3", value=self.score, source="verl's reward"),),
            claim="none",
        )


@final
@dataclass(frozen=True, slots=True)
class Records:
    """The records of a batch's real rows, in its order."""

    records: list[Trajectory]
    skip: list[int]
    """Leading tokens of each that are its prompt."""
    at: list[int]
    """Row of each."""

    def advantages(
        self, made: Signal, masks: Sequence[Sequence[int]]
    ) -> list[Float32[np.ndarray, " _"]]:
        """Returns one array a row of the batch, as long as its mask: what the policy sampled gets
        its advantage; what is unscored, not carried or off the mask 0, and so do padding rows."""
        return self._on_rows(made, masks, made.rows(skip_K=np.array(self.skip, np.int64))[0])

    def weights(
        self, made: Signal, masks: Sequence[Sequence[int]]
    ) -> list[Float32[np.ndarray, " _"]]:
        """Returns 1 for each token that a gate kept and a method scored, rows as in `advantages`:
        what denominator "kept" leaves of the mask."""
        return self._on_rows(made, masks, made.rows(skip_K=np.array(self.skip, np.int64))[1])

    def _on_rows(
        self, made: Signal, masks: Sequence[Sequence[int]], value_KT: Float64[np.ndarray, "K T"]
    ) -> list[Float32[np.ndarray, " _"]]:
        found = [np.zeros(len(mask), np.float32) for mask in masks]
        for k, row in enumerate(self.at):
            mask = np.array(masks[row]) > 0
            found[row][mask] = value_KT[k, : mask.size][mask]
        return found


def names_of(key: str) -> tuple[str, int, int]:
    """Returns uid, session and output of a row by verl's key of it.

    Raises:
        DataError: the key has another form.
    """
    parts = key.rsplit("_", 2)
    if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        raise DataError(f"verl's row {key!r}: expected a key uid_session_output")
    return parts[0], int(parts[1]), int(parts[2])


def records_of(
    rows: Sequence[Row],
    padding: Sequence[bool],
    *,
    step: int,
    decode: Decode,
    needs: frozenset[str] = frozenset(),
) -> Records:
    """Returns the records of a batch.

    Groups are numbered as they come, so that names do not hold verl's random ones.

    Args:
        rows: in verl's order.
        padding: which of them are made up.
        step: of the training.
        decode: token ids to text, for rows without a record.
        needs: "logprobs" and "entropies", where a method reads them.
    """
    names = [names_of(row.key) for row in rows]
    real = [at for at, made_up in enumerate(padding) if not made_up]
    group = {uid: n for n, uid in enumerate(dict.fromkeys(names[at][0] for at in real))}
    outputs = Counter(names[at][:2] for at in real)
    found = Records([], [], [])
    for at in real:
        uid, session, output = names[at]
        record, skip = rows[at].record(decode)
        lack = {n: v for n, v in rows[at].values.items() if n in needs and lacking(record, n)}
        rollout = f"{step}/{group[uid]}/{session}"
        several = outputs[uid, session] > 1
        record = structs.replace(
            filled(record, skip, lack) if lack else record,
            id=f"{rollout}.{output}" if several else rollout,
            group=f"{step}/{group[uid]}",
            session=rollout if several else None,
            trial=session,
        )
        found.records.append(record)
        found.skip.append(skip)
        found.at.append(at)
    return found

"""TRL completions, `completions_{step}.parquet` of `log_completions=True` (needs pyarrow).

Columns are step, prompt, completion, one per reward function, extras of `log_extra`, advantage. The
file does not say which of the middle columns are rewards: those of doubles are. Nor has it reward
weights, so the outcome is the plain sum; a row without any reward is unscored. A group is a run of
rows with one prompt.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from assay.errors import DataError, MissingExtraError
from assay.importers.base import Importer, Losses, Probe
from assay.importers.folders import files_of
from assay.importers.messages import origin, steps_of, typed
from assay.importers.parquet_pages import declared
from assay.importers.tokens import Groups, whole
from assay.records import ModelStep, Origin, Step, Trajectory, UserStep

_FILE = re.compile(r"completions_[0-9]+\.parquet")
_FIXED = frozenset(("step", "prompt", "completion", "advantage", "__index_level_0__"))
_ROWS_AT_ONCE = 16
"""A dictionary-packed column can repeat one long text in every row: few are unfolded at once."""
_MOST_UNPACKED = 50
"""Uncompressed bytes that the file may declare, per byte of the file."""
_FEW = 1 << 14
"""Values that a column of any file may declare; above it not more than the file has bytes."""


@final
class Trl(Importer):
    """One parquet file, its `completions` folder, or the trainer's output folder."""

    name: ClassVar[str] = "trl"
    title: ClassVar[str] = "TRL completions"

    def recognises(self, probe: Probe) -> bool:
        if probe.names:
            return any(_is_file(name.rsplit("/", 1)[-1]) for name in probe.names)
        if not probe.head.startswith(b"PAR1"):
            return False
        # Column names stand as plain bytes in the footer, so pyarrow is not needed to see them.
        tail = _tail(probe.path)
        return all(name in tail for name in (b"prompt", b"completion", b"advantage", b"step"))

    def read(self, path: Path, losses: Losses) -> Iterator[Trajectory]:
        for file in files_of(path, _is_file, "completions_*.parquet", losses):
            groups = Groups()
            runs: dict[str, int] = {}
            before = ""
            for index, (where, row, columns) in enumerate(_rows(file)):
                for name in ("step", "prompt", "completion"):
                    _check_plain(row.get(name), f"{where}.{name}")
                key = _key(row)
                if key != before:
                    runs[key] = runs.get(key, -1) + 1
                before = key
                group = key if runs[key] == 0 else f"{key}-{runs[key]}"
                at = origin("trl", file, index, advantage=_advantage(row))
                rewards = _rewards(row, columns, where, losses)
                yield _trajectory(row, rewards, where, group, groups.trial(group), at, losses)


def _is_file(name: str) -> bool:
    return _FILE.fullmatch(name) is not None


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - (1 << 20)))
            return stream.read()
    except OSError:
        return b""


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any], frozenset[str]]]:
    """Yields (where, row, names of the columns of rewards), a few rows at a time in memory."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError.of(
            "pyarrow", extra="parquet", to="reading TRL completions"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_size(file.metadata, path)
            doubles = [f.name for f in file.schema_arrow if pyarrow.types.is_float64(f.type)]
            columns = frozenset(doubles) - _FIXED
            index = 0
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    yield f"{path} row {index}", row, columns
                    index += 1
    except DataError:
        raise
    # what C++ throws and pyarrow has no class for comes as RuntimeError
    except (pyarrow.ArrowException, OSError, ValueError, RuntimeError) as error:
        line = str(error).split("\n", 1)[0][:160]
        raise DataError(f"{path}: broken parquet: {line}") from None


def _check_plain(value: Any, where: str) -> None:
    """Raises DataError for what parquet can hold and JSON cannot: bytes, dates, decimals."""
    if isinstance(value, dict):
        for key, one in value.items():
            _check_plain(one, f"{where}.{key}")
    elif isinstance(value, list):
        for one in value:
            _check_plain(one, where)
    elif value is not None and not isinstance(value, (str, int, float, bool)):
        raise DataError(f"{where}: got {type(value).__name__}; expected text or messages")


def _check_size(metadata: Any, path: Path) -> None:
    """Raises DataError where the file declares far more data than it can hold."""
    size = path.stat().st_size
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    room, values = sum(group.total_byte_size for group in groups), metadata.num_rows
    try:
        for unpacked, count in declared(path):
            room, values = max(room, unpacked), max(values, count)
    except DataError as error:
        raise DataError(f"{path}: broken parquet: {error}") from None
    if room > max(_MOST_UNPACKED * size, 1 << 20) or values > max(size, _FEW):
        raise DataError(
            f"{path}: declares {room:,} bytes and {values:,} values; "
            f"not believable for a file of {size:,} bytes"
        )


def _advantage(row: dict[str, Any]) -> str | None:
    """Returns the trainer's own advantage of the row, for comparison only."""
    value = row.get("advantage")
    return None if value is None else str(value)[:40]


def _key(row: dict[str, Any]) -> str:
    """Returns the name of a row's prompt within its training step."""
    prompt = row.get("prompt")
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"step{row.get('step')}-prompt-{digest[:12]}"


def _trajectory(
    row: dict[str, Any],
    rewards: dict[str, float | None],
    where: str,
    group: str,
    trial: int,
    at: Origin,
    losses: Losses,
) -> Trajectory:
    step = whole(row, "step", where)
    given = [value for value in rewards.values() if value is not None]
    if not given:
        losses.add("no_outcome", where)
    elif len(rewards) > 1:
        losses.add("reward_weights_unknown", where)
    losses.add("no_tokens", where)
    return Trajectory(
        id=f"{at.path}/{at.index}",
        task="-".join(group.split("-")[1:3]),
        group=group,
        trial=trial,
        steps=_steps(row, where, losses),
        outcome=sum(given) if given else None,
        rewards=rewards,
        policy_version=None if step is None else str(step),
        origin=at,
    )


def _rewards(
    row: dict[str, Any], columns: frozenset[str], where: str, losses: Losses
) -> dict[str, float | None]:
    """Returns the columns of doubles; NaN and null are "this function did not score the row"."""
    rewards: dict[str, float | None] = {}
    for name, value in row.items():
        if name in _FIXED:
            continue
        if name in columns:
            if value is not None and math.isinf(value):
                raise DataError(f"{where}.{name}: got {value}; expected a finite reward")
            rewards[name] = None if value is None or math.isnan(value) else value
        elif value is not None:
            losses.add(f"column:{name}"[:80], where)
    return rewards


def _steps(row: dict[str, Any], where: str, losses: Losses) -> tuple[Step, ...]:
    """Returns prompt and completion as steps; what a model says in the prompt is copied."""
    prompt, completion = row.get("prompt"), row.get("completion")
    if isinstance(prompt, str):
        text = typed(completion, str, f"{where}.completion", "text, as the prompt is")
        return (UserStep(text=prompt), ModelStep(text=text))
    told = [_plain(m, f"{where}.prompt", losses) for m in _list(prompt, f"{where}.prompt")]
    said = [
        _plain(m, f"{where}.completion", losses) for m in _list(completion, f"{where}.completion")
    ]
    steps = steps_of([*told, *said], f"{where}.messages", losses)
    return tuple(_copied(s) if i < len(told) else s for i, s in enumerate(steps))


def _list(value: Any, where: str) -> list[Any]:
    return typed(value, list, where, "text or a list of messages")


def _copied(step: Step) -> Step:
    if type(step) is not ModelStep:
        return step
    return ModelStep(text=step.text, calls=step.calls, spans=step.spans, untrainable="copied")


def _plain(message: Any, where: str, losses: Losses) -> Any:
    """Returns a message without the nulls that parquet fills in where another row had the key."""
    if isinstance(message, dict):
        return {k: _plain(v, where, losses) for k, v in message.items() if v is not None}
    if isinstance(message, list):
        return [_plain(one, where, losses) for one in message]
    return message

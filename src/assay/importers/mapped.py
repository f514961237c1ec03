"""Tables of trajectories: JSON Lines, JSON, CSV or Parquet, a row a trajectory.

`--map` says which column is what (`columns`); public sets are known by their columns (`presets`).
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import chain, islice
from pathlib import Path
from typing import Any, final

import msgspec

from assay.errors import DataError
from assay.files.csvs import csv_rows, header, is_csv
from assay.files.parquet import names
from assay.files.probe import Probe, probe
from assay.files.tables import rows
from assay.importers.base import Importer, Log, Rank, Record, ends, prompt_name
from assay.importers.columns import KEYS, Map, end_of, reward_of
from assay.importers.conversations import asked, said, steps_in
from assay.importers.fields import as_name, found_at
from assay.importers.presets import Preset, preset_of, proposed
from assay.records import End, Step, ToolStep, Trajectory, UserStep

_FEW = 16
"""Rows that are looked at for a column that the first one has not."""
_EXCEPTIONS: dict[str, End] = ends(
    answered="AgentSafetyRefusalError ContentPolicyViolationError",
    budget="AgentTimeoutError ContextWindowExceededError OutputTokenExceededError"
    " ContextLengthExceededError OutputLengthExceededError",
)
"""What Harbor files under the agent's own doing; any other exception is infrastructure."""
_Rows = Iterator[tuple[str, Any]]


@final
class Mapped(Importer):
    """One table, or a folder of tables of the same columns."""

    name = "mapped"
    title = "a table of trajectories"
    record = "a row"
    chosen: Map | None = None
    """What `--map` says. None: the table must be of a known set."""
    _near: tuple[Path, tuple[str, ...]] | None = None
    """Of the tables of a folder that lack a column that `--map` names, one that lacks the fewest,
    and its columns."""

    def rank(self, seen: Probe) -> Rank:
        columns = columns_of(seen)
        if self.chosen is not None:
            missing = self.chosen.missing(columns)
            if missing and columns:
                self._note(seen.path, columns, self.chosen)
            return Rank.NO if missing else Rank.SHAPE
        return Rank.NO if preset_of(columns, seen.first) is None else Rank.SHAPE

    def _note(self, file: Path, columns: tuple[str, ...], chosen: Map) -> None:
        """Keeps the table that is nearest to what `--map` says."""
        before = None if self._near is None else len(chosen.missing(self._near[1]))
        if before is None or len(chosen.missing(columns)) < before:
            self._near = file, columns

    def proposal(self, seen: Probe) -> str:
        return proposed(columns_of(seen), seen.first)

    def parts(self, file: Path) -> tuple[Path, ...]:
        return (file,)

    def read(self, log: Log) -> Iterator[Trajectory]:
        if not log.files:
            if self.chosen is not None and self._near is not None:
                file, columns = self._near
                raise _missing(file, self.chosen, self.chosen.missing(columns), columns)
            turned = "" if self.chosen is None else self.chosen.turned(KEYS)
            raise DataError(f"{log.path}: no table in it has the columns that --map names{turned}")
        for place, file in enumerate(log.files):
            preset = None
            if (chosen := self.chosen) is None:
                preset = _known(file)
                chosen = preset.map
            table = _checked(_rows(log, file, chosen, preset), chosen, file)
            records = (
                Record(row, where, log, self, place, index)
                for index, (where, row) in enumerate(table)
            )
            if preset is not None and preset.repeats:
                records = _whole(records, preset)
            for record in records:
                yield from log.whole(_Row(record, chosen, preset).trajectories())


def columns_of(seen: Probe) -> tuple[str, ...]:
    """Returns the columns of a table, as its beginning shows them."""
    if seen.head.startswith(b"PAR1"):
        try:
            return names(seen.path)
        except DataError:
            return ()
    if is_csv(seen.path):
        return header(seen.path)
    return tuple({key: None for row in seen.few if isinstance(row, dict) for key in row})


def _known(file: Path) -> Preset:
    """Returns the set that a table is of.

    Raises:
        DataError: it is of none that is known; names the columns, and what to type.
    """
    seen = probe(file)
    columns = columns_of(seen)
    if (preset := preset_of(columns, seen.first)) is not None:
        return preset
    typed = proposed(columns, seen.first) or "--map task=COLUMN,reward=COLUMN,messages=COLUMN"
    shown = ", ".join(columns[:30]) or "none"
    raise DataError(f"{file}: which column is what? its columns: {shown}; say {typed}")


def _rows(log: Log, file: Path, chosen: Map, preset: Preset | None) -> _Rows:
    """Yields (where, row) of a table of any kind."""
    with file.open("rb") as stream:
        packed = stream.read(4) == b"PAR1"
    if packed:
        known = names(file)
        if missing := chosen.missing(known):
            raise _missing(file, chosen, missing, known)
        wanted = chosen.tops().union(preset.repeats if preset else ())
        wanted = wanted.union({preset.void.partition(".")[0]} if preset else ())
        if (group := log.choices.group) is not None:
            wanted = wanted.union({group, group.partition(".")[0]})
        if (outcome := log.choices.outcome) is not None and outcome not in chosen.parts:
            named = {outcome, outcome.partition(".")[0]}
            wanted = wanted.union(named if named.intersection(known) else known)
        for where, row, _ in rows(file, to="reading a table", columns=wanted.intersection(known)):
            yield where, row
    elif is_csv(file):
        yield from csv_rows(file, log)
    else:
        yield from log.documents(file)


def _missing(file: Path, chosen: Map, missing: list[str], known: Iterable[str]) -> DataError:
    all_ = [str(name) for name in known]
    ordered = dict.fromkeys([*get_close_matches(missing[0], all_), *all_])  # the nearest first
    shown = ", ".join(name[:40] for name in list(ordered)[:30]) or "none"
    lacks = f"{file}: no column {', '.join(missing)}"
    return DataError(f"{lacks}{chosen.turned(missing)}; its columns: {shown}")


def _checked(table: _Rows, chosen: Map, file: Path) -> _Rows:
    """Yields all rows, if one of the first has each of the columns.

    Raises:
        DataError: none has; names the columns that there are.
    """
    first: list[tuple[str, Any]] = []
    known: dict[str, None] = {}
    for where, row in islice(table, _FEW):
        first.append((where, row))
        if not isinstance(row, dict):
            break
        known.update(dict.fromkeys(row))
        if not chosen.missing(known):
            break
    else:
        if first and (missing := chosen.missing(known)):
            raise _missing(file, chosen, missing, known)
    return chain(first, table)


def _whole(records: Iterator[Record], preset: Preset) -> Iterator[Record]:
    """Yields the last row of each trajectory, of rows that repeat the one before and go on."""
    column = preset.map.columns["messages"]
    before: Record | None = None
    for record in records:
        if before is not None:
            one, other = before.items(column), record.items(column)
            same = all(before.raw.get(key) == record.raw.get(key) for key in preset.repeats)
            if same and 0 < len(one) < len(other) and other[: len(one)] == one:
                record.lose("repeated_history")
            else:
                yield before
        before = record
    if before is not None:
        yield before


class _Row:
    """One row, and what its columns are."""

    def __init__(self, record: Record, chosen: Map, preset: Preset | None) -> None:
        self.record, self.chosen, self.preset = record, chosen, preset

    def trajectories(self) -> Iterator[Trajectory]:
        record, steps = self.record, self._steps()
        if not steps:
            record.lose("no_text")
        task, model = self._name("task") or self._task(steps), self._model()
        group = self._name("group")
        if group is None:
            group = task if model is None else record.groups.name(task, model)
        word = self._name("trial")
        trial = int(word) if word is not None and word.isdecimal() and len(word) < 16 else None
        outcome, end, measured = self._scored()
        at = record.origin(
            set=self.preset and self.preset.name, trial=word if trial is None else None
        )
        yield record.trajectory(
            task,
            steps,
            trial=record.groups.trial(group) if trial is None else trial,
            id=self._name("id") or f"{at.path}/{at.index}",
            group=group,
            outcome=outcome,
            rewards=self._parts() if measured else {},
            measured=measured,
            end=end,
            policy_version=model,
            origin=at,
        )

    def _value(self, key: str) -> tuple[Any, str]:
        """Returns what the column that is `key` holds, and the column's name."""
        column = self.chosen.columns.get(key, "")
        return (found_at(self.record.raw, column, self.record.where) if column else None), column

    def _name(self, key: str) -> str | None:
        value, column = self._value(key)
        return as_name(value, f"{self.record.where}.{column}")

    def _model(self) -> str | None:
        model = self._name("model")
        if model is not None and self.preset is not None and self.preset.model_ends:
            model = model.partition(self.preset.model_ends)[0]
        return model

    def _task(self, steps: tuple[Step, ...]) -> str:
        """Returns the name of a task that no column names: its prompt's."""
        prompt = next((step.text for step in steps if type(step) is UserStep), None)
        if prompt is None:
            self.record.lose("no_task")
            return f"{self.record.file.name}/{self.record.index}"
        self.record.lose("group_is_prompt")
        return prompt_name(prompt)

    def _steps(self) -> tuple[Step, ...]:
        columns, fenced = self.chosen.columns, self.chosen.fenced
        if "messages" in columns:
            return steps_in(*self._told("messages"), fenced=fenced)
        prompt = asked(*self._told("prompt")) if "prompt" in columns else ()
        if self._value("completion")[0] is None:
            return prompt
        return (*prompt, *_moved(said(*self._told("completion"), fenced=fenced), len(prompt)))

    def _told(self, key: str) -> tuple[Any, Record, str]:
        value, column = self._value(key)
        return value, self.record, column

    def _scored(self) -> tuple[float | None, End, bool]:
        """Returns the outcome, how it ended, and whether it was measured."""
        record, preset = self.record, self.preset
        value, column = self._value("reward")
        raised = preset is not None and preset.excepted and isinstance(value, str)
        if raised and value.endswith(("Error", "Exception", "Interrupt")):
            record.lose("no_outcome")
            return None, _EXCEPTIONS.get(value, "infra"), False
        end = end_of(*self._told("end")) if "end" in self.chosen.columns else "unknown"
        outcome = reward_of(value, record, column)
        name = "" if preset is None else preset.void
        void = bool(name) and found_at(record.raw, name, record.where) is True
        if void:
            record.lose("evaluation_failed")
            outcome = None
        return record.scored(outcome), end, not void

    def _parts(self) -> dict[str, float | None]:
        """Returns the named parts of the reward, with the one that the reader names besides."""
        at, outcome = self.record, self.record.choices.outcome
        found = {name: (found_at(at.raw, c, at.where), c) for name, c in self.chosen.parts.items()}
        if outcome is not None and outcome not in found:
            value = found_at(at.raw, outcome, at.where)
            found |= {} if value is None else {outcome: (value, outcome)}
        return {name: reward_of(value, at, column) for name, (value, column) in found.items()}


def _moved(steps: tuple[Step, ...], by: int) -> Iterator[Step]:
    """Yields steps that come after `by` others."""
    for step in steps:
        if type(step) is ToolStep and step.call is not None:
            at = step.call[0] + by, step.call[1]
            step = msgspec.structs.replace(step, call=at)
        yield step

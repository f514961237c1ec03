"""What `assay replay` found out about steps of a log, as the pages show it.

A replay that is torn, unfinished or of another log is told in one line, and the rest is shown.
"""

from pathlib import Path
from typing import Any, Final, final

import msgspec
import numpy as np

from assay.batch import Batch
from assay.errors import DataError
from assay.records import Replayed, replayed
from assay.report.pack import decimals, listed, significant

ROWS: Final = "decisions.jsonl"
TRUTH: Final = "truth.json"


class _Number(msgspec.Struct, frozen=True):
    value: float | None
    low: float | None = None
    high: float | None = None


class _Metric(msgspec.Struct, frozen=True):
    value: _Number
    shuffled: _Number
    random: _Number
    over_shuffled: _Number


class _Judged(msgspec.Struct, frozen=True):
    decisions: int
    auroc_matters: _Metric
    auroc_sign: _Metric
    rank: _Metric
    sign: _Metric
    bias: _Metric


class _Asked(msgspec.Struct, frozen=True):
    samples: int


class _Truth(msgspec.Struct, frozen=True, tag_field="schema", tag="assay.truth/1"):
    """What the pages show of `truth.json`."""

    headline: str
    compared: int
    decisions: int
    scored: int
    tasks: int
    verdicts: dict[str, int]
    matters: _Number
    half_width: float | None
    asked: _Asked
    methods: dict[str, _Judged]
    evidence: dict[str, _Judged]
    refused: dict[str, str] = {}


@final
class Replays:
    """The replayed steps of a batch, and what is said of all of them."""

    def __init__(self, folder: Path | None, batch: Batch) -> None:
        """Reads what a replay left.

        Args:
            folder: holds `decisions.jsonl` and, once it is finished, `truth.json`; None, or a
                folder without: nothing was replayed, and nothing is said.
            batch: the log's. A row belongs to the step that it names; to all of them where branches
                of a tree share it.
        """
        self._of: dict[tuple[int, int], dict[str, Any]] = {}
        self.index: dict[str, Any] | None = None
        """What the pages know before they open a group: `rows`, by column; `of`, how many there
        are in the file; `truth`, null where it is not there; `trouble`, lines for people. None:
        there is no replay."""
        if folder is None or not (folder / ROWS).is_file():
            return
        trouble: list[str] = []
        rows = self._placed(_rows(folder / ROWS, trouble), batch, trouble)
        truth = _truth(folder / TRUTH, trouble)
        self.index = {**rows, "truth": truth, "trouble": trouble}

    def of(self, k: int, index: int) -> dict[str, Any]:
        """Returns what is known of a step of trajectory `k`: under `replay`, or nothing."""
        found = self._of.get((k, index))
        return {} if found is None else {"replay": found}

    def _placed(self, rows: list[Replayed], batch: Batch, trouble: list[str]) -> dict[str, Any]:
        """Finds the step of each row; returns those that were found, by column."""
        named = {row.trajectory for row in rows}
        number = {name: k for k, name in enumerate(batch.ids) if name in named}
        columns: dict[str, list[Any]] = {"k": [], "step": [], "about": []}
        for row in rows:
            k = number.get(row.trajectory)
            places = [] if k is None else _places(batch, k, row.step)
            if not places or k is None:
                continue
            about = _about(row)
            self._of |= dict.fromkeys(places, about)
            for name, value in (("k", k), ("step", row.step), ("about", about)):
                columns[name].append(value)
        if (found := len(columns["k"])) < len(rows):
            left = "none" if not found else f"only {found:,}"
            trouble.append(
                f"replay/{ROWS}: of its {len(rows):,} decisions {left} can be found in this log, "
                "which was changed since, or is another one; replay this one into another folder "
                "(assay replay -o)."
            )
        return {"rows": columns, "of": len(rows)}


def _rows(path: Path, trouble: list[str]) -> list[Replayed]:
    """Returns the rows up to the first that is none."""
    rows: list[Replayed] = []
    try:
        rows.extend(replayed(path))
    except DataError as error:
        said = str(error).replace(str(path), f"replay/{ROWS}")
        trouble.append(f"{said}; replay it again.")
    return rows


def _places(batch: Batch, k: int, index: int) -> list[tuple[int, int]]:
    """Returns the step `index` of trajectory `k`, and every step that is the same node."""
    low, high = np.searchsorted(batch.traj_S, [k, k + 1]).tolist()
    found = low + np.flatnonzero(batch.index_S[low:high] == index)
    if not found.size:
        return []
    node, tree = batch.node_S[found[0]], batch.tree_K[k]
    if node >= 0 and tree >= 0:  # a node is of one tree
        ks = np.flatnonzero(batch.tree_K == tree)
        begin, end = (np.searchsorted(batch.traj_S, ks + after) for after in (0, 1))
        at = np.concatenate([np.arange(*ends) for ends in zip(begin, end, strict=True)])
        found = at[batch.node_S[at] == node]
    return list(zip(batch.traj_S[found].tolist(), batch.index_S[found].tolist(), strict=True))


def _about(row: Replayed) -> dict[str, Any]:
    numbers = (row.advantage, row.low, row.high, row.before.mean, row.after.mean)
    rounded = listed(significant(np.array(numbers, float)))
    names = ("advantage", "low", "high", "before", "after")
    return {"verdict": row.verdict, **dict(zip(names, rounded, strict=True))}


def _truth(path: Path, trouble: list[str]) -> dict[str, Any] | None:
    try:
        truth = msgspec.json.decode(path.read_bytes(), type=_Truth)
    except FileNotFoundError:
        trouble.append(
            f"replay/{TRUTH}: is not there yet, so the replay is not finished; the same "
            "assay replay goes on with it."
        )
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        trouble.append(f"replay/{TRUTH}: {said}; expected an assay.truth/1; replay it again.")
        return None
    return rounded(msgspec.to_builtins(truth))


def rounded(value: Any) -> Any:
    """Returns plain values as they are told: rounded once, here, so that no reader rounds what was
    rounded; a number and its interval to the same decimals."""
    if not isinstance(value, dict):
        return round(value, 6) if isinstance(value, float) else value
    if set(value) == {"value", "low", "high"}:
        digits = decimals(**value)
        return {key: None if x is None else round(x, digits) + 0.0 for key, x in value.items()}
    return {key: rounded(each) for key, each in value.items()}

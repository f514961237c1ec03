"""What cells came to: one JSON object a line, one line a cell; and what was committed of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from jaxtyping import Float64, Int64

from assay.claims.cells import ARMS, BASE, ENVIRONMENTS, SHIPPED, STARTS
from assay.errors import DataError
from assay.kernels.passk import pass_at_k

SCHEMA: Final = "assay.claims/1"


@final
@dataclass(frozen=True, slots=True)
class Row:
    """What one cell came to, or a base (arm "base") or its frozen copy ("null")."""

    cell: Mapping[str, Any]
    passed: Mapping[str, Sequence[int]]
    """Passes of each held-out task, by optimiser step; a base has step 0 alone."""
    samples: int
    """Attempts at each task."""
    entropy: float | None = None
    """Mean nats a sampled token over the last quarter of the steps. None: not trained."""
    dead_share: float | None = None
    """Groups without signal, mean over the run."""
    dose: float | None = None
    """Sum over steps of |A| over the trained tokens times the learning rate. None: not trained, or
    trained before it was counted."""
    tokens: int = 0
    """Generated in training."""
    spent: Mapping[str, int] = field(default_factory=dict[str, int])
    """Tokens generated up to each step of `passed`."""
    seconds: float = 0.0
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Scale and versions."""

    @property
    def last(self) -> Sequence[int]:
        """Passes at the last checkpoint."""
        return self.passed[max(self.passed, key=int)]

    def within(self, tokens: float) -> Sequence[int] | None:
        """Returns passes at the last checkpoint for which so many tokens suffice; None: none is."""
        fitting = [step for step, spent in self.spent.items() if spent <= tokens]
        return self.passed[max(fitting, key=int)] if fitting else None


@final
class Rows:
    """The rows of an experiment."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)

    @property
    def environments(self) -> list[str]:
        """Environments of the rows: the two of old first, others as they come."""
        own = (row.cell["env"] for row in self.rows)
        return list(dict.fromkeys([*ENVIRONMENTS, *own]))

    @property
    def starts(self) -> list[str]:
        """Starts of the rows, those with a level of their own first."""
        return list(dict.fromkeys([*STARTS, *(row.cell["start"] for row in self.rows)]))

    @property
    def arms(self) -> list[str]:
        """Arms of the rows: those that all experiments know first, others as they come."""
        own = (row.cell["arm"] for row in self.rows)
        return list(dict.fromkeys([*BASE, *ARMS, *SHIPPED, *own]))

    def find(self, env: str, start: str, arm: str, **more: Any) -> list[Row]:
        """Returns the rows of an arm by seed; what is not named must be as it is by default."""
        wanted: dict[str, Any] = {"minibatches": 1, "batch": 1, "length": 1, "false_negatives": 0.0}
        wanted |= {"env": env, "start": start, "arm": arm} | more
        found = [row for row in self.rows if {k: row.cell[k] for k in wanted} == wanted]
        return sorted(found, key=lambda row: row.cell["seed"])

    def alike(
        self,
        arms: Sequence[tuple[str, Mapping[str, Any]]],
        start: str,
        envs: Sequence[str] | None = None,
    ) -> list[list[list[Row]]]:
        """Returns, for each environment (None: all) in which every arm was run at some seed alike,
        the rows of each arm at those seeds, by seed. An arm: its name, and what of the cell is not
        default."""
        found: list[list[list[Row]]] = []
        for env in self.environments if envs is None else envs:
            every = [self.find(env, start, arm, **more) for arm, more in arms]
            seeds = set[int].intersection(*({row.cell["seed"] for row in rows} for rows in every))
            if seeds:
                found.append([[row for row in rows if row.cell["seed"] in seeds] for rows in every])
        return found

    def base(self, env: str, start: str, k: int = 1) -> Float64[np.ndarray, " G"] | None:
        """Returns pass@k of the untrained policy on each task, of all its attempts. None: not
        measured."""
        found = self.find(env, start, "base")
        if not found:
            return None
        passed = [sum(each) for each in zip(*(row.last for row in found), strict=True)]
        return rate(passed, sum(row.samples for row in found), k)


def rate(passed: Sequence[int], samples: int, k: int) -> Float64[np.ndarray, " G"]:
    """Returns unbiased pass@k of each task."""
    passed_G: Int64[np.ndarray, " G"] = np.asarray(passed, np.int64)
    return pass_at_k(np.full(passed_G.size, samples, np.int64), passed_G, k)


def read(path: Path) -> Rows:
    """Returns the rows of a file.

    Raises:
        DataError: a line is no row of this schema.
    """
    return Rows(parsed(path.read_text(encoding="utf-8").splitlines(), str(path)))


def parsed(lines: Iterable[str], where: str) -> list[Row]:
    """Returns rows from JSON lines."""
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        try:
            data = json.loads(line)
            if data.pop("schema") != SCHEMA:
                raise KeyError("schema")
            rows.append(Row(**data))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{where}:{number}: {error!r}; expected a line of schema {SCHEMA}; remove the line "
                "and run again"
            ) from None
    return rows


def data(row: Row) -> dict[str, Any]:
    """Returns a row as plain data."""
    return {"schema": SCHEMA} | {name: getattr(row, name) for name in Row.__dataclass_fields__}


def committed(folder: Path, name: str) -> Rows:
    """Returns the rows of an experiment that lie in its folder; none if nothing was committed."""
    file = folder / f"{name}.jsonl"
    return read(file) if file.is_file() else Rows([])

"""What an experiment is: cells, predictions, and what would refute them; and where experiments lie.

A folder of experiments holds a module for each, which calls it `EXPERIMENT`, and what was run of it
and committed, ID.jsonl.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any, Final, Literal, final

import numpy as np
from jaxtyping import Float64

from assay.claims.cells import Cell, Scale
from assay.claims.measures import Measure, Seen
from assay.claims.results import Row, Rows
from assay.errors import UnknownNameError, UsageError, hint
from assay.evaluate.intervals import Estimate

Verdict = Literal["held", "refuted", "open", "not run"]
Zone = tuple[float, float]
"""Open interval: a bound is not in it, so that no difference at all agrees with no direction."""
NEGATIVE: Final[Zone] = (-inf, 0.0)
POSITIVE: Final[Zone] = (0.0, inf)
ENOUGH: Final = 3
"""Seeds below which nothing is said: an interval over fewer is too narrow."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What should be seen, and what would refute it."""

    id: str
    says: str
    expected: str
    """Direction and size, before anything was run."""
    refuted_if: str
    measure: Measure
    """What is looked at; None: cells are missing."""
    holds: Zone = POSITIVE
    """Values that agree with the prediction."""
    refutes: tuple[Zone, ...] = (NEGATIVE,)
    """Values that refute it. Between the zones nothing is said."""
    unit: str = "points"
    """"points": shares, shown in percent; "p": of a test, without an interval; else as they are."""

    @staticmethod
    def of(
        id: str, says: str, expected: str, refuted_if: str, measure: Measure,
        holds: Zone = POSITIVE, *refutes: Zone, unit: str = "points",
    ) -> "Prediction":  # fmt: skip
        """Returns a prediction written as one row, its words first; without a zone that refutes it,
        what is negative does."""
        return Prediction(
            id=id, says=says, expected=expected, refuted_if=refuted_if, measure=measure,
            holds=holds, refutes=refutes or (NEGATIVE,), unit=unit,
        )  # fmt: skip

    def verdict(self, seen: Seen | None) -> Verdict:
        """Returns what an interval says: it must lie in a zone as a whole, with `ENOUGH` seeds."""
        if seen is None:
            return "not run"
        if seen.estimate is None or (seen.seeds is not None and seen.seeds < ENOUGH):
            return "open"
        if _inside(seen.estimate, self.holds):
            return "held"
        return "refuted" if any(_inside(seen.estimate, zone) for zone in self.refutes) else "open"


def _inside(seen: Estimate, zone: Zone) -> bool:
    return zone[0] < seen.low and seen.high < zone[1]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a page shows of cells that were not trained, as Markdown."""

    ran: str
    """What was run, and with what."""
    tables: str


def each_seed(values: Float64[np.ndarray, " _"]) -> str:
    """Returns a mean, and behind it the value of each seed, as a table's cell shows them."""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f} ({', '.join(f'{value:.2f}' for value in values)})"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Cells and what they should show."""

    id: str
    title: str
    source: str
    cells: Callable[[Scale, int], Iterator[Cell]]
    """Cells of a scale with so many seeds, the most telling ones first."""
    predictions: Sequence[Prediction]
    scales: Mapping[str, Scale]
    """How much can be run of it: "quick", which takes a minute, and others."""
    quick: Sequence[str]
    """Names of the cells of "quick", without their seed."""
    unread: str = ""
    """What was set down with the predictions and is not read here."""
    about: Callable[[Cell, Scale], Mapping[str, Any]] | None = None
    """What else the row of an untrained cell says in `about`."""
    work: Callable[[Cell, Scale, Path], Row] | None = None
    """Runs a cell, in a folder of the run; importable by name. None: it trains the cell's arm."""
    shown: Callable[[Rows], Shown] | None = None
    """What the page shows in place of the arms that were trained."""


def load(folder: Path) -> dict[str, Experiment]:
    """Returns the experiments of a folder by id, in the order of their files' names.

    Raises:
        UsageError: there are none.
    """
    place = folder.resolve()
    if str(place.parent) not in sys.path:
        sys.path.insert(0, str(place.parent))
    named = [file.stem for file in sorted(place.glob("*.py")) if not file.stem.startswith("_")]
    modules = [import_module(f"{place.name}.{name}") for name in named]
    found: list[Experiment] = [m.EXPERIMENT for m in modules if hasattr(m, "EXPERIMENT")]
    if not found:
        raise UsageError(
            f"{folder}: no experiments there; run this in a checkout of Assay, or name their "
            "folder with --folder"
        )
    return {each.id: each for each in found}


def experiment(name: str, folder: Path) -> Experiment:
    """Returns an experiment of a folder by its id.

    Raises:
        UsageError: the folder holds none at all.
        UnknownNameError: there is none of that name; with those that exist.
    """
    known = load(folder)
    if name not in known:
        raise UnknownNameError(f"no claim {name!r}.{hint(name, known)} Known: {', '.join(known)}")
    return known[name]

"""Worlds of known truth, one an arm, whose numbers are arithmetic: cells, rows, tables."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from assay.claims import Row, Rows
from assay.claims.cells import Cell, Scale
from assay.claims.experiment import Shown

World = Callable[[np.random.Generator, Scale], Mapping[str, float]]
"""Returns the numbers of one world at one seed."""


def cells(worlds: Mapping[str, World], seeds: int) -> Iterator[Cell]:
    """Yields a cell for each world and seed, seeds outermost."""
    for seed in range(1, seeds + 1):
        for arm in worlds:
            yield Cell(env="simulated", start="known", arm=arm, seed=seed)


def row(worlds: Mapping[str, World], cell: Cell, scale: Scale) -> Row:
    """Returns what the world of a cell came to; chance is drawn from its seed and its place."""
    began, rng = time.monotonic(), np.random.default_rng([cell.seed, [*worlds].index(cell.arm)])
    found = worlds[cell.arm](rng, scale)
    about = {"scale": scale.name, "seen": {name: round(v, 6) for name, v in found.items()}}
    return Row(cell.data(), {"0": [0]}, 2, seconds=time.monotonic() - began, about=about)


def rows_of(rows: Rows, arm: str) -> Sequence[Row]:
    """Returns the rows of a world, seed by seed."""
    return rows.find("simulated", "known", arm)


def ran(rows: Rows, worlds: Mapping[str, World]) -> str:
    """Returns how much was run, the first words of a page."""
    seeds = max(len(rows_of(rows, arm)) for arm in worlds)
    seconds = sum(row.seconds for row in rows.rows)
    return f"Simulated, {seeds} seeds, {seconds:.0f} seconds of one core; no model."


def tables(rows: Rows, worlds: Mapping[str, World]) -> str:
    """Returns every number of every world that was run: its mean, least and most over seeds."""
    return "\n".join(line for arm in worlds for line in _table(arm, rows_of(rows, arm)))


def shown(rows: Rows, *, worlds: Mapping[str, World], more: str) -> Shown:
    """Returns the page: how much was run, what more there is to say, and every number."""
    return Shown(ran=f"{ran(rows, worlds)} {more}", tables=tables(rows, worlds))


def _table(arm: str, found: Sequence[Row]) -> Iterator[str]:
    if not found:
        return
    yield f"\n**{arm}**\n\n| | mean | least | most |\n|---|---|---|---|"
    for name in found[0].about["seen"]:
        values = [row.about["seen"][name] for row in found]
        yield f"| {name} | {np.mean(values):.4g} | {min(values):.4g} | {max(values):.4g} |"

"""How long cells will take: from rows that say how long theirs took, and from those that ended."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import final

from assay.claims.cells import BASE, Cell, Scale
from assay.claims.results import Row


@final
class Forecast:
    """Seconds until the last of some cells ends."""

    def __init__(
        self,
        cells: Iterable[Cell],
        scale: Scale,
        known: Iterable[Row],
        *,
        workers: int,
        slower: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the cells that are begun now.

        Args:
            cells: that will be run.
            scale: theirs.
            known: rows of the experiment, from whenever; those of other scales say nothing.
            workers: cells at a time.
            slower: how many times as long a cell takes here, as with other work on the cores; what
                the first cells take decides it anew.
            clock: seconds.
        """
        rows = [row for row in known if row.seconds > 0 and row.about.get("scale") == scale.name]
        self._thought = {cell.key: _expected(cell, scale, rows) for cell in cells}
        self._known = bool(rows or scale.seconds)
        self._workers, self._slower, self._clock = workers, slower, clock
        self._took = self._of = 0.0
        self._began = clock()

    def ended(self, cell: Cell, seconds: float) -> None:
        """Takes what a cell took: what others were thought to take is corrected by it."""
        self._took, self._of = self._took + seconds, self._of + self._thought[cell.key]
        self._slower, self._known = self._took / self._of, True

    @property
    def left(self) -> float | None:
        """Seconds from now on. None: no row tells, and no cell ended yet."""
        if not self._known or not self._thought:
            return None
        each = self._thought.values()
        whole = self._slower * max(sum(each) / self._workers, *each)
        return max(whole - (self._clock() - self._began), 0.0)


def _expected(cell: Cell, scale: Scale, rows: list[Row]) -> float:
    """Returns seconds by rows of the same cell at any seed, else of all that are trained, or are
    not, as it is; else those of the scale. Nothing tells: 1, and the first that ends corrects it.
    """
    cells = [Cell(**row.cell) for row in rows]
    same = [replace(each, seed=cell.seed).key == cell.key for each in cells]
    alike = [(each.arm in BASE) == (cell.arm in BASE) for each in cells]
    chosen = same if any(same) else alike
    found = [row.seconds for row, taken in zip(rows, chosen, strict=True) if taken]
    return sum(found) / len(found) if found else scale.seconds or 1.0

"""Runs the cells of an experiment, several at a time; what is done is not done again."""

import json
import multiprocessing
import os
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.claims.cells import Cell, Scale
from assay.claims.forecast import Forecast
from assay.claims.results import Row, Rows, data, read
from assay.errors import UsageError
from assay.files.atomic import sync
from assay.files.lines import append, cut
from assay.rollout.progress import about, duration, free_cores

if TYPE_CHECKING:
    from assay.claims.work import Beside

Work = Callable[[Cell, Scale, Path], Row]
"""Runs one cell in a folder of the run; it must be importable by name, for a worker."""
_EVERY: Final = 30.0
"""Seconds without a line, at most."""


def run(
    cells: Sequence[Cell],
    scale: Scale,
    out: Path,
    *,
    workers: int,
    say: Callable[[str], None],
    beside: "Beside | None" = None,
    work: Work | None = None,
    known: Sequence[Row] = (),
) -> Rows:
    """Returns the rows of all cells; `out/rows.jsonl` grows by a line as each one ends.

    Args:
        cells: what is run, unless its row is there.
        scale: how much of each.
        out: folder of the run.
        workers: cells at a time.
        say: takes what will be done and how long it takes, and a line as each one ends.
        beside: what else rows of untrained cells say.
        work: runs a cell. None: it is trained.
        known: rows that say how long cells took, elsewhere or before.

    Raises:
        UsageError: `out` holds rows of another scale, or a cell could not be written in a row.
    """
    from assay.runs.start import versions

    _writable(cells)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "rows.jsonl"
    rows = _done(path, scale)
    done = {Cell(**row.cell).key for row in rows}
    left = [cell for cell in cells if cell.key not in done]
    slower = workers / free_cores(workers)
    forecast = Forecast(left, scale, [*rows, *known], workers=workers, slower=slower)
    begun = f"{len(cells)} cells, {len(cells) - len(left)} of them done; {workers} at a time"
    say(begun if forecast.left is None else f"{begun}; {about(forecast.left)}")
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "versions": versions()}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_begin) as pool:
        futures = {pool.submit(_one, cell, scale, out, beside, work): cell for cell in left}
        try:
            for number, (cell, found) in enumerate(_ending(futures, forecast, say), 1):
                row = replace(found, about={**found.about, **machine})
                append(path, data(row))
                sync(path)
                say(f"{number}/{len(left)}  {_told(cell, row)}{_left(forecast)}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for each in multiprocessing.active_children():
                each.terminate()
            raise
    return read(path) if path.exists() else Rows([])


def _writable(cells: Sequence[Cell]) -> None:
    """Refuses, before anything is trained, a cell that no row could hold."""
    for cell in cells:
        try:
            json.dumps(cell.data(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"claims: cell {cell.key}: {error}; expected numbers that JSON has: a large one in "
                "the place of an infinite one"
            ) from None


def _ending(
    futures: "Mapping[Future[Row], Cell]", forecast: Forecast, say: Callable[[str], None]
) -> Iterator[tuple[Cell, Row]]:
    """Yields cells and their rows as they end; says now and then how long the others will take."""
    left = set(futures)
    while left:
        ended, left = wait(left, timeout=_EVERY, return_when=FIRST_COMPLETED)
        if not ended:
            say(f"at work{_left(forecast)}")
        for future in ended:
            row = future.result()
            forecast.ended(futures[future], row.seconds)
            yield futures[future], row


def _left(forecast: Forecast) -> str:
    return "" if forecast.left is None else f"  {duration(forecast.left)} left"


def _done(path: Path, scale: Scale) -> list[Row]:
    """Returns the rows of a file; a line that was cut off by a kill is taken away."""
    if not path.exists():
        return []
    cut(path)
    rows = read(path).rows
    other = {row.about["scale"] for row in rows} - {scale.name}
    if other:
        raise UsageError(
            f"{path}: holds rows of scale {', '.join(sorted(other))}, asked is {scale.name}; "
            "name another folder (--out)"
        )
    return rows


def _begin() -> None:
    """Prepares a worker: one thread for numbers, and one that ends it with its parent."""
    os.environ["OMP_NUM_THREADS"] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Waits for the parent's death, however it dies; a cell without a reader is wasted."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _one(cell: Cell, scale: Scale, out: Path, beside: "Beside | None", own: Work | None) -> Row:
    from assay.claims.work import work

    with (
        (out / "log.txt").open("a", encoding="utf-8") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        log.write(json.dumps(cell.data()) + "\n")
        return work(cell, scale, out, beside) if own is None else own(cell, scale, out)


def _told(cell: Cell, row: Row) -> str:
    mean = sum(row.last) / (len(row.last) * row.samples)
    entropy = "" if row.entropy is None else f"  H {row.entropy:.3f}"
    return f"{cell.key}: pass@1 {mean:.3f}{entropy}  {row.seconds:.0f} s"

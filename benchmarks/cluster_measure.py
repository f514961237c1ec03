"""What `assay.cluster` wants to know, measured with processes of cluster_run.py, one thing at a
time: lengths, seconds of pieces and updates, a start, and what processes do to each other.
"""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.optimize import nnls

from assay.batch import Batch
from assay.cluster import Measured
from assay.pipeline import gated
from assay.recipes import Recipe
from assay.records.codec import decode
from assay.signal.signal import signal
from cluster_run import PATIENCE, RECIPE, Answer, Order, Process, trainer, worker

GROUP: Final = 8
TASKS, FIRST = 64, 400_000
"""Tasks that are measured, none of which a real run plays."""
SIZES: Final = (1, 2, 4, 8)
SHARING, SECONDS = 4, 3.0
"""Workers that are busy at once, at most, and for how long."""
PAUSE: Final = 0.3
UPDATES: Final = (1, 2, 3, 4, 6, 8)
"""Groups of an update; the first two updates of a trainer do not count."""


def asked(process: Process, order: Any) -> tuple[float, Any]:
    """Returns the seconds until a process has answered, and the answer."""
    began = time.perf_counter()
    process.channel.send(order)
    answer = process.answer()
    return time.perf_counter() - began, answer


def starts(folder: Path, many: int = 3) -> list[float]:
    """Returns the seconds from nothing to a worker that can play."""
    found: list[float] = []
    for _ in range(many):
        began = time.perf_counter()
        process = Process(worker, folder, stops=True)
        try:
            process.answer()
            found.append(time.perf_counter() - began)
        finally:
            process.end()
    return found


def pieces(process: Process) -> list[tuple[int, float, Answer]]:
    """Returns (trajectories, seconds, answer) of pieces of every size, played alone."""
    found: list[tuple[int, float, Answer]] = []
    for task in range(TASKS):
        for rows in SIZES:
            order = Order(len(found), FIRST + task, 0, rows, 0, rows)
            found.append((rows, *asked(process, order)))
    return found


def fitted(rows: Sequence[Sequence[float]], seconds: Sequence[float]) -> tuple[list[float], Any]:
    """Returns the factors of least squares, none negative, and what each time is of its fit."""
    table, times = np.array(rows, float), np.array(seconds)
    factors, _ = nnls(table / times[:, None], np.ones(times.size))  # relative errors alike
    return factors.tolist(), times / (table @ factors)


def updates(folder: Path, played: Sequence[Answer]) -> list[tuple[int, float, dict[str, float]]]:
    """Returns (tokens, seconds, parts) of updates on groups that were played, made alone."""
    process, found = Process(trainer, folder, stops=False), []
    try:
        process.answer()
        chance = np.random.default_rng(0)
        for number, groups in enumerate((2, 2, *UPDATES * 4)):
            picks = [played[at] for at in chance.choice(len(played), groups, replace=False)]
            lines = [line for each in picks for line in each.lines]
            seconds, parts = asked(process, (number + 1, lines))
            if number >= 2:
                found.append((sum(sum(each.tokens) for each in picks), seconds, parts))
    finally:
        process.end()
    return found


def loads(process: Process, versions: int) -> list[float]:
    """Returns the seconds of a worker to take weights that were published."""
    found: list[float] = []
    for version in range(1, versions + 1):
        _, answer = asked(process, Order(version, FIRST, 0, 1, version, 0))
        found.append(answer.load)
    return found[1:]


def widths(lengths: Sequence[int]) -> list[float]:
    """Returns how many forward passes have 1, 2, ... trajectories in them."""
    longest = [*sorted(lengths, reverse=True), *[0] * (1 + GROUP - len(lengths))]
    return [float(a - b) for a, b in pairwise(longest)]


def woken(process: Process, orders: Sequence[Any]) -> float:
    """Returns the seconds that an order takes more after `PAUSE`, the same one each time."""
    more: list[float] = []
    for order in orders:
        asked(process, order)
        straight, _ = asked(process, order)
        time.sleep(PAUSE)
        more.append(asked(process, order)[0] - straight)
    return max(0.0, float(np.mean(more)))


def sharing(
    folder: Path, lines: Sequence[bytes], seconds: Callable[[Sequence[int]], float]
) -> dict[str, Any]:
    """Returns the speeds of processes that are busy at once, 1 being alone: of 1, 2, ... workers,
    of as many beside a trainer, and of the trainer. By pieces of 4, and updates on `lines`."""
    workers = [Process(worker, folder, stops=True) for _ in range(SHARING)]
    other = Process(trainer, folder, stops=False)
    try:
        for each in (*workers, other):
            each.answer()
        asked(other, (1, lines))
        wake = woken(other, [(1, lines)] * 8)
        alone = _speeds([], other, lines)[1]
        apart = [_speeds(workers[:n], None, lines) for n in range(1, SHARING + 1)]
        both = [_speeds(workers[:n], other, lines) for n in range(1, SHARING)]
    finally:
        for each in (*workers, other):
            each.end()
    ratio = np.array([spent / seconds(lengths) for spent, lengths in apart[2][2]])
    return {
        "wake_update": wake,
        "crowded": _quantiles(ratio / ratio.mean()),
        "rates": [each / apart[0][0] for each, _, _ in apart],
        "beside": [each / apart[0][0] for each, _, _ in both],
        "burdened": [each / alone for _, each, _ in both],
    }


def _speeds(
    workers: Sequence[Process], other: Process | None, lines: Sequence[bytes]
) -> tuple[float, float, list[tuple[float, Sequence[int]]]]:
    """Returns forward passes of a worker and updates of the trainer in a second, all being busy, up
    to the last that was done; and seconds and lengths of each piece."""
    busy = [*workers, *([other] if other else [])]
    given, made, last = [0] * len(busy), [0.0] * len(busy), [0.0] * len(busy)

    def give(at: int) -> None:
        given[at] += 1
        update = (given[at], lines)
        order = Order(given[at], FIRST + given[at] % TASKS, 0, 4, 0, 4)
        busy[at].channel.send(update if busy[at] is other else order)

    pieces: list[tuple[float, Sequence[int]]] = []
    began = time.perf_counter()
    for at in range(len(busy)):
        give(at)
    channels = [each.channel for each in busy]
    while time.perf_counter() - began < SECONDS:
        for channel in wait(channels, PATIENCE):
            at, answer = channels.index(channel), channel.recv()
            now = time.perf_counter() - began
            if busy[at] is other:
                made[at] += 1.0
            else:
                made[at] += sum(answer.forwards)
                pieces.append((now - last[at], answer.forwards))
            last[at] = now
            give(at)
    for each in busy:
        each.answer()
    speeds = [a / b for a, b in zip(made, last, strict=True)]
    many = len(workers)
    return float(np.mean(speeds[:many])) if many else 0.0, speeds[-1], pieces


def _quantiles(values: Any) -> list[float]:
    return np.quantile(values, (np.arange(40) + 0.5) / 40).round(4).tolist()


def signal_seconds(played: Sequence[Answer]) -> dict[str, float]:
    """Returns the seconds of evidence, gate and credit on 8 groups, best of seven."""
    recipe = Recipe.of(RECIPE)
    records = [decode(line) for each in played[:8] for line in each.lines]
    spent: dict[str, list[float]] = {"evidence": [], "gate": [], "credit": []}
    for _ in range(7):
        at = [time.perf_counter()]
        batch = Batch.of(records, measure="tokens", pass_at=recipe.pass_at)
        at.append(time.perf_counter())
        gated(batch, recipe)
        at.append(time.perf_counter())
        signal(batch, recipe).rows()
        at.append(time.perf_counter())
        first, gate, both = np.diff(at).tolist()
        for name, seconds in zip(spent, (first, gate, both - gate), strict=True):
            spent[name].append(seconds)
    tokens = sum(sum(each.tokens) for each in played[:8])
    return {name: min(seconds) / tokens for name, seconds in spent.items()}


def cost(whole: Sequence[tuple[float, Answer]], trained: Any, signals: Any) -> dict[str, float]:
    """Returns the seconds of one core that a million tokens written by the policy cost, by part."""
    tokens = sum(sum(answer.tokens) for _, answer in whole)
    world = sum(answer.world for _, answer in whole)
    play = sum(answer.seconds for _, answer in whole)
    sent = sum(seconds for seconds, _ in whole) - play
    largest = [each for each in trained if each[0] >= np.quantile([t for t, _, _ in trained], 0.7)]
    count = sum(each[0] for each in largest)
    part = {name: sum(each[2][name] for each in largest) / count for name in largest[0][2]}
    rest = sum(each[1] - sum(each[2].values()) for each in largest) / count
    return {
        "generation": 1e6 * (play - world) / tokens,
        "tools, verifier, recording": 1e6 * world / tokens,
        "evidence of calls": 1e6 * signals["evidence"],
        "gate": 1e6 * signals["gate"],
        "credit": 1e6 * signals["credit"],
        "forward and backward": 1e6 * part["forward and backward"],
        "optimiser": 1e6 * part["optimiser"],
        "publication of weights": 1e6 * part["publish"],
        "records between processes": 1e6 * (sent / tokens + rest),
    }


def all_of_it(folder: Path) -> tuple[Measured, dict[str, Any]]:
    """Returns what the model takes, and what it was made of."""
    begun = starts(folder)
    process = Process(worker, folder, stops=True)
    try:
        process.answer()
        played = pieces(process)
        whole = [(seconds, each) for rows, seconds, each in played if rows == GROUP]
        trained = updates(folder, [each for _, each in whole])
        loaded = loads(process, 6)
        wake = woken(process, [Order(0, FIRST + task, 0, 4, 0, 4) for task in range(16)])
    finally:
        process.end()
    rows = [(1.0, *widths(each.forwards)) for _, _, each in played]
    (start, *forward), jitter = fitted(rows, [seconds for _, seconds, _ in played])
    (update, token), spread = fitted(
        [(1.0, tokens) for tokens, _, _ in trained], [seconds for _, seconds, _ in trained]
    )
    lines = [line for _, each in whole[:4] for line in each.lines]
    factors = np.array([start, *forward])
    shared = sharing(folder, lines, lambda each: float(factors @ [1.0, *widths(each)]))
    measured = Measured(
        length=[[*map(float, each.forwards)] for _, each in whole],
        tokens=[[*map(float, each.tokens)] for _, each in whole],
        start=start,
        forward=forward,
        wake=wake,
        update=update,
        token=token,
        load=float(np.mean(loaded)),
        restart=float(np.mean(begun)),
        jitter=_quantiles(jitter),
        **shared,
    )
    facts = {
        "cost": cost(whole, trained, signal_seconds([each for _, each in whole])),
        "starts": begun,
        "piece_seconds": [s for r, s, _ in played if r == 4],
        "jitter_sd": float(jitter.std()),
        "update_spread_sd": float(spread.std()),
        "updates": [(tokens, seconds) for tokens, seconds, _ in trained],
    }
    return measured, facts

"""What every benchmark shares: the best of several runs, the machine, ratios against budgets."""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
_VERSIONED = ("numpy", "msgspec", "torch", "verl", "trl")


@dataclass(frozen=True)
class Ratio:
    """One measured ratio and the budget that it must respect."""

    name: str
    measured: float
    budget: float
    sense: str
    """"at most" or "at least"."""
    note: str = ""

    @property
    def kept(self) -> bool:
        at_most = self.sense == "at most"
        return self.measured <= self.budget if at_most else self.measured >= self.budget


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Returns a benchmark's options: none but --help, which says what it measures."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def best(work: Callable[[], object], *, repeat: int = 7) -> float:
    """Returns the shortest of several wall times in seconds, after one run to warm up."""
    work()
    times: list[float] = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def paired(ours: Callable[[], object], theirs: Callable[[], object], *, repeat: int = 7) -> float:
    """Returns the median of ours / theirs over alternating runs: a busy machine hurts both."""
    ours(), theirs()
    ratios: list[float] = []
    for _ in range(repeat):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return statistics.median(ratios)


def bests(*works: Callable[[], object], repeat: int = 7) -> list[float]:
    """Returns the shortest wall time of each in seconds, over alternating runs."""
    times: list[list[float]] = []
    for _ in range(repeat + 1):
        start = [time.perf_counter()]
        for work in works:
            work()
            start.append(time.perf_counter())
        times.append([end - begin for begin, end in pairwise(start)])
    return [min(each) for each in zip(*times[1:], strict=True)]


def publish(name: str, ratios: list[Ratio], **measured: object) -> None:
    """Prints one line per ratio, writes results/NAME.json, and exits 1 if a budget is broken."""
    for ratio in ratios:
        verdict = "kept" if ratio.kept else "BROKEN"
        print(
            f"{ratio.name:<44} {ratio.measured:9.3f}   budget {ratio.sense} {ratio.budget:g}"
            f"   {verdict}   {ratio.note}".rstrip()
        )
    RESULTS.mkdir(exist_ok=True)
    document = {
        "benchmark": name,
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {package: _version(package) for package in _VERSIONED},
        "ratios": [{**asdict(ratio), "kept": ratio.kept} for ratio in ratios],
        "measured": measured,
    }
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    (RESULTS / f"{name}.json").write_text(text)
    sys.exit(0 if all(ratio.kept for ratio in ratios) else 1)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")

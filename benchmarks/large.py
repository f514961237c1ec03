"""Folders of 300 MB and 1 GB of logs: memory of an audit, and what a second audit takes.

    python benchmarks/large.py [--small 300] [--large 1000] [--format verifiers|harbor|chat]

Every audit is `assay audit` in a process of its own, with its report. Memory is sampled ten times a
second: the proportional share (PSS) of the process and its workers together, so that a page that
two of them share counts once.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from logs import write_logs
from measure import Ratio, publish

HERE = Path(__file__).parents[1]
COMMAND = "from assay.cli import main; main()"
SETTLED = 2.5
"""Seconds after which a file counts as settled, see `assay.files.stamps`."""


def audited(log: Path, out: Path) -> tuple[float, float]:
    """Returns seconds and peak megabytes of an audit with its report."""
    known = {**os.environ, "PYTHONPATH": str(HERE / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", COMMAND, "audit", str(log), "--out", str(out)]
    start, most = time.perf_counter(), 0.0
    process = subprocess.Popen(command, env=known, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        most = max(most, sum(map(share, tree(process.pid))))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"assay audit {log} ended with {process.returncode}")
    return time.perf_counter() - start, most


def tree(pid: int) -> list[int]:
    """Returns a process and all that it started."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(each for child in listed for each in tree(int(child)))]


def share(pid: int) -> float:
    """Returns the proportional memory of a process in megabytes; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=300, help="megabytes")
    parser.add_argument("--large", type=int, default=1000, help="megabytes")
    parser.add_argument("--format", choices=("verifiers", "harbor", "chat"), default="verifiers")
    args = parser.parse_args()
    measured: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (args.small, args.large):
            log = Path(folder) / f"log{size}"
            write_logs(log, size, kind=args.format, seed=size)
            time.sleep(SETTLED)
            measured[size] = audited(log, Path(folder) / f"run{size}")
        again = audited(log, Path(folder) / f"run{size}")
        one = max((path for path in log.rglob("*.json*")), key=lambda path: path.stat().st_mtime)
        os.utime(one)
        with one.open("ab") as stream:
            stream.write(b"\n")
        changed = audited(log, Path(folder) / f"run{size}")
    small, large = measured[args.small], measured[args.large]
    notes = f"{large[1]:.0f} MB, {small[1]:.0f} MB", f"{again[0]:.1f} s, {large[0]:.1f} s"
    ratios = [
        Ratio(
            f"peak memory, {args.large} over {args.small} MB", large[1] / small[1], 1.3, "at most"
        ),
        Ratio("second audit of the unchanged folder / first", again[0] / large[0], 0.1, "at most"),
        Ratio("audit after one file changed / first", changed[0] / large[0], 1.0, "at most"),
    ]
    ratios = [
        Ratio(r.name, r.measured, r.budget, r.sense, note)
        for r, note in zip(ratios, (*notes, f"{changed[0]:.1f} s"), strict=True)
    ]
    publish("large", ratios, format=args.format, seconds_and_megabytes=measured)


if __name__ == "__main__":
    main()

"""The audit of generated trajectories against a bare decode of the file and against an old build.

    python benchmarks/audit.py [--old CHECKOUT] [--repeat 3] [--small FILE.json]

Every run is a process of its own, `assay audit`, timed from outside; the file comes from the page
cache. With `--old`, a checkout of an earlier commit, both builds run in turn and the ratio is the
median over pairs. Bare: msgspec.json.decode of each line, in this process. `--small` names a small
log, of which the whole process counts. Memory is the sum of the peaks of a process and its workers.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from generate import write_set
from measure import Ratio, publish

COUNT, MORE = 10_000, 30_000
HERE = Path(__file__).parents[1]
COMMAND = "from assay.cli import main; main()"
PEAK = """
import os, re, resource, sys
from pathlib import Path
from assay.runs.audit import audit_log
audit_log(Path(sys.argv[1]), out=Path(sys.argv[2]))
own = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (os.cpu_count() - 1)
print((int(own[1]) + workers) / 1024)
"""
"""Not ru_maxrss of the process: it starts at what its parent held when it started this one."""


def bare(path: Path) -> float:
    """Returns the seconds of a bare decode of every line."""
    decode, start = msgspec.json.Decoder().decode, time.perf_counter()
    with path.open("rb") as stream:
        for line in stream:
            decode(line)
    return time.perf_counter() - start


def ran(build: Path, program: str, *arguments: str) -> tuple[float, str]:
    """Returns the seconds that a process of a build took, and what it printed."""
    known = {**os.environ, "PYTHONPATH": str(build / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, *arguments]
    start = time.perf_counter()
    done = subprocess.run(command, env=known, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


def audited(build: Path, log: Path, *options: str) -> float:
    """Returns the seconds of `assay audit` of a log, with its report unless options say else."""
    with tempfile.TemporaryDirectory(dir=log.parent) as folder:
        put = options or ("--out", f"{folder}/run")
        return ran(build, COMMAND, "audit", str(log), *put)[0]


def peak(build: Path, log: Path) -> float:
    """Returns the peak megabytes of a process that audits a log, with its report."""
    with tempfile.TemporaryDirectory(dir=log.parent) as folder:
        return float(ran(build, PEAK, str(log), f"{folder}/run")[1])


def compared(
    name: str, old: Path | None, log: Path, budget: float, repeat: int, *options: str
) -> tuple[list[Ratio], list[float]]:
    """Returns new / old over pairs run in turn (nothing without an old build), and our seconds."""
    pairs = [
        (audited(HERE, log, *options), audited(old, log, *options) if old else float("nan"))
        for _ in range(repeat)
    ]
    ours = [new for new, _ in pairs]
    if old is None:
        return [], ours
    ratio = statistics.median(new / before for new, before in pairs)
    note = f"{min(ours):.2f} s, old {min(before for _, before in pairs):.2f} s"
    return [Ratio(f"{name} / old build", ratio, budget, "at most", note)], ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path)
    parser.add_argument("--small", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log, large = Path(folder) / "log.jsonl", Path(folder) / "large.jsonl"
        write_set(log, COUNT, seed=0)
        write_set(large, MORE, seed=1)
        size = log.stat().st_size / 2**20
        ratios, ours = compared("audit with report", args.old, log, 0.25, args.repeat)
        decode = statistics.median(bare(log) for _ in range(2 * args.repeat))
        times = statistics.median(ours) / decode
        ratios.append(
            Ratio("audit with report / bare decode", times, 20, "at most", f"{size:.0f} MB")
        )
        bare_too = compared("audit without report", args.old, log, 0.5, args.repeat, "--json", "-")
        ratios += bare_too[0]
        if args.small:
            found = compared("small log", args.old, args.small, 0.6, 3 * args.repeat)
            ratios += found[0]
        at_small, at_large = peak(HERE, log), peak(HERE, large)
    ratios += [
        Ratio("peak memory, 10k trajectories (GB)", at_small / 1024, 1.0, "at most"),
        Ratio("peak memory, 30k over 10k", at_large / at_small, 1.3, "at most"),
    ]
    peaks = {str(COUNT): at_small, str(MORE): at_large}
    publish("audit", ratios, megabytes=size, peak_megabytes=peaks, decode_seconds=decode)


if __name__ == "__main__":
    main()

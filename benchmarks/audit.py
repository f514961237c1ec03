"""The audit of 10,000 generated trajectories against a bare decode of the same file.

    python benchmarks/audit.py

Both sides read the file line by line from the page cache. Bare: msgspec.json.decode of each line.
Ours: recognise, decode, verify, batch, gate, credit by every applicable method, audit; no report.
Memory is the peak of a fresh process and its workers, at 10,000 and at 30,000 trajectories.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from assay.runs.audit import audit_log
from generate import write_set
from measure import Ratio, paired, publish

COUNT, MORE = 10_000, 30_000


def bare(path: Path) -> int:
    decode = msgspec.json.Decoder().decode
    with path.open("rb") as stream:
        return sum(len(decode(line)) for line in stream)


def ours(path: Path) -> dict[str, object]:
    return audit_log(path).audit


def peak_megabytes(path: Path) -> float:
    """Returns the peak resident memory of a process that audits `path` and nothing else."""
    command = [sys.executable, __file__, "--one", str(path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(printed)


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        ours(Path(sys.argv[2]))
        # not ru_maxrss of this process: it starts at what the parent held when it started this one
        own = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
        workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print((int(own[1] if own else 0) + workers * (os.cpu_count() or 1)) / 1024)
        return
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.jsonl", Path(folder) / "large.jsonl"
        write_set(small, COUNT, seed=0)
        write_set(large, MORE, seed=1)
        speed = 1 / paired(lambda: ours(small), lambda: bare(small), repeat=5)
        at_small, at_large = peak_megabytes(small), peak_megabytes(large)
        size = small.stat().st_size / 2**20
    publish(
        "audit",
        [
            Ratio("audit speed / bare decode", speed, 0.5, "at least", f"{size:.0f} MB"),
            Ratio("peak memory, 10k trajectories (GB)", at_small / 1024, 1.0, "at most"),
            Ratio("peak memory, 30k over 10k", at_large / at_small, 1.5, "at most"),
        ],
        megabytes=size,
        peak_megabytes={str(COUNT): at_small, str(MORE): at_large},
    )


if __name__ == "__main__":
    main()

"""An audit over shards: one process and two, many trajectories and few, workers and drivers killed.

    python benchmarks/shards.py [--count 1000000] [--few 10000] [--kills 20] [--only-kills]

The log is 10,000 generated trajectories (`generate.py`), copied under tasks of their own into as
many shards as are needed: 160 MB each. Every audit is `assay audit 'logs/*.jsonl' --json -` in a
process of its own, one and two processes in turn. Memory is the largest private memory of any
process of the audit, sampled ten times a second. A kill hits a worker (it is to go on, and to say
so) or the whole audit (it is run again) at a moment drawn from the time that an audit takes.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from generate import write_set
from large import tree
from measure import Ratio, publish

HERE = Path(__file__).parents[1]
SHARD = 10_000
COMMAND = """
import os, sys
os.cpu_count = lambda n=int(sys.argv.pop(1)): n
from assay.cli import main
main()
"""


def written(folder: Path, count: int) -> Path:
    """Returns a folder of shards with so many trajectories."""
    folder.mkdir()
    write_set(first := folder / "00000.jsonl", min(count, SHARD), seed=0)
    for shard in range(1, -(-count // SHARD)):
        with first.open("rb") as source, (folder / f"{shard:05}.jsonl").open("wb") as copy:
            copy.writelines(line.replace(b'"task-', b'"s%d-task-' % shard) for line in source)
    return folder


def private(pid: int) -> float:
    """Returns the private megabytes of a process; 0 where it has ended."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    kept = (row.split() for row in rows if row.startswith("Private_"))
    return sum(int(row[1]) for row in kept) / 1024


def begun(log: Path, processes: int) -> "subprocess.Popen[bytes]":
    known = {**os.environ, "PYTHONPATH": str(HERE / "src"), "OMP_NUM_THREADS": "1"}
    words = ("audit", str(log / "*.jsonl"), "--json", "-")
    command = [sys.executable, "-c", COMMAND, str(processes), *words]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=known, stdout=subprocess.PIPE, stderr=said)
    return process


def audited(log: Path, processes: int) -> tuple[float, float, bytes]:
    """Returns seconds, peak megabytes of a process, and what was printed."""
    start, most = time.perf_counter(), 0.0
    process = begun(log, processes)
    while process.poll() is None:
        most = max(most, *map(private, tree(process.pid)))
        time.sleep(0.1)
    out = process.stdout.read() if process.stdout else b""
    if process.returncode:
        raise SystemExit(f"assay audit {log} ended with {process.returncode}")
    return time.perf_counter() - start, most, out


def killed(log: Path, seconds: float, chance: random.Random, *, driver: bool) -> bytes:
    """Returns what an audit prints of which a worker, or all, was killed at a random moment."""
    process = begun(log, 2)
    time.sleep(chance.uniform(0.0, seconds))
    workers = tree(process.pid)[1:]
    if driver:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return audited(log, 2)[2]
    if workers:
        with suppress(ProcessLookupError):  # it had just ended
            os.kill(chance.choice(workers), signal.SIGKILL)
    return process.communicate()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only-kills", action="store_true")
    args = parser.parse_args()
    ratios: list[Ratio] = []
    measured: dict[str, object] = {"count": args.count, "few": args.few, "kills": args.kills}
    with tempfile.TemporaryDirectory() as name:
        few = written(Path(name) / "few", args.few)
        seconds, _, whole = audited(few, 2)
        chance = random.Random(0)
        outs = [killed(few, seconds, chance, driver=n % 2 == 1) for n in range(args.kills)]
        different = float(sum(out != whole for out in outs))
        ratios.append(Ratio("killed audits that end otherwise", different, 0, "at most"))
        if not args.only_kills:
            log = written(Path(name) / "many", args.count)
            pairs = [(audited(log, 1), audited(log, 2)) for _ in range(args.repeat)]
            at_few = statistics.median(audited(few, 2)[0] for _ in range(2 * args.repeat + 1))
            gain = statistics.median(one[0] / two[0] for one, two in pairs)
            worst = max(two[1] for _, two in pairs) / 1024
            cost = statistics.median(two[0] for _, two in pairs) / args.count
            unequal = float(any(one[2] != two[2] for one, two in pairs))
            ratios += [
                Ratio("two processes over one", gain, 1.8, "at least"),
                Ratio("private memory of a process (GB)", worst, 1.0, "at most"),
                Ratio("cost of a trajectory, many over few", cost / (at_few / args.few), 1.15,
                      "at most"),
                Ratio("results that differ", unequal, 0, "at most"),
            ]  # fmt: skip
            measured["seconds"] = [(one[0], two[0]) for one, two in pairs]
    publish("shards", ratios, **measured)


if __name__ == "__main__":
    main()

"""An audit over shards: one process and two, many trajectories and few, workers and drivers killed.

    python benchmarks/shards.py [--count 1000000] [--few 10000] [--kills 20] [--only-kills]
                                [--keep FOLDER]

The log is 10,000 generated trajectories (`generate.py`), copied under tasks of their own into as
many shards as are needed: 160 MB each. Every audit is `assay audit 'logs/*.jsonl' --json -` in a
process of its own, one and two processes in turn. What two processes can gain on a machine at most
is what two audits that share nothing gain, each of one process on half of the shards, side by side:
they share its memory, its caches and its disk. The cost of a trajectory is in CPU seconds of all
processes, on which other work on the machine has less of an effect than on the clock. Memory is the
largest private memory of any process of the audit, sampled up to ten times a second. A kill hits a
worker (it is to go on, and to say so) or the whole audit (it is run again) at a moment drawn from
the time that an audit takes.
"""

import argparse
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

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
    """Returns a folder of shards with so many trajectories, as it is if it is there."""
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
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


class Run(NamedTuple):
    """What an audit took, and what it printed."""

    seconds: float
    cpu: float
    """Seconds of all its processes."""
    megabytes: float
    """Largest private memory of one."""
    out: bytes


def cpu() -> float:
    """Returns the CPU seconds of all processes that were begun here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def audited(log: Path, processes: int) -> Run:
    """Runs an audit to its end."""
    start, before, most = time.perf_counter(), cpu(), 0.0
    process = begun(log, processes)
    while process.poll() is None:
        most = max(most, *map(private, tree(process.pid)))
        time.sleep(min(max(0.1, (time.perf_counter() - start) / 100), 1.0))  # it takes time itself
    seconds, out = time.perf_counter() - start, printed(process)
    return Run(seconds, cpu() - before, most, out)


def printed(process: "subprocess.Popen[bytes]") -> bytes:
    out = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{process.args} ended with {process.returncode}")
    return out


def apart(log: Path) -> tuple[float, float]:
    """Returns seconds and CPU seconds of two audits side by side, each by one process on half of
    the shards."""
    halves = [log.with_name(f"{log.name}-{half}") for half in range(2)]
    shards = sorted(log.iterdir())
    for half, folder in enumerate(halves):
        folder.mkdir(exist_ok=True)
        for shard in shards[half * len(shards) // 2 : (half + 1) * len(shards) // 2]:
            if not (folder / shard.name).exists():
                (folder / shard.name).hardlink_to(shard)
    start, before = time.perf_counter(), cpu()
    for process in [begun(half, 1) for half in halves]:
        printed(process)
    return time.perf_counter() - start, cpu() - before


def killed(log: Path, seconds: float, chance: random.Random, *, driver: bool) -> bytes:
    """Returns what an audit prints of which a worker, or all, was killed at a random moment."""
    process = begun(log, 2)
    time.sleep(chance.uniform(0.0, seconds))
    workers = tree(process.pid)[1:]
    if driver:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return audited(log, 2).out
    if workers:
        with suppress(ProcessLookupError):  # it had just ended
            os.kill(chance.choice(workers), signal.SIGKILL)
    return process.communicate()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only-kills", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder for the logs, which stay there")
    args = parser.parse_args()
    ratios: list[Ratio] = []
    measured: dict[str, object] = {"count": args.count, "few": args.few, "kills": args.kills}
    with ExitStack() as stack:
        name = args.keep or stack.enter_context(tempfile.TemporaryDirectory())
        few = written(Path(name) / f"{args.few}", args.few)
        whole = audited(few, 2)
        chance = random.Random(0)
        outs = [killed(few, whole.seconds, chance, driver=n % 2 == 1) for n in range(args.kills)]
        different = float(sum(out != whole.out for out in outs))
        ratios.append(Ratio("killed audits that end otherwise", different, 0, "at most"))
        print(f"{args.kills} killed: {different:.0f} end otherwise", flush=True)
        if not args.only_kills:
            ratios += compared(
                written(Path(name) / f"{args.count}", args.count), few, args, measured
            )
    publish("shards", ratios, **measured)


def shown(name: str, run: Run) -> Run:
    print(f"{name}: {run.seconds:.0f} s, CPU {run.cpu:.0f} s, {run.megabytes:.0f} MB", flush=True)
    return run


def compared(
    log: Path, few: Path, args: argparse.Namespace, measured: dict[str, object]
) -> list[Ratio]:
    """Returns what one process and two take for many trajectories, and notes it."""
    one, two, both = shown("one", audited(log, 1)), shown("two", audited(log, 2)), apart(log)
    at_few = statistics.median(audited(few, 2).cpu for _ in range(3)) / args.few
    gain, most = one.seconds / two.seconds, one.seconds / both[0]
    measured |= {
        "seconds": {"one": one.seconds, "two": two.seconds, "apart": both[0]},
        "cpu_seconds": {"one": one.cpu, "two": two.cpu, "apart": both[1], "few": at_few * args.few},
        "megabytes": {"one": one.megabytes, "two": two.megabytes},
        "load": os.getloadavg(),
    }
    seconds = f"{one.seconds:.0f} s, {two.seconds:.0f} s"
    return [
        Ratio("two processes over one", gain, 1.8, "at least", seconds),
        Ratio("of what two that share nothing gain", gain / most, 0.95, "at least", f"{most:.2f}"),
        Ratio("CPU, two processes over two that share nothing", two.cpu / both[1], 1.05, "at most"),
        Ratio("private memory of a process (GB)", two.megabytes / 1024, 1.0, "at most"),
        Ratio(
            "cost of a trajectory, many over few", two.cpu / args.count / at_few, 1.15, "at most"
        ),
        Ratio("results that differ", float(one.out != two.out), 0, "at most"),
    ]


if __name__ == "__main__":
    main()

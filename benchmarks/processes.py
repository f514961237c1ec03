"""What two processes cost beside one: `assay train` with the same rollouts, on one machine.

    python benchmarks/processes.py        the run directory of each is in a temporary folder

Runs of 2 and of 8 steps, with one process and with two on a core each (gloo), the shipped policy on
`lookup/even`, 16 tasks of 8 attempts; `train.apart`, so that all sample the same. Of the two
lengths the difference is six steps, without start and end. CPU seconds are those of the processes
and their children; wall seconds are what `timing.jsonl` says of the last six steps, and mean
something on a machine that nothing else uses.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Ratio, parser, publish

REPO = Path(__file__).parents[1]
SHORT, LONG = 2, 8
REPEAT = 1
SETTINGS = (
    "train.apart=true",
    "train.prompts=16",
    "train.group=8",
    "train.micro=16",
    "train.probe=0",
    "train.threads=1",
    "train.save_every=8",
)


def run(folder: Path, processes: int, steps: int) -> tuple[float, float]:
    """Returns CPU seconds of a run, and wall seconds of its steps after the second."""
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--mixed_precision", "no"]
    launcher += ["--num_processes", str(processes), "--main_process_port", "0"]
    settings = [part for each in SETTINGS for part in ("--set", each)]
    command = [sys.executable, *(launcher if processes > 1 else []), "-m", "assay", "train", "grpo"]
    out = folder / f"{processes}-{steps}"
    command += ["--out", str(out), "--set", f"train.steps={steps}", *settings]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO / "src")},
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows = [json.loads(line) for line in (out / "timing.jsonl").read_text().splitlines()]
    return used, sum(row["seconds"] for row in rows[SHORT:])


def main() -> None:
    """Measures runs in turn, and publishes."""
    parser(__doc__).parse_args()
    cpu: dict[int, list[float]] = {1: [], 2: []}
    wall: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPEAT):
        for processes in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                short, _ = run(Path(folder), processes, SHORT)
                long, seconds = run(Path(folder), processes, LONG)
            cpu[processes].append((long - short) / (LONG - SHORT))
            wall[processes].append(seconds / (LONG - SHORT))
    one, two = (statistics.median(cpu[n]) for n in (1, 2))
    clock = {n: min(wall[n]) for n in (1, 2)}
    publish(
        "processes",
        [
            Ratio(
                "two processes / one, CPU of a step",
                two / one,
                1.6,
                "at most",
                f"{two:.2f} s / {one:.2f} s",
            ),
        ],
        cpu_seconds=cpu,
        wall_seconds=wall,
        wall_ratio=clock[2] / clock[1],
        load=os.getloadavg(),
    )


if __name__ == "__main__":
    main()

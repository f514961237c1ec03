"""`assay audit` against two peers on the same ATIF trials: seconds, memory, and what each says.

    python benchmarks/peers.py --peers VENV/bin/python [--trials 400] [--repeat 3]

VENV has `atif-scan` and `agentpile` from the package index. Each reads the same job folder of
trials, in a process of its own, in turn: `atif-scan FOLDER` with its own cache off, and for
agentpile, which is a library, a loop that loads, validates and tabulates every trajectory. Ours
runs twice: tables alone (`--json -`) and with records, annotations and report.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from large import share, tree
from logs import write_trials
from measure import Ratio, publish

HERE = Path(__file__).parents[1]
OURS = "from assay.cli import main; main()"
PILE = """
import sys
from pathlib import Path
import agentpile as ap
rows = problems = 0
for path in sorted(Path(sys.argv[1]).rglob("trajectory.json")):
    for run in ap.load(path):
        problems += len(ap.validate(run))
        rows += len(ap.table([run], "events"))
print(rows, problems)
"""


def ran(command: list[str], folder: Path) -> tuple[float, float]:
    """Returns seconds and peak megabytes of a process and its workers."""
    known = {**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(folder)}
    known |= {"XDG_CACHE_HOME": str(folder), "PYTHONPATH": ""}
    if command[0] == sys.executable:
        known["PYTHONPATH"] = str(HERE / "src")
    start, most = time.perf_counter(), 0.0
    process = subprocess.Popen(
        command, env=known, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None:
        most = max(most, sum(map(share, tree(process.pid))))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} ended with {process.returncode}")
    return time.perf_counter() - start, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    if args.peers is None:
        print("nothing to measure here: --peers names a Python with atif-scan and agentpile")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_trials(folder / "job", args.trials)
        job, peer = str(folder / "job"), str(args.peers)
        commands = {
            "audit": [sys.executable, "-c", OURS, "audit", job, "--json", "-"],
            "report": [sys.executable, "-c", OURS, "audit", job, "--out", "run", "--no-cache"],
            "atif-scan": [peer, "-m", "atif_scan", job, "--no-cache"],
            "agentpile": [peer, "-c", PILE, job],
        }
        runs = [{n: ran(each, folder) for n, each in commands.items()} for _ in range(args.repeat)]
    ratios: list[Ratio] = []
    for them in ("atif-scan", "agentpile"):
        for us, budget in (("audit", 3.0), ("report", 1.0)):
            times = statistics.median(run[them][0] / run[us][0] for run in runs)
            seconds = [min(run[n][0] for run in runs) for n in (them, us)]
            note = f"{seconds[0]:.2f} s, ours {seconds[1]:.2f} s"
            ratios.append(Ratio(f"{them} / our {us}: seconds", times, budget, "at least", note))
            memory = [max(run[n][1] for run in runs) for n in (them, us)]
            note = f"{memory[0]:.0f} MB, ours {memory[1]:.0f} MB"
            ratios.append(
                Ratio(f"our {us} / {them}: memory", memory[1] / memory[0], 10, "at most", note)
            )
    publish("peers", ratios, trials=args.trials)


if __name__ == "__main__":
    main()

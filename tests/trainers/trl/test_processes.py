"""Two processes give what one gives, also where a group lies across both."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

ROOT = Path(__file__).parents[3]


def run(folder: Path, processes: int) -> list[dict[str, Any]]:
    launcher = [
        "-m",
        "torch.distributed.run",
        "--nproc_per_node",
        str(processes),
        "--master_addr",
        "127.0.0.1",
        "--master_port",
        str(29500 + os.getpid() % 1000),
    ]
    module = ["-m", "tests.trainers.trl.two_processes", str(folder), str(processes)]
    done = subprocess.run(
        [sys.executable, *(launcher if processes > 1 else []), *module],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        json.loads((folder / f"end{processes}.{rank}.json").read_text())
        for rank in range(processes)
    ]


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:  # both at once: most of it is waiting for imports
        (one,), two = pool.map(lambda processes: run(tmp_path, processes), (1, 2))
    # every process knows the whole group: its rows are exactly those of the one process
    rows = [row for process in two for row in process["advantages"]]
    width = max(map(len, one["advantages"]))
    assert [row + [0.0] * (width - len(row)) for row in rows] == one["advantages"]
    # and reads none but its own
    assert one["built"] == [f"0/{k}" for k in range(16)]
    assert [process["built"] for process in two] == [one["built"][:8], one["built"][8:]]
    assert len(one["replay"]) == 2
    for process in two:
        assert process["replay"] == one["replay"]
        difference = [abs(a - b) for a, b in zip(process["weights"], one["weights"], strict=True)]
        assert max(difference) <= 1e-5
    logs = [
        [json.loads(line) for line in (tmp_path / f"metrics{n}.jsonl").read_text().splitlines()]
        for n in (1, 2)
    ]
    assert len(logs[0]) == len(logs[1]) == 3
    for a, b in zip(*logs, strict=True):
        for name, value in a.items():
            if isinstance(value, float) and name != "signal_seconds":
                assert b[name] == pytest.approx(value, abs=1e-5), name
            elif name != "signal_seconds":
                assert b[name] == value, name

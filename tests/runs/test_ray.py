"""An audit on a Ray cluster is the audit of one process; what is lost is said and done again."""

import os
import subprocess
import sys
from pathlib import Path
from secrets import token_hex

import pytest

from assay.records import write
from tests.runs.test_shards import trajectory

PROGRAM = "from assay.cli import main; main()"
SMALL = "import assay.batch.pieces as p, assay.runs.on_ray as r; p.SIZE = r.SIZE = 1_000; "
QUIET = {
    **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": token_hex(32),
}


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    for shard in range(4):
        path = tmp_path / "logs" / f"{shard}.jsonl"
        write(path, map(trajectory, range(10 * shard, 10 * shard + 10)))
    write(tmp_path / "whole.jsonl", map(trajectory, range(40)))
    return tmp_path


def assay(*words: str, cwd: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", before + PROGRAM, *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=QUIET,
        timeout=300,
        check=False,
    )


def test_without_ray_there_is_one_line(logs: Path):
    hide = "import sys; sys.modules['ray'] = None; "
    done = assay("audit", "logs/*.jsonl", "--ray", "auto", cwd=logs, before=hide)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "assay: --ray needs ray, which is not installed: pip install 'assay[ray]'\n"
    )
    assert [path.name for path in logs.iterdir() if path.name == "runs"] == []


@pytest.mark.verl
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:x"])
def test_where_no_cluster_answers_there_is_one_line(logs: Path, address: str):
    done = assay("audit", "logs/*.jsonl", "--ray", address, cwd=logs)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"assay: --ray {address}: no cluster answers there")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.verl
def test_the_bytes_are_those_of_one_process(logs: Path):
    alone = assay("audit", "whole.jsonl", "--json", "-", cwd=logs)
    found = assay("audit", "logs/*.jsonl", "--json", "-", "--ray", "auto", cwd=logs, before=SMALL)
    assert found.returncode == 0, found.stderr
    assert found.stdout == alone.stdout
    credit = ("-m", "grpo", "--json", "-")
    of = assay("credit", "logs/*.jsonl", *credit, "--ray", "auto", cwd=logs, before=SMALL)
    assert of.stdout == assay("credit", "whole.jsonl", *credit, cwd=logs).stdout

"""An audit on a Ray cluster is the audit of one process; what is lost is said and done again."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import pytest

from assay.records import write
from tests.runs.test_shards import trajectory

PROGRAM = "from assay.cli import main; main()"
SMALL = "import assay.batch.pieces as p, assay.runs.on_ray as r; p.SIZE = r.SIZE = 1_000; "
SLOW = """
import time
import assay.runs.on_ray as r
def slow(job, folder):
    import os
    os.chdir(folder)
    import ray
    open("began-" + ray.util.get_node_ip_address(), "w").close()
    time.sleep(2)
    return job()
r._done = slow
"""
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


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two network namespaces, 10.77.0.1 and 10.77.0.2, that see each other and nothing else."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root, and the command ip")
    names = (f"assay-a-{os.getpid()}", f"assay-b-{os.getpid()}")
    ends = (f"va{os.getpid() % 100_000}", f"vb{os.getpid() % 100_000}")
    made: list[str] = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for number, (name, end) in enumerate(zip(names, ends, strict=True), 1):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        for name in made:
            ip("netns", "del", name)
        pytest.skip(f"no network namespace: {error.stderr.decode()[:100]}")
    yield names
    for name in names:
        ip("netns", "del", name)


def started(name: str, temporary: Path, *words: str) -> subprocess.Popen[bytes]:
    """A node of a cluster in a namespace, which runs until it is killed."""
    ray = str(Path(sys.executable).parent / "ray")
    command = ["ip", "netns", "exec", name, ray, "start", *words, "--num-cpus=1", "--block"]
    command += ["--object-store-memory=100000000", "--disable-usage-stats"]
    with (temporary / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=QUIET, start_new_session=True)


def wait_for(name: str, temporary: Path) -> None:
    """Waits until a node says that it runs."""
    until = time.monotonic() + 100
    while b"Ray runtime started" not in (said := (temporary / f"{name}.log").read_bytes()):
        assert time.monotonic() < until, said[-2000:]
        time.sleep(0.1)


def ended(node: subprocess.Popen[bytes], name: str) -> None:
    """Ends a node with all its processes, which are those of its namespace."""
    listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, check=True)
    for pid in map(int, listed.stdout.split()):
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
    node.wait(30)


@pytest.mark.verl
def test_two_nodes_give_the_same_and_a_lost_one_is_said(logs: Path, nodes: tuple[str, str]):
    head = started(
        nodes[0], logs, "--head", "--node-ip-address=10.77.0.1", "--port=6399",
        "--include-dashboard=false", f"--temp-dir=/tmp/ray-{os.getpid()}",
    )  # fmt: skip
    other = None
    try:
        wait_for(nodes[0], logs)
        other = started(nodes[1], logs, "--address=10.77.0.1:6399", "--node-ip-address=10.77.0.2")
        wait_for(nodes[1], logs)
        command = ["ip", "netns", "exec", nodes[0], sys.executable, "-c", SMALL + SLOW + PROGRAM]
        command += ["audit", "logs/*.jsonl", "--json", "-", "--ray", "10.77.0.1:6399"]
        audit = subprocess.Popen(
            command, cwd=logs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=QUIET, text=True
        )
        until = time.monotonic() + 100
        while not (logs / "began-10.77.0.2").exists() and time.monotonic() < until:
            time.sleep(0.05)
        ended(other, nodes[1])
        out, said = audit.communicate(timeout=200)
    finally:
        for node, name in ((other, nodes[1]), (head, nodes[0])):
            if node is not None:
                ended(node, name)
        shutil.rmtree(f"/tmp/ray-{os.getpid()}", ignore_errors=True)
    assert audit.returncode == 0, said
    assert out == assay("audit", "whole.jsonl", "--json", "-", cwd=logs).stdout
    assert "begun again, try 2 of 3" in said

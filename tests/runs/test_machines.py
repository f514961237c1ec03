"""More than one process, on one machine and on two: the run ends where one process ends."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from assay.errors import UsageError
from assay.records import read
from assay.runs.config import changed, parsed
from tests.processes import kill

from . import tiny

ADDRESS = "10.97.35.{}"
STEPS = 3


def recipe(folder: Path, policy: Path, **more: Any) -> Path:
    import tomli_w

    tables = tiny.settings(policy, steps=STEPS, train__apart=True, **more)
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps(tables))
    return path


def begun(
    folder: Path, path: Path, launcher: list[str], *, inside: tuple[str, ...] = (), **env: str
) -> subprocess.Popen[str]:
    """Starts `assay train` in a folder of its own, as a machine of its own would."""
    folder.mkdir(exist_ok=True)
    command = [*inside, *launcher, "-m", "assay", "train", str(path), "--out", "run"]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": tiny.PATHS, "OMP_NUM_THREADS": "1", **env},
    )  # fmt: skip


def ended(*processes: subprocess.Popen[str]) -> None:
    with ExitStack() as all_of_them:
        for each in processes:
            all_of_them.callback(kill, each)
        said = [each.communicate(timeout=300)[1] for each in processes]
    codes = [each.returncode for each in processes]
    assert not any(codes), "\n".join(each[-3000:] for each in said)


def accelerate(*options: str) -> list[str]:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    return [*launch, *options, "--num_processes", "2", "--mixed_precision", "no"]


def port(offset: int) -> str:
    return str(20000 + (os.getpid() + offset) % 20000)


@pytest.fixture(scope="module")
def one(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("one")
    path = recipe(folder, policy)
    ended(begun(folder / "here", path, [sys.executable]))
    return folder / "here" / "run"


def same(one: Path, two: Path) -> None:
    """The same trajectories, token by token, and weights within 1e-5; the last step moved them."""
    for file in sorted((one / "rollouts").iterdir()):
        first, second = read(file), read(two / "rollouts" / file.name)
        by_id = {each.id: each for each in second}
        assert len(by_id) == 16
        for each in first:
            steps = zip(each.steps, by_id[each.id].steps, strict=True)
            assert all(a.token_ids == b.token_ids for a, b in steps)
    weights = [load_file(run / f"checkpoints/step_{STEPS}/model.safetensors") for run in (one, two)]
    before = load_file(one / "checkpoints/step_2/model.safetensors")
    assert any(abs(weights[0][name] - before[name]).max() > 1e-4 for name in before)
    for name, value in weights[0].items():
        assert abs(value - weights[1][name]).max() <= 1e-5, name


@pytest.mark.slow
def test_accelerate_on_one_machine(policy: Path, one: Path, tmp_path: Path) -> None:
    launcher = accelerate("--main_process_port", port(0))
    ended(begun(tmp_path / "two", recipe(tmp_path, policy), launcher))
    same(one, tmp_path / "two" / "run")


def do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[list[tuple[str, str, str]]]:
    """Two network namespaces with a cable between them: (name, device, address) of each."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("two hosts are network namespaces: needs root and ip")
    mark = f"{os.getpid() % 100000}"
    made = [(f"assay{mark}{n}", f"as{mark}{n}", ADDRESS.format(n + 1)) for n in range(2)]
    with ExitStack() as undo:
        try:
            for name, _, _ in made:
                do("ip", "netns", "add", name)
                undo.callback(do, "ip", "netns", "del", name)
            do("ip", "link", "add", made[0][1], "type", "veth", "peer", "name", made[1][1])
            for name, device, address in made:
                do("ip", "link", "set", device, "netns", name)
                do("ip", "-n", name, "addr", "add", f"{address}/24", "dev", device)
                do("ip", "-n", name, "link", "set", device, "up")
                do("ip", "-n", name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        yield made


def on(
    hosts: list[tuple[str, str, str]], folders: list[Path], path: Path
) -> list[subprocess.Popen[str]]:
    """One process on each host, in a folder of each."""
    options = ["--num_machines", "2", "--main_process_ip", hosts[0][2]]
    return [
        begun(
            folders[rank],
            path,
            accelerate(*options, "--main_process_port", port(1), "--machine_rank", str(rank)),
            inside=("ip", "netns", "exec", name),
            GLOO_SOCKET_IFNAME=device,
        )
        for rank, (name, device, _) in enumerate(hosts)
    ]


@pytest.mark.slow
def test_accelerate_on_two_hosts(
    policy: Path, one: Path, tmp_path: Path, hosts: list[tuple[str, str, str]]
) -> None:
    ended(*on(hosts, [tmp_path / "disk"] * 2, recipe(tmp_path, policy)))
    same(one, tmp_path / "disk" / "run")


@pytest.mark.slow
def test_hosts_that_share_no_disk_are_refused_in_one_line(
    policy: Path, tmp_path: Path, hosts: list[tuple[str, str, str]]
) -> None:
    disks = [tmp_path / "disk0", tmp_path / "disk1"]
    both = on(hosts, disks, recipe(tmp_path, policy))
    with ExitStack() as stack:
        for each in both:
            stack.callback(kill, each)
        said = [each.communicate(timeout=300)[1] for each in both]
    for each, words in zip(both, said, strict=True):
        assert each.returncode
        assert (
            "assay: run: process 1 does not see it; machines share a run directory: give --out on "
            "a disk that all of them see"
        ) in words.splitlines()
    assert not any((disk / "run").exists() for disk in disks)


def test_what_is_not_drawn_here_and_once_is_refused(policy: Path) -> None:
    tables = tiny.settings(policy, train__apart=True)
    assert parsed(tables, "here").train.sampling.apart
    for change in ({"sampling.backend": "vllm"}, {"rollout.resample": 1}):
        with pytest.raises(UsageError, match=r"train\.apart: every trajectory is drawn once"):
            parsed(changed(tables, change), "here")

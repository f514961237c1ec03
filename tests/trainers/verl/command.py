"""verl's own command on this machine, for tests and the benchmark: a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).parents[3]
POLICY = Path(str(files("assay.policy") / "start"))
ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray stays on the loopback
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HYDRA_FULL_ERROR": "1",
    "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
}
UNSET = ("CUDA_VISIBLE_DEVICES", "RAY_ADDRESS")
"""Set and empty, the first makes Ray refuse the GPU that it is told of."""


def training(folder: Path, *overrides: str) -> list[str]:
    """The command line of a run with the shipped policy on CPU."""
    return [
        "-m",
        "verl.trainer.main_ppo",
        "+assay=[cpu,world]",
        "algorithm.adv_estimator=assay",
        f"+assay.log={folder / 'log'}",
        f"actor_rollout_ref.model.path={POLICY}",
        f"trainer.default_local_dir={folder / 'checkpoints'}",
        f"hydra.run.dir={folder / 'hydra'}",
        "trainer.resume_mode=disable",
        *overrides,
    ]


def python(
    arguments: Sequence[str],
    *,
    timeout: float,
    executable: str | Path = sys.executable,
    code: int = 0,
    **environment: str,
) -> str:
    """Runs Python with arguments, ends what it leaves, and returns all that it said.

    Args:
        arguments: of the command.
        timeout: in seconds.
        executable: the Python of the environment.
        code: that it must exit with.
        **environment: variables, set beside `ENVIRONMENT`.
    """
    env = {k: v for k, v in os.environ.items() if k not in UNSET} | ENVIRONMENT | environment
    alone = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "alone"]
    able = os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip")
    process = subprocess.Popen(
        [*(alone if able else ()), str(executable), *arguments],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    finally:
        end_session(process.pid)
        process.wait()
    assert process.returncode == code, said[-6000:]
    return said


def end_session(session: int) -> None:
    """Ends what a command left: Ray's workers have groups of their own, and its session."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            of = path.read_text().rpartition(")")[2].split()[3]
            if int(of) == session:
                os.kill(int(path.parent.name), signal.SIGKILL)
        except (OSError, ValueError, IndexError):  # it has ended in the meantime
            continue

"""Faults that the tests of whole runs leave out: where the disk ends, and broken models.

One of each kind goes through the real command, which takes seconds to import what trains; the
others through `main` of this process.
"""

import importlib.util
import json
import resource
from pathlib import Path

import pytest

from assay.runs.config import parsed
from tests.runs import tiny
from tests.runs.conftest import Assay, Said

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def recipe(folder: Path, policy: Path) -> Path:
    path = folder / "recipe.toml"
    path.write_text(parsed(tiny.settings(policy, steps=2)).toml())
    return path


def really(*arguments: object) -> Said:
    done = tiny.assay(*map(str, arguments), cwd=Path.cwd())
    return Said(done.returncode, done.stdout, done.stderr)


def complaint(stderr: str) -> str:
    """Returns the one line that ends the run."""
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("assay: ")]
    return line


@pytest.mark.parametrize(
    ("limit", "where"),
    [
        (200, "config.toml"),  # the configuration has 573 bytes: no run begins
        (2500, "rollouts/step_000001.jsonl"),  # sixteen records have more, run.json has 453
    ],
)
def test_a_disk_that_is_full_early_leaves_nothing_half_written(
    policy: Path, tmp_path: Path, assay: Assay, limit: int, where: str
) -> None:
    path, out = recipe(tmp_path, policy), tmp_path / "run"

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    said = tiny.assay("train", str(path), "--out", str(out), cwd=tmp_path, preexec_fn=small)
    assert said.returncode == 3
    line = complaint(said.stderr)
    assert where in line
    assert "cannot be written" in line
    assert not list(tmp_path.glob(".*"))
    assert out.exists() == (limit > 1000)
    for file in out.rglob("*.jsonl"):
        assert file.read_bytes() == b""
    if out.exists():
        json.loads((out / "run.json").read_text())
        assert assay("train", "--resume", out).code == 0


@pytest.mark.parametrize("broken", ["weights", "config", "tokenizer"])
def test_a_model_folder_that_is_broken_is_one_line_and_writes_nothing(
    tmp_path: Path, assay: Assay, broken: str
) -> None:
    model = tiny.policy(tmp_path / "policy")
    name = {"weights": "model.safetensors", "config": "config.json", "tokenizer": "tokenizer.json"}
    file = model / name[broken]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    path, out = recipe(tmp_path, model), tmp_path / "run"
    command = really if broken == "weights" else assay
    said = command("train", path, "--out", out)
    assert said.code == 2, said.err
    assert "cannot be opened" in complaint(said.err)
    assert (out.exists(), list(tmp_path.glob(".*"))) == (False, [])


@pytest.mark.parametrize("tracker", ["wandb", "trackio"])
def test_a_tracker_that_is_not_installed_is_named_before_anything_is_written(
    policy: Path, tmp_path: Path, assay: Assay, tracker: str
) -> None:
    if importlib.util.find_spec(tracker) is not None:
        pytest.skip(f"{tracker} is installed here")
    path, out = recipe(tmp_path, policy), tmp_path / "run"
    asked = ("--set", f"trl.report_to={tracker}")
    command = really if tracker == "wandb" else assay
    said = command("train", path, "--out", out, *asked)
    assert said.code == 2
    assert f"pip install {tracker}" in complaint(said.err)
    assert (out.exists(), list(tmp_path.glob(".*"))) == (False, [])

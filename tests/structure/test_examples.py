"""The examples run, and say what they are there to say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAID = {
    "audit_a_log": "groups, ",
    "check_the_state": "false_success app.toml is not what was asked for",
    "credit_in_ten_lines": "toolpo: ",
    "own_environment": "ok      verifier accepts the expert",
    "own_importer": "1 of 2 groups are dead",
    "own_method": "short_success",
    "slime_to_assay": "> rollouts.jsonl",
    "trl_after": "loss ",
    "trl_before": "loss ",
    "trl_rescue": "dead groups rescued",
}


def test_every_example_is_run() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(SAID)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAID)
def test_the_example_says_what_it_shows(name: str) -> None:
    if name.startswith("trl"):
        pytest.importorskip("trl")
    done = subprocess.run(
        [sys.executable, f"examples/{name}.py"],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert SAID[name] in done.stdout


def test_the_trl_scripts_differ_in_the_trainer_and_the_recipe_alone() -> None:
    before, after = (
        set((ROOT / "examples" / f"trl_{each}.py").read_text("utf-8").splitlines())
        for each in ("before", "after")
    )
    assert {line.strip() for line in after - before if '"""' not in line} == {
        "python examples/trl_after.py",
        "from trl import GRPOConfig",
        "from assay.trainers.trl import AssayTrainer",
        "trainer = AssayTrainer(",
        'recipe="assay",',
    }
